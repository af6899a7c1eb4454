"""Is the ensemble of all runs calibrated, and what follows: the paper's section 3.4, Theorems 4 and 5."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from airbench_var.report.figures.canvas import COLOURS, Figure
from airbench_var.report.figures.votes import draw_reliability
from airbench_var.report.paragraph import p_equals
from airbench_var.studies import durations
from airbench_var.studies.arms import Evidence, Trained
from airbench_var.studies.findings import (
    Claim,
    Findings,
    Number,
    Unit,
    above,
    near,
    numbers_of,
    p_value_of,
    percent_of,
    text_of,
)
from airbench_var.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

UNITS: dict[str, Unit] = {
    "mean_accuracy": "share",
    "ensemble_accuracy": "share",
    "disagreement": "share",
    "disagreement_gap": "share",
    "calibration_error": "share",
    "label_free_variance": "variance",
    "independent_errors_variance": "variance",
    "theorem_4_ratio": "plain",
}


def findings(evidence: Evidence) -> Findings:
    """Return gaps, calibration error, disagreement and the bound of Theorem 4, by length."""
    trained = evidence.trained
    learned = [one for one in trained if one.arm.recipe.epochs] or list(trained)
    return Findings(
        numbers=[number for one in trained for number in _numbers(one)],
        claims=list(_claims(learned[-1])),
        figures=[
            Figure(
                name="reliability",
                caption="Examples and classes, by how many of all runs but one call them so. Across: how "
                "often that one run does; upwards: how often the label does; on the line if calibrated. Each "
                "run is left out once, so that few runs make no error of their own. Bars: two standard "
                "errors for fresh examples and runs (paper, Definition 2).",
                draw=partial(_reliability, learned),
                inches=(2.5 * len(learned), 2.9),
            ),
            Figure(
                name="disagreement",
                caption="How often two runs disagree, against how often one is wrong; equal if the "
                "ensemble is "
                "calibrated (paper, Theorem 5).",
                draw=partial(_disagreement, learned),
                inches=(4.2, 3.4),
            ),
        ],
        notes=["Untrained networks are in the numbers and left out of the figures."],
    )


def _numbers(one: Trained) -> Iterator[Number]:
    yield from numbers_of(one.arm.name, one.summary.estimates, UNITS)
    yield p_value_of(one.summary.tests["calibration"], one.arm.name, one.state.correct)


def _claims(one: Trained) -> Iterator[Claim]:
    estimates, arm = one.summary.estimates, one.arm.name
    error, gap = estimates["calibration_error"], estimates["disagreement_gap"]
    test = one.summary.tests["calibration"]
    p_value = test.p_value
    yield above(
        error,
        0.05,
        below=True,
        text=f"The ensemble is nearly calibrated by class (calibration error below 5 %; {arm})",
        source="section 3.4, Definition 2",
        shown=f"{percent_of(error)}, a conservative interval; exactly calibrated is "
        f"{'not told' if p_value is None else 'rejected' if p_value < 0.05 else 'not rejected'}"
        f"{'' if p_value is None else f', p {p_equals(p_value, test.least_p_value)}'}",
    )
    wrong = 1 - (estimates["mean_accuracy"].value or 0.0)
    yield near(
        gap,
        0.0,
        wrong / 10,
        text=f"Two runs disagree as often as one is wrong, within a tenth ({arm})",
        source="appendix B.5, Theorem 5",
        shown=f"disagreement {percent_of(estimates['disagreement'])}, error {100 * wrong:.2f} %, the "
        f"difference on the distribution {percent_of(gap)}",
    )
    ratio = estimates["theorem_4_ratio"]
    yield above(
        ratio,
        1.0,
        text=f"The test-set variance is at least err / (n k) ({arm})",
        source="section 3.4, Theorem 4",
        shown=f"{text_of(ratio)} times that",
    )


def _reliability(trained: Sequence[Trained], canvas: "Canvas") -> None:
    axes = canvas.subplots(1, len(trained), squeeze=False, sharey=True)[0]
    for one, axis, colour in zip(trained, axes, COLOURS, strict=False):
        axis.set_title(one.arm.name)
        draw_reliability(axis, one.summary.reliability, colour)
    axes[0].set_ylabel("share of that class")


def _disagreement(trained: Sequence[Trained], canvas: "Canvas") -> None:
    axis = canvas.subplots()
    highest = 0.0
    for one, colour in zip(trained, COLOURS, strict=False):
        accuracy = one.summary.estimates["mean_accuracy"].value
        both = one.summary.estimates["disagreement"].value
        if accuracy is None or both is None:
            continue
        axis.plot(100 * (1 - accuracy), 100 * both, "o", color=colour, label=one.arm.name)
        highest = max(highest, 100 * (1 - accuracy), 100 * both)
    axis.plot([0, 1.1 * highest], [0, 1.1 * highest], color="black", linewidth=0.6)
    axis.set_xlabel("error of one run, %")
    axis.set_ylabel("two runs disagree, %")
    axis.legend()


STUDY = Study(
    name="calibration",
    title="Is the ensemble of runs calibrated?",
    source="section 3.4, Definition 2, Theorems 4 and 5",
    question="Among the examples that a share q of runs calls a class, is a share q of that class?",
    arms=durations.arms,
    findings=findings,
)
