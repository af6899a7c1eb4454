"""Variance under distribution shift, and whether luck carries over: the paper's section 4.4, Fig 9 and 10."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from airbench_var.analysis import Estimate
from airbench_var.analysis.correlation import Correlation, correlations, discoveries
from airbench_var.analysis.summary import LEVEL
from airbench_var.data.corruptions import KINDS
from airbench_var.recipes.paper import resnet18_imagenet
from airbench_var.report.figures.canvas import COLOURS, Figure, draw_estimates
from airbench_var.stats import CorrectnessCounts
from airbench_var.studies import durations
from airbench_var.studies.arms import Arm, Evidence, Trained
from airbench_var.studies.findings import (
    Claim,
    Findings,
    Number,
    Unit,
    Verdict,
    decided,
    larger,
    numbers_of,
    percent_of,
)
from airbench_var.studies.scales import Scale
from airbench_var.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from matplotlib.image import AxesImage

UNITS: dict[str, Unit] = {
    "mean_accuracy": "share",
    "test_set_std": "share",
    "independent_errors_std": "share",
    "distribution_wise_std": "share",
    "distribution_wise_variance": "variance",
}
#: The strongest correlation that the paper finds, between ImageNet-R and Sketch.
PAPER_R_SQUARED = 0.14
#: Of the paper's network on ImageNet, by the name of the test set's file.
PAPER = {
    "val": {"mean_accuracy": 0.710, "test_set_std": 0.00118, "distribution_wise_std": 0.00034},
    "v2": {"distribution_wise_std": 0.00071},
    "r": {"distribution_wise_std": 0.00181},
    "sketch": {"distribution_wise_std": 0.00257},
    "objectnet": {"distribution_wise_std": 0.00179},
}
SEED = 600
_SAME_IMAGES = (
    "The corruptions show the images of the test set again, so that test sets go together by the images "
    "that they share; the verdict is on the covariances of distinct images, as if they had none in common."
)


def arms(scale: Scale) -> list[Arm]:
    """Return one arm, evaluated on every corruption of the test set at the severities of the scale.

    On photographs, on the published test sets alone.
    """
    if scale.on_photos:
        photos = Arm(
            name="shift",
            recipe=scale.photos,
            runs=scale.runs["shift"],
            seed=SEED,
            test_sets=scale.published,
        )
        return [photos]
    recipe = durations.arm_of(scale, scale.one_epochs).recipe
    names = tuple(f"{kind}-{severity}" for kind in KINDS for severity in scale.severities)
    return [
        Arm(
            name="shift",
            recipe=recipe,
            runs=scale.runs["shift"],
            seed=SEED,
            test_sets=names + scale.published,
        )
    ]


def findings(evidence: Evidence) -> Findings:
    """Return the spread on every test set, and how accuracies on them go together."""
    [one] = evidence.trained
    names = [one.store.test_sets[0], *_at_one_severity(one, evidence.scale)]
    counts = [(name, one.state_of(name).correct) for name in names]
    rows = {name: one.correct_RN(name) for name in _showing_the_same_images(one, names)}
    whole, apart = correlations(counts, level=LEVEL), correlations(counts, level=LEVEL, same_images=rows)
    return Findings(
        numbers=[
            *_numbers(one, PAPER if _is_the_papers(evidence) else {}),
            *_correlated(one, "whole", whole, PAPER_R_SQUARED if _is_the_papers(evidence) else None),
            *_correlated(one, "distinct_images", apart),
        ],
        claims=[
            _larger_under_shift(one),
            _uncorrelated(apart, one.state.correct),
        ],
        figures=[
            Figure(
                name="spread",
                caption="Spread (std) over the same runs on each test set and on its distribution, with 95 % "
                "intervals (paper, Fig 9).",
                draw=partial(_spread, one),
                inches=(max(7.0, 0.15 * len(one.store.test_sets)), 4.6),
            ),
            Figure(
                name="correlations",
                caption="R^2 over runs of the accuracies on two test sets. Left: as they are, of which the "
                "corrupted ones show the same images; right: of distinct images alone, as if the test sets "
                "had none in common (paper, Fig 10).",
                draw=partial(_correlations, names, whole, apart),
                inches=(max(7.0, 0.6 * len(names)), max(4.7, 0.4 * len(names))),
            ),
        ],
        notes=[
            f"Published test sets: {', '.join(evidence.scale.published) or 'none'}. "
            + ("" if evidence.scale.on_photos else _SAME_IMAGES)
        ],
    )


def _at_one_severity(one: Trained, scale: Scale) -> list[str]:
    severity = scale.severities[len(scale.severities) // 2]
    corrupted = () if scale.on_photos else (f"{kind}-{severity}" for kind in KINDS)
    published = [text.partition(":")[0] for text in scale.published]

    def at_another(name: str) -> bool:
        start = name.rpartition("-")[0]
        return start.startswith("cifar10-c-") and name != f"{start}-{severity}" in published

    return [*corrupted, *(name for name in published if not at_another(name))]


def _showing_the_same_images(one: Trained, names: Sequence[str]) -> list[str]:
    """Return those of the test sets that show the images of the first one, corrupted or not."""
    first = one.store.test_sets[0]
    n = one.state_of(first).correct.n
    return [
        name
        for name in names
        if one.state_of(name).correct.n == n
        and (name == first or name.startswith("cifar10-c-") or name.rpartition("-")[0] in KINDS)
    ]


def _is_the_papers(evidence: Evidence) -> bool:
    """Return whether this is the paper's network on as many classes as ImageNet has."""
    [one] = evidence.trained
    return one.arm.recipe == resnet18_imagenet() and len(evidence.data.classes) == 1000


