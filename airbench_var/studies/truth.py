"""Ground truth, which nobody has of natural images: networks on a distribution with a sampler."""

import math
from collections.abc import Iterator, Sequence
from functools import partial

from scipy.special import ndtri

from airbench_var.analysis import Estimate
from airbench_var.analysis.summary import LEVEL
from airbench_var.errors import UsageError
from airbench_var.report.figures.canvas import Figure
from airbench_var.studies.arms import Arm, Evidence, Trained
from airbench_var.studies.findings import (
    Claim,
    Findings,
    Number,
    Verdict,
    above,
    decided,
    percent_of,
    ratio_of,
    text_of,
)
from airbench_var.studies.fresh import (
    GROUP_EXAMPLES,
    GROUP_RUNS,
    STREAMS,
    coverage,
    gain_here,
    gain_on_fresh,
    lucky,
    measured,
)
from airbench_var.studies.scales import Scale
from airbench_var.studies.study import Study
from airbench_var.studies.test_bed import Against, Truth, against, truth_of
from airbench_var.studies.truth_figures import draw_estimators, draw_lengths, draw_luck


def arms(scale: Scale) -> list[Arm]:
    """Return an arm of few networks with millions of fresh examples, then one a length with fewer."""
    fresh = scale.fresh
    lengths = list(scale.synthetic_lengths.items())
    name, recipe = lengths[min(1, len(lengths) - 1)]
    few = Arm(
        name=f"{name}, few networks",
        recipe=recipe,
        runs=max(runs for runs, _ in fresh.settings),
        seed=100,
        test_sets=(f"fresh-2:{fresh.stream}", f"fresh-3:{fresh.stream}", f"fresh-4:{fresh.cut}"),
    )
    return [
        few,
        *(
            Arm(
                name=name,
                recipe=recipe,
                runs=scale.runs["truth"],
                seed=101 + place,
                test_sets=tuple(f"{stream}:{fresh.each}" for stream in STREAMS),
            )
            for place, (name, recipe) in enumerate(lengths)
        ),
    ]


def findings(evidence: Evidence) -> Findings:
    """Return Eq 3 against the truth, by the mean over test sets and by length, and what luck is worth."""
    trained = evidence.trained
    if evidence.data.name != "synthetic":
        raise UsageError("study truth needs a distribution with a sampler: --data synthetic.")
    few, *lengths = trained
    compared = [(R, n, *_compared(few, R, n)) for R, n in evidence.scale.fresh.settings]
    numbers = [number for found in compared for number in _of_setting(few, *found)]
    numbers += [number for one in lengths for number in _of_length(one)]
    return Findings(
        numbers=numbers,
        claims=[*(_claim(*found) for found in compared), *_claims(lengths)],
        figures=[
            Figure(
                name="estimators",
                caption="Mean over thousands of small test sets of Eq 3, of its plug-in form and of the "
                "test-set variance, over the truth of the same networks; bars are two standard "
                "errors.",
                draw=partial(draw_estimators, compared),
                inches=(6, 3.0),
            ),
            Figure(
                name="lengths",
                caption="The std of runs on the distribution by training length: measured on fresh "
                "examples, and estimated by Eq 3 from one test set of 10,000, with 95 % intervals.",
                draw=partial(draw_lengths, lengths),
                inches=(5.5, 3.4),
            ),
            Figure(
                name="luck",
                caption="Each run's accuracy on the test set and on fresh examples, about the mean; those "
                "best on the test set in orange (1 % of the runs, and at least two).",
                draw=partial(draw_luck, lengths),
                inches=(2.5 * len(lengths), 2.9),
            ),
        ],
        notes=[
            "z: the difference between the mean of an estimator and the truth over its standard error, the "
            "error of measuring the truth included. Both are of the same networks, so that no error of few "
            "networks is in it."
        ],
    )


def _compared(few: Trained, R: int, n: int) -> tuple[Truth, list[Against], int]:
    truth = truth_of(few.correct_RN("fresh-2", R), few.correct_RN("fresh-3", R))
    stream_RN = few.correct_RN("fresh-4", R)
    return truth, against(truth, stream_RN, n), stream_RN.shape[1] // n


def _of_setting(
    few: Trained, R: int, n: int, truth: Truth, found: Sequence[Against], sets: int
) -> Iterator[Number]:
    arm, reach = f"{R} networks, n = {n}", float(ndtri((1 + LEVEL) / 2))
    over_both = "mean less truth over the standard error of both"
    streams = few.store.manifest.test_sets

    def number(name: str, value: float, error: float | None, method: str, examples: int) -> Number:
        return Number(
            name=name,
            arm=arm,
            unit="plain" if name.startswith("z") else "variance",
            value=value,
            low=None if error is None else value - reach * error,
            high=None if error is None else value + reach * error,
            level=None if error is None else LEVEL,
            target="these networks",
            runs=R,
            examples=examples,
            method=method,
            assumption="examples are independent draws from the distribution",
            absent="" if error is not None else "no interval: it is a z score",
        )

    yield number(
        "truth",
        truth.value,
        truth.standard_error,
        "covariance of accuracies on two streams of fresh examples; jackknife over 50 blocks",
        streams[1].n + streams[2].n,
    )
    for one in found:
        method = f"mean over {sets:,} disjoint test sets of {n} fresh examples, normal interval"
        yield number(one.name, one.mean, one.standard_error, method, sets * n)
        yield number(f"z_{one.name}", one.z, None, over_both, sets * n)


