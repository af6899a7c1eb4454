"""How the spread of runs changes with training length: the paper's sections 2 and 3, Fig 1, 2, 3 and 5."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from airbench_var.analysis import Estimate, compare_counts
from airbench_var.report.figures.accuracies import draw_halves, draw_histogram, draw_laws, same_scales
from airbench_var.report.figures.canvas import COLOURS, Figure, draw_estimates, scale_for_stds
from airbench_var.report.percent import value_text
from airbench_var.studies.arms import Arm, Evidence, Trained
from airbench_var.studies.findings import (
    Claim,
    Findings,
    Number,
    Unit,
    above,
    decided,
    larger,
    numbers_of,
    p_value_of,
    percent_of,
    ratio_of,
    text_of,
)
from airbench_var.studies.scales import PAPER_EPOCHS, Scale
from airbench_var.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

UNITS: dict[str, Unit] = {
    "mean_accuracy": "share",
    "test_set_std": "share",
    "independent_errors_std": "share",
    "distribution_wise_std": "share",
    "distribution_wise_variance": "variance",
    "split_half_correlation": "plain",
    "split_half_correlation_over_splits": "plain",
    "lucky_quarter_gain": "share",
    "lucky_quarter_gain_over_splits": "share",
}

#: Runs that are evaluated on their training images as well.
FITTED_RUNS = 10

#: What the paper prints for 0, 4, 16 and 64 epochs; of Fig 1, 2, 3 and 5.
PAPER = {
    "test_set_std": (0.0187, 0.0056, 0.0019, 0.0015),
    "range": (0.132, 0.066, 0.017, 0.014),
    "mean_accuracy": (None, None, None, 0.9442),
    "independent_errors_std": (None, 0.0022, None, 0.00145),
    "distribution_wise_std": (None, 0.0052, None, 0.00033),
    "lucky_quarter_gain": (None, None, None, 0.0002),
}


def arms(scale: Scale) -> list[Arm]:
    """Return one arm a length, each with seeds of its own so that they are independent of each other."""
    return [
        Arm(name=name, recipe=recipe, runs=scale.runs["durations"], seed=seed)
        for seed, (name, recipe) in enumerate(scale.lengths.items())
    ]


def _arms_and_fit(scale: Scale) -> list[Arm]:
    """Return the arms of all lengths, and few runs of the longest that are evaluated on their own images."""
    lengths = arms(scale)
    longest = lengths[-1]
    fitted = Arm(
        name=f"{longest.name}, on its training images",
        recipe=longest.recipe,
        runs=min(FITTED_RUNS, longest.runs),
        seed=len(lengths),
        test_sets=(f"train:{round(scale.train_images * scale.recipe.train_share)}",),
    )
    return [*lengths, fitted]


def arm_of(scale: Scale, epochs: float) -> Arm:
    """Return the arm of this length, whose recipe and runs other studies share."""
    [one] = [arm for arm in arms(scale) if arm.recipe.epochs == epochs]
    return one


def findings(evidence: Evidence) -> Findings:
    """Return what runs of several lengths, shortest first, say."""
    *trained, fitted = evidence.trained
    return Findings(
        numbers=[*(number for arm in trained for number in _numbers(arm)), _training_accuracy(fitted)],
        claims=list(_claims(trained)),
        figures=[
            Figure(
                name="accuracies",
                caption="Test-set accuracies of all runs, by training length, on axes of one width (paper, "
                "Fig 1).",
                draw=partial(_accuracies, trained),
                inches=(7, 1.0 + 1.4 * len(trained)),
            ),
            Figure(
                name="halves",
                caption="Each run's accuracy on the test examples of even and of odd index (paper, Fig 2).",
                draw=partial(_halves, trained),
                inches=(2.4 * len(trained), 3.0),
            ),
            Figure(
                name="independence",
                caption="Accuracies against what independent errors would give, the black line, with the "
                "rates of each example from the same runs (paper, Fig 3).",
                draw=partial(_independence, trained),
                inches=(2.4 * len(trained), 2.6),
            ),
            Figure(
                name="spread",
                caption="Spread (std) over runs on this test set and on its distribution, with 95 % "
                "intervals; the spread of independent errors beside them (paper, Fig 5).",
                draw=partial(_spread, trained),
                inches=(6, 3.6),
            ),
        ],
    )


def _numbers(trained: Trained) -> Iterator[Number]:
    arm, counts, estimates = trained.arm, trained.state.correct, trained.summary.estimates
    printed = {name: value for name in PAPER if (value := _paper(name, trained)) is not None}
    yield from numbers_of(arm.name, estimates, UNITS, printed)
    yield Number.bare(
        "range",
        arm.name,
        "share",
        float(np.ptp(counts.k_R)) / counts.n,
        counts=counts,
        method="largest less smallest accuracy; it grows with the number of runs",
        paper=printed.get("range"),
    )
    yield p_value_of(trained.summary.tests["variance_ratio"], arm.name, counts)


def _training_accuracy(fitted: Trained) -> Number:
    on_train = fitted.summary_of("train").estimates["mean_accuracy"]
    return Number.of(on_train, fitted.arm.name, "share", name="training_accuracy")


def _paper(name: str, trained: Trained) -> float | None:
    """Return what the paper prints of its network trained for as many epochs, if it does."""
    epochs = trained.arm.recipe.epochs
    return PAPER[name][PAPER_EPOCHS.index(epochs)] if epochs in PAPER_EPOCHS else None


def _claims(trained: Sequence[Trained]) -> Iterator[Claim]:
    short, long = next((one for one in trained if one.arm.recipe.epochs), trained[0]), trained[-1]
    yield _falls(trained, short, long)
    yield from _of_luck(short, long)
    yield from _of_independence(short, long)
    yield from _of_the_distribution(short, long)


def _of_luck(short: Trained, long: Trained) -> Iterator[Claim]:
    name = "split_half_correlation_over_splits"
    few, many = (one.summary.estimates[name] for one in (short, long))
    source = "section 3.1, Fig 2"
    yield above(
        few,
        0.0,
        text="Of short training, a run that is lucky on half of the test set is so on the other "
        f"(correlation above 0, {short.arm.name})",
        source=source,
        shown=f"correlation {text_of(few)}",
    )
    yield above(
        many,
        0.1,
        below=True,
        text=f"Of long training it is not (correlation below 0.1, {long.arm.name})",
        source=source,
        shown=f"correlation {text_of(many)}",
    )
    yield decided(
        larger,
        few,
        many,
        text=f"Longer training brings that correlation down ({long.arm.name} from {short.arm.name})",
        source=source,
        shown=f"{text_of(many)} from {text_of(few)}",
    )
    gain = long.summary.estimates["lucky_quarter_gain_over_splits"]
    share = ratio_of(gain, long.summary.estimates["test_set_std"], "gain_over_std")
    yield above(
        share,
        0.2,
        below=True,
        text="The best quarter of runs on one half gains at most a fifth of a std on the other (the paper: "
        f"0.02 of 0.15 %, {long.arm.name})",
        source=source,
        shown=f"{percent_of(gain)} of {_both(long, 'test_set_std')}, {text_of(share)} times",
    )


def _of_independence(short: Trained, long: Trained) -> Iterator[Claim]:
    name, source = "independent_errors", "section 3.2, Fig 3"
    here, by_chance = _variances(short, name)
    if by_chance.value:
        yield above(
            here,
            by_chance.value * 2,
            text="Of short training, runs vary more than independent errors explain (more than twice their "
            f"variance; the paper: 6.5 times, {short.arm.name})",
            source=source,
            shown=f"std {_both(short, 'test_set_std')}, of independent errors {_both(short, f'{name}_std')}",
        )
    here, by_chance = _variances(long, name)
    if by_chance.value:
        yield above(
            here,
            by_chance.value * 1.2,
            below=True,
            text="Of long training, independent errors explain nearly all variance (the rest is less than a "
            f"sixth of all, {long.arm.name})",
            source=source,
            shown=f"std {_both(long, 'test_set_std')}, of independent errors {_both(long, f'{name}_std')}",
        )


def _of_the_distribution(short: Trained, long: Trained) -> Iterator[Claim]:
    name, source = "distribution_wise", "section 3.3, Eq 3, Fig 5"
    here, real = _variances(short, name)
    if here.value:
        yield above(
            real,
            here.value / 2,
            text="Of short training, the variance on the distribution is more than half of that on the test "
            f"set (the paper: std 0.52 of 0.56 %, {short.arm.name})",
            source=source,
            shown=f"std {_both(short, f'{name}_std')} against {_both(short, 'test_set_std')}",
        )
    here, real = _variances(long, name)
    if here.value:
        yield above(
            real,
            here.value / 10,
            below=True,
            text="Of long training, the variance on the distribution is at most a tenth of that on the test "
            f"set (the paper: a twentieth, {long.arm.name})",
            source=source,
            shown=f"std {_both(long, f'{name}_std')} against {_both(long, 'test_set_std')}",
        )


def _variances(one: Trained, name: str) -> tuple[Estimate, Estimate]:
    """Return that on the test set and the one of this name."""
    estimates = one.summary.estimates
    return estimates["test_set_variance"], estimates[f"{name}_variance"]


def _falls(trained: Sequence[Trained], short: Trained, long: Trained) -> Claim:
    """Return whether the longest training gives a smaller spread than the shortest, by both variances."""
    text = f"Longer training gives a smaller spread over runs ({long.arm.name} than {short.arm.name})"
    source = "section 2, Fig 1"
    lengths = trained[trained.index(short) :]
    shown = "std " + ", ".join(f"{_both(one, 'test_set_std')} at {one.arm.name}" for one in lengths)
    if not all(np.ptp(one.state.correct.k_R) for one in (short, long)):
        return Claim(text=text, source=source, verdict="cannot be told", because=f"no spread: {shown}")
    comparison = compare_counts("", short.state.correct, long.state.correct)
    ratio = comparison.estimates["variance_ratio_a_to_b"]
    shown += f"; variances {text_of(ratio)} to 1"
    return above(ratio, 1.0, text=text, source=source, shown=shown)


def _both(trained: Trained, name: str) -> str:
    return percent_of(trained.summary.estimates[name])


def _accuracies(trained: Sequence[Trained], canvas: "Canvas") -> None:
    axes = canvas.subplots(len(trained), 1, squeeze=False)[:, 0]
    all_R = [100 * one.state.correct.k_R / one.state.correct.n for one in trained]
    reach = 1.05 * max(float(np.abs(accuracy_R - accuracy_R.mean()).max()) for accuracy_R in all_R)
    for one, accuracy_R, axis, colour in zip(trained, all_R, axes, COLOURS, strict=False):
        counts, middle = one.state.correct, float(accuracy_R.mean())
        axis.set_xlim(middle - max(reach, 0.1), middle + max(reach, 0.1))  # of one width, to compare
        draw_histogram(axis, counts, colour)
        std = one.summary.estimates["test_set_std"]
        axis.set_title(
            f"{one.arm.name}: {counts.R:,} runs, mean {accuracy_R.mean():.2f} %, std {value_text(std)}"
        )
    axes[-1].set_xlabel("test-set accuracy, %")


def _halves(trained: Sequence[Trained], canvas: "Canvas") -> None:
    axes = canvas.subplots(1, len(trained), squeeze=False)[0]
    for one, axis, colour in zip(trained, axes, COLOURS, strict=False):
        draw_halves(axis, one.state.correct, colour)
        same_scales(axis)
        found = one.summary.estimates["split_half_correlation"].value
        axis.set_title(f"{one.arm.name}\ncorrelation {'none' if found is None else f'{found:.2f}'}")
    axes[0].set_ylabel("odd examples, %")


def _independence(trained: Sequence[Trained], canvas: "Canvas") -> None:
    axes = canvas.subplots(1, len(trained), squeeze=False)[0]
    for one, axis, colour in zip(trained, axes, COLOURS, strict=False):
        _against_the_law(one, axis, colour)
    axes[0].set_ylabel("runs, density")


def _against_the_law(one: Trained, axis: "Axes", colour: str) -> None:
    draw_histogram(axis, one.state.correct, colour, density=True, alpha=0.6)
    draw_laws(axis, one.state.correct, binomial=False)
    ratio = one.summary.tests["variance_ratio"].statistic
    axis.set_title(f"{one.arm.name}\nvariance ratio {'none' if ratio is None else f'{ratio:.2f}'}")
    axis.set_xlabel("accuracy, %")
    axis.locator_params(axis="x", nbins=4)


def _spread(trained: Sequence[Trained], canvas: "Canvas") -> None:
    axis = canvas.subplots()
    kinds = (
        ("test_set_std", "on this test set", "o"),
        ("independent_errors_std", "if errors were independent", "_"),
        ("distribution_wise_std", "on its distribution", "s"),
    )
    for kind, (name, label, marker) in enumerate(kinds):
        draw_estimates(
            axis,
            [place + 0.14 * (kind - 1) for place in range(len(trained))],
            [one.summary.estimates[name] for one in trained],
            colour=COLOURS[kind],
            label=label,
            marker=marker,
        )
    axis.set_xticks(range(len(trained)), [one.arm.name for one in trained])
    scale_for_stds(axis)
    axis.set_ylabel("std over runs, % (linear below 0.1)")
    axis.legend(ncols=len(kinds), loc="lower center", bbox_to_anchor=(0.5, 1.0))


STUDY = Study(
    name="durations",
    title="Training length and the spread of runs",
    source="sections 2 and 3, Fig 1, 2, 3 and 5",
    question="How much do runs differ after short and after long training, and how much of that is noise of "
    "the test set?",
    arms=_arms_and_fit,
    findings=findings,
)