def _numbers(one: Trained, paper: Mapping[str, Mapping[str, float]]) -> Iterator[Number]:
    for name in one.store.test_sets:
        yield from numbers_of(name, one.summary_of(name).estimates, UNITS, paper.get(name))


def _correlated(
    one: Trained, how: str, found: Sequence[Correlation], paper: float | None = None
) -> Iterator[Number]:
    if strongest := max(found, key=lambda pair: abs(pair.r), default=None):
        yield Number.bare(
            f"strongest_r_squared_of_{how}",
            " and ".join(strongest.names),
            "plain",
            strongest.r**2,
            counts=one.state.correct,
            method="the largest among all pairs",
            paper=paper,
        )
    for pair in found:
        counts = min((one.state_of(name).correct for name in pair.names), key=lambda of: of.n)
        yield Number.of_correlation(
            pair,
            f"correlation_of_{how}",
            " and ".join(pair.names),
            counts=counts,
            method=pair.method,
        )
        yield Number.bare(
            f"p_value_of_{how}",
            " and ".join(pair.names),
            "plain",
            pair.p_value,
            counts=counts,
            method="Student's t, two-sided; null: no correlation",
            target="these test sets",
            absent="no interval: it is a p-value",
        )


def _larger_under_shift(one: Trained) -> Claim:
    first, *shifted = one.store.test_sets
    base, *others = (
        one.summary_of(name).estimates["distribution_wise_variance"] for name in one.store.test_sets
    )
    verdicts = dict(zip(shifted, (larger(other, base) for other in others), strict=True))
    smaller = [name for name, verdict in verdicts.items() if verdict == "does not hold"]
    std = one.summary_of(first).estimates["distribution_wise_std"]
    return decided(
        _all_larger,
        base,
        *others,
        text="On every shifted test set the variance on its distribution is larger than without shift",
        source="section 4.4, Fig 9",
        shown=f"of {len(shifted)} test sets larger on {Counter(verdicts.values())['holds']}, smaller on "
        f"{len(smaller)}{' (' + ', '.join(smaller) + ')' if smaller else ''}, by intervals that do not "
        f"overlap; without shift std {percent_of(std)}",
    )


def _all_larger(base: Estimate, *others: Estimate) -> Verdict:
    verdicts = {larger(other, base) for other in others}
    if "does not hold" in verdicts:
        return "does not hold"
    return "cannot be told" if "cannot be told" in verdicts else "holds"