def _claim(R: int, n: int, truth: Truth, found: Sequence[Against], sets: int) -> Claim:
    eq_3, plug_in, raw = found
    verdict: Verdict = "cannot be told"
    if min(abs(plug_in.z), abs(raw.z)) >= 3:
        verdict = "holds" if abs(eq_3.z) <= 2 else "does not hold"
    return Claim(
        text=f"Eq 3 is unbiased where its plug-in form and the test-set variance are not ({R} networks, "
        f"{sets:,} test sets of {n})",
        source="section 3.3, Eq 3, Theorems 1 and 2",
        verdict=verdict,
        because=f"z of Eq 3 {eq_3.z:.2f}, plug-in {plug_in.z:.1f}, test-set variance {raw.z:.1f}; true std "
        f"{100 * math.sqrt(max(0.0, truth.value)):.4f} %",
    )


def _of_length(one: Trained) -> Iterator[Number]:
    arm, counts, estimates, truth = one.arm.name, one.state.correct, one.summary.estimates, measured(one)
    yield Number.of(estimates["mean_accuracy"], arm, "share")
    yield Number.of(estimates["test_set_std"], arm, "share")
    yield Number.of(estimates["distribution_wise_variance"], arm, "variance")
    yield Number.of(truth, arm, "variance")
    yield Number.of(truth.standard_deviation("measured_std"), arm, "share")
    inside, tried = coverage(one)
    yield Number.bare(
        "coverage_of_intervals",
        arm,
        "share",
        inside / tried if tried else None,
        counts=one.state_of(STREAMS[1]).correct,
        method=f"of {tried:,} intervals of distribution_wise_variance, each from {GROUP_RUNS} runs on "
        f"{GROUP_EXAMPLES:,} fresh examples, the share that holds measured_variance",
        target="the distribution",
        absent="no interval: intervals share runs and examples",
    )
    yield Number.bare(
        "lucky_gain_on_test_set",
        arm,
        "share",
        gain_here(one),
        counts=counts,
        method=f"mean of the best {len(lucky(one))} runs on the test set less that of all, there",
        target="this test set",
        absent="no interval: these runs were chosen by it",
    )
    yield Number.of(gain_on_fresh(one), arm, "share")


def _claims(lengths: Sequence[Trained]) -> Iterator[Claim]:
    yield _one_test_set_is_enough(lengths)
    yield _luck_does_not_last(lengths[-1])
    yield _falls(lengths[0], lengths[-1])


def _one_test_set_is_enough(lengths: Sequence[Trained]) -> Claim:
    """Return whether Eq 3 on one test set finds the measurement within a factor of two, by their ratios."""
    name = "distribution_wise_variance"
    ratios = [ratio_of(one.summary.estimates[name], measured(one), f"{name}_ratio") for one in lengths]
    shown = (f"{text_of(ratio)} at {one.arm.name}" for one, ratio in zip(lengths, ratios, strict=True))
    return decided(
        _within_a_factor_of_two,
        *ratios,
        text="The distribution-wise variance from one test set is that measured on fresh examples, within a "
        "factor of two at every length",
        source="beyond the paper",
        shown=f"estimated over measured {', '.join(shown)}",
    )


def _within_a_factor_of_two(*ratios: Estimate) -> Verdict:
    """Return whether all intervals lie between a half and two; it fails where one is all beyond 1."""
    intervals = [ratio.interval for ratio in ratios]
    if any(ends is not None and not ends[0] <= 1 <= ends[1] for ends in intervals):
        return "does not hold"
    if all(ends is not None and ends[0] >= 0.5 and ends[1] <= 2 for ends in intervals):
        return "holds"
    return "cannot be told"


def _luck_does_not_last(one: Trained) -> Claim:
    """Return whether the lucky runs lose more than half of their gain, which is known on the test set."""
    here, fresh = gain_here(one), gain_on_fresh(one)
    return above(
        fresh,
        here / 2,
        below=True,
        text=f"The best {len(lucky(one))} of {one.state.correct.R:,} seeds on a test set keep less than half "
        f"of their gain on fresh data ({one.arm.name})",
        source="section 3.1, Fig 2",
        shown=f"{100 * here:.3f} % better than the mean on the test set, {percent_of(fresh)} on fresh "
        "examples",
    )


def _falls(short: Trained, long: Trained) -> Claim:
    """Return whether the variance falls, by two standard errors of the difference."""
    first, last = measured(short), measured(long)
    assert first.value is not None
    assert last.value is not None
    gap = first.value - last.value
    error = math.hypot(first.standard_errors["distribution"], last.standard_errors["distribution"])
    stds = [percent_of(one.standard_deviation("measured_std")) for one in (first, last)]
    return Claim(
        text="The variance on the distribution falls with training length, measured directly",
        source="section 3.3, Fig 5",
        verdict="holds" if gap > 2 * error else "does not hold" if gap < -2 * error else "cannot be told",
        because=f"std {stds[0]} at {short.arm.name}, {stds[1]} at {long.arm.name} (test set: "
        f"{percent_of(long.summary.estimates['test_set_std'])})",
    )


STUDY = Study(
    name="truth",
    title="Ground truth: Eq 3 against millions of fresh examples",
    source="beyond the paper; section 3.3, Eq 3",
    question="Does Eq 3 find the variance that runs have on the distribution, and do lucky seeds stay lucky?",
    arms=arms,
    findings=findings,
    data="synthetic",
)
