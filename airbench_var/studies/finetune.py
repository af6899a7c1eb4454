"""How finetuning differs from run to run, and whether validation finds the good runs: section 4.1, Fig 7."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from airbench_var.analysis import Estimate
from airbench_var.analysis.correlation import correlations
from airbench_var.analysis.intervals import around, wilson
from airbench_var.analysis.summary import LEVEL
from airbench_var.data.mrpc import TEST_SETS
from airbench_var.recipes import differences
from airbench_var.report.figures.canvas import COLOURS, Figure
from airbench_var.report.percent import value_text
from airbench_var.stats import CorrectnessCounts
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
from airbench_var.studies.scales import Scale
from airbench_var.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

VALIDATION, TEST = TEST_SETS
UNITS: dict[str, Unit] = {
    "mean_accuracy": "share",
    "test_set_std": "share",
    "independent_errors_std": "share",
    "distribution_wise_std": "share",
    "distribution_wise_variance": "variance",
    "ensemble_accuracy": "share",
}
#: On the test set, of BERT-base and of BERT-large.
PAPER = (
    {"test_set_std": 0.0080, "distribution_wise_std": 0.0021},
    {"test_set_std": 0.0224, "distribution_wise_std": 0.0208},
)
#: Why there is no interval that supposes accuracies to be about normal.
TWO_KINDS = "no interval: some runs learned nothing and others something, so accuracies are far from normal"
#: Of the runs, those of the best validation accuracy whose gain on the test set is measured.
CHOSEN_SHARE, PAPER_GAIN = 0.15, 0.0009
SEED = 1100


def arms(scale: Scale) -> list[Arm]:
    """Return the stable and the unstable setting of the scale."""
    return [
        Arm(name=name, recipe=recipe, runs=scale.runs["finetune"], seed=SEED + place)
        for place, (name, recipe) in enumerate(scale.finetuning.items())
    ]


def findings(evidence: Evidence) -> Findings:
    """Return the spread of both settings, how both test sets go together, and what choosing by one gains."""
    trained = evidence.trained
    stable, unstable = trained
    apart = differences(stable.arm.recipe, unstable.arm.recipe)
    return Findings(
        numbers=[
            number for one, paper in zip(trained, PAPER, strict=True) for number in _numbers(one, paper)
        ],
        claims=list(_claims(stable, unstable)),
        figures=[
            Figure(
                name="validation-and-test",
                caption="Each run's accuracy on the validation and on the test set, larger where several "
                "runs have the same two; dashed: their means (paper, Fig 7).",
                draw=partial(_scatter, trained),
                inches=(7, 3.4),
            )
        ],
        notes=[
            "The unstable setting differs from the stable one by "
            + ", ".join(f"{key} = {there} (stable: {here})" for key, (here, there) in apart.items())
            + "."
        ],
    )


def _numbers(one: Trained, paper: dict[str, float]) -> Iterator[Number]:
    for test_set in (TEST, VALIDATION):
        arm = f"{one.arm.name}, {test_set}"
        known = paper if test_set == TEST else None
        yield from numbers_of(arm, one.summary_of(test_set).estimates, UNITS, known)
        yield p_value_of(
            one.summary_of(test_set).tests["variance_ratio"], arm, one.state_of(test_set).correct
        )
    yield Number.of(_real_share(one), f"{one.arm.name}, {TEST}", "plain")
    collapsed = collapsed_share(one)
    yield from _correlation(one, collapsed)
    yield Number.of(collapsed, one.arm.name, "share")
    gain = _gain(one, collapsed)
    yield Number.of(gain, one.arm.name, "share", paper=PAPER_GAIN if paper is PAPER[0] else None)


def _claims(stable: Trained, unstable: Trained) -> Iterator[Claim]:
    source = "section 4.1, Fig 7"
    at_stable, at_unstable = (_real_share(one) for one in (stable, unstable))
    yield above(
        at_stable,
        0.5,
        below=True,
        text="In the stable setting, the spread on the distribution is less than half of that on the test "
        "set (0.21 of 0.80 % in the paper)",
        source=source,
        shown=_shown(at_stable, stable),
    )
    yield above(
        at_unstable,
        0.5,
        text="In the unstable setting, it is more than half (2.08 of 2.24 % in the paper)",
        source=source,
        shown=_shown(at_unstable, unstable),
    )
    stds = [one.summary_of(TEST).estimates["distribution_wise_std"] for one in (unstable, stable)]
    yield decided(
        larger,
        *stds,
        text="The unstable setting has the larger spread on the distribution (2.08 against 0.21 %)",
        source=source,
        shown=f"{percent_of(stds[0])} against {percent_of(stds[1])}",
    )
    gain = _gain(stable, collapsed_share(stable))
    std = stable.summary_of(TEST).estimates["test_set_std"]
    text = (
        "In the stable setting, the best 15 % of runs by validation accuracy gain less than half a standard "
        "deviation on the test set (0.09 of 0.80 % in the paper)"
    )
    if not std.value:
        yield Claim(text=text, source=source, verdict="cannot be told", because="runs do not differ")
        return
    share = ratio_of(gain, std, "gain_over_std")
    shown = f"{percent_of(gain)} of {percent_of(std)}, {text_of(share)} times"
    yield above(share, 0.5, below=True, text=text, source=source, shown=shown)


def _shown(share: Estimate, one: Trained) -> str:
    estimates = one.summary_of(TEST).estimates
    return (
        f"{percent_of(estimates['distribution_wise_std'])} of {percent_of(estimates['test_set_std'])}, "
        f"{text_of(share)} times"
    )


def _real_share(one: Trained) -> Estimate:
    """Return the spread on the distribution over that on the test set."""
    estimates = one.summary_of(TEST).estimates
    return ratio_of(estimates["distribution_wise_std"], estimates["test_set_std"], "real_share_of_std")


def _correlation(one: Trained, collapsed: Estimate) -> list[Number]:
    """Return the correlation of both test sets; none where runs do not differ on one of them."""
    counts = [(name, one.state_of(name).correct) for name in (VALIDATION, TEST)]
    name, arm, of_validation = "validation_test_correlation", one.arm.name, counts[0][1]
    found = correlations(counts, level=LEVEL)
    if two_kinds(collapsed):
        return [
            Number.bare(name, arm, "plain", pair.r, counts=of_validation, method="Pearson", absent=TWO_KINDS)
            for pair in found
        ]
    return [
        Number.of_correlation(
            pair,
            name,
            arm,
            counts=of_validation,
            method=f"Pearson, Fisher's z; p = {pair.p_value:.2g} (Student's t) for no correlation",
        )
        for pair in found
    ]


def _gain(one: Trained, collapsed: Estimate) -> Estimate:
    by, on = (one.state_of(name).correct for name in (VALIDATION, TEST))
    gain = gain_of_choosing(by, on, CHOSEN_SHARE, LEVEL)
    return replace(gain, interval=None, absent=TWO_KINDS) if two_kinds(collapsed) else gain


def two_kinds(collapsed: Estimate) -> bool:
    """Return whether some runs learned nothing and others something: accuracies are far from normal."""
    return collapsed.value is not None and 0 < collapsed.value < 1


def collapsed_share(one: Trained) -> Estimate:
    """Return the share of runs that call every example of the test set the same class: they learned nothing.

    The interval is Wilson's. Assumption: the runs are independent. Of BERT's unstable finetuning it is known
    that such runs make most of its spread (Mosbach et al., ICLR 2021).
    """
    counts = one.state_of(TEST).correct
    blocks = one.store.blocks(TEST, one.run_ids_R, column="predicted")
    collapsed = sum(int((block.rows_Rb == block.rows_Rb[:, :1]).all(axis=1).sum()) for block in blocks)
    value = collapsed / counts.R
    return Estimate(
        name="share_of_runs_that_learned_nothing",
        target="this test set",
        value=value,
        interval=wilson(value, counts.R, LEVEL),
        level=LEVEL,
        absent="",
        method=f"{collapsed} of {counts.R} runs call all examples the same class; Wilson's interval",
        assumption="runs are independent",
        runs=counts.R,
        examples=counts.n,
    )


def gain_of_choosing(by: CorrectnessCounts, on: CorrectnessCounts, share: float, level: float) -> Estimate:
    """Return by how much the best runs on one test set are above the mean of all runs on another.

    Chosen are the `share` of runs with the highest accuracy there, rounded up; of equal ones the earlier. The
    interval is Welch's, of the mean of the chosen less that of the others, times the share of the others.

    Assumption: the runs are independent, and the two groups about normal on the second test set. It fails
    where few runs are chosen, or some collapse and others do not. Source: paper, section 4.1.

    Raises: ValueError for test sets of other runs.
    """
    if not np.array_equal(by.run_ids_R, on.run_ids_R):
        raise ValueError("both test sets need the same runs.")
    n_chosen = math.ceil(share * on.R)
    order_R = np.argsort(-by.k_R, kind="stable")
    groups = [on.k_R[part] / on.n for part in (order_R[:n_chosen], order_R[n_chosen:])]
    value, interval, absent = None, None, f"{on.R} runs: two of each group are needed"
    if min(map(len, groups)) >= 2:
        rest = len(groups[1]) / on.R
        value, absent = rest * float(groups[0].mean() - groups[1].mean()), ""
        variances = [float(group.var(ddof=1)) / len(group) for group in groups]
        error, freedom = math.sqrt(sum(variances)), _welch_freedom(variances, groups)
        interval = around(value, rest * error, freedom, level)
    return Estimate(
        name="gain_of_the_best_by_validation",
        target="this test set",
        value=value,
        interval=interval,
        level=level,
        absent=absent,
        method=f"mean of the best {n_chosen} of {on.R} runs less that of all; Welch's t",
        assumption="runs are independent, both groups about normal",
        runs=on.R,
        examples=on.n,
    )


def _welch_freedom(variances: Sequence[float], groups: Sequence[npt.NDArray[np.float64]]) -> float:
    parts = sum(variance**2 / (len(group) - 1) for variance, group in zip(variances, groups, strict=True))
    return sum(variances) ** 2 / parts if parts else math.inf


def _scatter(trained: Sequence[Trained], canvas: "Canvas") -> None:
    axes = canvas.subplots(1, len(trained), squeeze=False)[0]
    for one, axis, colour in zip(trained, axes, COLOURS, strict=False):
        x_R, y_R = (
            100 * one.state_of(name).correct.k_R / one.state_of(name).correct.n for name in (VALIDATION, TEST)
        )
        at_P2, runs_P = np.unique(np.stack((x_R, y_R), axis=1), axis=0, return_counts=True)
        axis.scatter(*at_P2.T, s=12 * runs_P, alpha=0.6, color=colour, linewidths=0)
        axis.margins(0.12)  # for the largest
        axis.axvline(float(x_R.mean()), color="grey", linestyle="--", linewidth=0.8)
        axis.axhline(float(y_R.mean()), color="grey", linestyle="--", linewidth=0.8)
        together = "no spread"
        for found in _correlation(one, collapsed_share(one)):
            together = f"r = {found.value:.2f}"
            if found.low is not None:
                together += f" ({found.low:.2f} to {found.high:.2f})"
        std = one.summary_of(TEST).estimates["test_set_std"]
        axis.set_title(f"{one.arm.name}: test std {value_text(std)}\n{together}", fontsize=9)
        axis.set_xlabel("validation accuracy, %")
    axes[0].set_ylabel("test accuracy, %")


STUDY = Study(
    name="finetune",
    title="Finetuning: how much of the spread is real",
    source="section 4.1, Fig 7",
    question="Do runs of finetuning differ on the distribution, and does validation find the better ones?",
    arms=arms,
    findings=findings,
    data="mrpc",
)