def _uncorrelated(found: Sequence[Correlation], counts: CorrectnessCounts) -> Claim:
    """Return whether every R^2 is below the paper's strongest; intervals hold for all pairs together."""
    text = f"Luck on one test set says little of another (R^2 below {PAPER_R_SQUARED} for every pair)"
    source = "appendix C, Fig 10"
    if not found:
        because = "accuracies do not vary"
        return Claim(text=text, source=source, verdict="cannot be told", because=because)
    strongest = max(found, key=lambda one: abs(one.r))
    return decided(
        _all_below,
        *(_as_estimate(pair, counts) for pair in found),
        text=text,
        source=source,
        shown=f"strongest {' and '.join(strongest.names)}, R^2 {strongest.r**2:.3f} (r {strongest.low:.2f} "
        f"to {strongest.high:.2f}); {discoveries(found)} of {len(found)} pairs are correlated at a false "
        "discovery rate of 5 %; without common images",
    )


def _as_estimate(pair: Correlation, counts: CorrectnessCounts) -> Estimate:
    return Estimate(
        name="correlation",
        target="this test set",
        value=pair.r,
        interval=(pair.low, pair.high),
        level=LEVEL,
        method="Pearson",
        assumption="accuracies are normal",
        runs=counts.R,
        examples=counts.n,
    )


def _all_below(*correlations: Estimate) -> Verdict:
    bound = math.sqrt(PAPER_R_SQUARED)
    intervals = [one.interval or (-1.0, 1.0) for one in correlations]
    if all(-bound < low and high < bound for low, high in intervals):
        return "holds"
    return (
        "does not hold" if any(low > bound or high < -bound for low, high in intervals) else "cannot be told"
    )


def _spread(one: Trained, canvas: "Canvas") -> None:
    axis, names = canvas.subplots(), one.store.test_sets
    for kind, (estimate, label) in enumerate(
        (("test_set_std", "on the test set"), ("distribution_wise_std", "on its distribution"))
    ):
        draw_estimates(
            axis,
            [place + 0.2 * (kind - 0.5) for place in range(len(names))],
            [one.summary_of(name).estimates[estimate] for name in names],
            colour=COLOURS[kind],
            label=label,
            marker="os"[kind],
        )
    labels = [
        f"{name}, {100 * (one.summary_of(name).estimates['mean_accuracy'].value or 0):.0f} % right"
        for name in names
    ]
    axis.set_xticks(range(len(names)), labels, rotation=90, fontsize=7)
    axis.set_ylim(bottom=0)
    axis.set_ylabel("std over runs, %")
    axis.legend()


def _correlations(
    names: Sequence[str], whole: Sequence[Correlation], apart: Sequence[Correlation], canvas: "Canvas"
) -> None:
    axes = canvas.subplots(1, 2, sharey=True)
    for axis, found, title in zip(
        axes, (whole, apart), ("test sets as they are", "distinct images alone"), strict=True
    ):
        shown = _matrix(axis, names, found)
        axis.set_title(title)
    canvas.colorbar(shown, ax=axes, label="R\N{SUPERSCRIPT TWO}", shrink=0.7)


def _matrix(axis: "Axes", names: Sequence[str], found: Sequence[Correlation]) -> "AxesImage":
    """Draw the lower triangle: the last name has no column, the first no row."""
    place_of = {name: place for place, name in enumerate(names)}
    square_MM = np.full((len(names) - 1, len(names) - 1), np.nan)
    for pair in found:
        low, high = sorted(place_of[name] for name in pair.names)
        square_MM[high - 1, low] = pair.r**2
        colour = "white" if pair.r**2 > 0.6 else "black"
        axis.text(low, high - 1, f"{pair.r**2:.2f}", ha="center", va="center", fontsize=6, color=colour)
    shown = axis.imshow(square_MM, cmap="YlOrBr", vmin=0, vmax=1)
    axis.set_xticks(range(len(names) - 1), names[:-1], rotation=90, fontsize=7)
    axis.set_yticks(range(len(names) - 1), names[1:], fontsize=7)
    for spine in axis.spines.values():
        spine.set_visible(False)
    return shown


STUDY = Study(
    name="shift",
    title="Shifted test sets: how runs differ there, and whether luck carries over",
    source="section 4.4 and appendix C, Fig 9 and 10",
    question="Do runs differ more on shifted data, and is a run that is lucky on one test set so on another?",
    arms=arms,
    findings=findings,
    published=True,
)
