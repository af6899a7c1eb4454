"""Binary tasks made of the classes, whose variance the error alone predicts: paper, section 3.4, Fig 6."""

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from airbench_var.analysis import Estimate
from airbench_var.analysis.summary import LEVEL
from airbench_var.analysis.theorems import (
    Collapses,
    theorem_3_ratio_of_independent_errors,
    times_closer,
)
from airbench_var.report.figures.canvas import COLOURS, Figure
from airbench_var.report.figures.spread import draw_tasks
from airbench_var.report.percent import percent
from airbench_var.studies import durations
from airbench_var.studies.arms import Arm, Evidence, Trained
from airbench_var.studies.findings import Claim, Findings, Number, above, near, text_of
from airbench_var.studies.scales import Scale
from airbench_var.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

#: The paper's numbers; it does not say whether of variances or of standard deviations.
PAPER = {"r_squared": 0.996, "times_closer": 70.0}


def arms(scale: Scale) -> list[Arm]:
    """Return the arm of the longest training."""
    return durations.arms(scale)[-1:]


def findings(evidence: Evidence) -> Findings:
    """Return how the variances of all binary tasks follow from their errors."""
    trained = evidence.trained
    [one] = trained
    found = one.summary.collapses
    closer, both_terms = _over_chunks(one)
    assert found is not None  # a study's stores have predicted classes, of ten classes
    return Findings(
        numbers=list(_numbers(one, found, closer, both_terms)),
        claims=list(_claims(one, found, closer, both_terms)),
        figures=[
            Figure(
                name="tasks",
                caption=f"Every way to make two classes of ten, {len(found.error_T)} tasks: the std of "
                "runs against the error, what Theorem 3 predicts from the error alone, and the binomial law "
                "(paper, Fig 6).",
                draw=partial(_tasks, found),
                inches=(6, 3.8),
            ),
            Figure(
                name="parts",
                caption="The variance of each task less the prediction, and what the difference is made of: "
                "calibration of the ensemble on that task, and variance on the distribution (1e-6).",
                draw=partial(_parts, found),
                inches=(7, 2.8),
            ),
        ],
        notes=[
            f"{found.runs:,} runs leave a relative error of {percent(math.sqrt(2 / found.runs), 1)} in every "
            "variance, in the same direction for all tasks as they share their runs: R^2 cannot reach 1 with "
            "few runs."
        ],
    )


def _over_chunks(one: Trained) -> tuple[Estimate, Estimate | None]:
    """Return how many times closer Theorem 3 is than the binomial law, and its ratio with both terms."""
    counts = one.state.predicted
    assert counts is not None
    parts = [chunk.predicted for chunk in one.state.chunks.values() if chunk.predicted is not None]
    return times_closer(counts, parts, LEVEL), theorem_3_ratio_of_independent_errors(counts, parts, LEVEL)


def _numbers(
    one: Trained, found: Collapses, closer: Estimate, both_terms: Estimate | None
) -> Iterator[Number]:
    counts, arm = one.state.correct, one.arm.name
    yield Number.bare(
        "tasks", arm, "count", len(found.error_T), counts=counts, method="2**(K - 1) - 1", paper=511
    )
    for name, value in found.fit.items():
        paper = PAPER.get(name.rpartition("_")[0])
        if name == closer.name:
            yield Number.of(closer, arm, "plain", paper=paper)
            continue
        yield Number.bare(
            name,
            arm,
            "plain",
            value,
            counts=counts,
            method="over all tasks, prediction err / (2 n) against the binomial law",
            absent="no interval: tasks share their runs and examples",
            paper=paper,
        )
    for name, values_T in (
        ("mean_error", found.error_T),
        ("mean_test_set_variance", found.variance_T),
        ("mean_predicted_variance", found.predicted_T),
        ("mean_calibration_part", found.calibration_T),
        ("mean_distribution_wise_variance", found.distribution_wise_variance_T),
    ):
        yield Number.bare(
            name,
            arm,
            "share" if name == "mean_error" else "variance",
            float(values_T.mean()),
            counts=counts,
            method="mean over all tasks",
        )
    for ratio in (one.summary.estimates.get("theorem_3_ratio"), both_terms):
        if ratio is not None:
            yield Number.of(ratio, arm, "plain", paper=1.0)


def _claims(one: Trained, found: Collapses, closer: Estimate, both_terms: Estimate | None) -> Iterator[Claim]:
    if both_terms is not None:
        yield near(
            both_terms,
            1.0,
            0.1,
            text="The variance of binary tasks is that of the error and that on the distribution together, "
            f"within a tenth ({one.arm.name})",
            source="section 3.4, Theorem 3",
            shown="mean variance, less that on the distribution, over what the error says "
            f"{text_of(both_terms)}",
        )
    ratio = one.summary.estimates.get("theorem_3_ratio")
    if ratio is not None:
        yield near(
            ratio,
            1.0,
            0.1,
            text=f"It is what the error says alone, within a tenth ({one.arm.name})",
            source="section 3.4, Eq 6",
            shown=f"mean variance over what the error says {text_of(ratio)}",
        )
    yield above(
        closer,
        1.0,
        text=f"The error alone predicts the std of binary tasks better than the binomial law "
        f"({one.arm.name})",
        source="section 3.4, Theorem 3, Fig 6",
        shown=f"{text_of(closer)} times closer in mean squared distance of stds; R^2 "
        f"{found.fit['r_squared_std']:.3f} (the paper 0.996; these runs leave an error of "
        f"{percent(math.sqrt(2 / found.runs), 1)} in each variance)",
    )


def _tasks(found: Collapses, canvas: "Canvas") -> None:
    draw_tasks(canvas.subplots(), found)


def _parts(found: Collapses, canvas: "Canvas") -> None:
    axes = canvas.subplots(1, 3, sharey=True)
    for axis, values_T, title, colour in (
        (axes[0], found.variance_T - found.predicted_T, "variance less prediction", COLOURS[0]),
        (axes[1], found.calibration_T, "calibration", COLOURS[1]),
        (axes[2], found.distribution_wise_variance_T, "on the distribution", COLOURS[2]),
    ):
        axis.scatter(100 * found.error_T, 1e6 * values_T, s=5, color=colour, linewidths=0)
        axis.axhline(0, color="black", linewidth=0.6)
        axis.set_title(title)
        axis.set_xlabel("error of the task, %")
    axes[0].set_ylabel("variance, 1e-6")


STUDY = Study(
    name="binary",
    title="Binary tasks: the variance that the error predicts",
    source="section 3.4, Theorem 3, Fig 6",
    question="Does the error of a binary task alone say how much runs differ on it?",
    arms=arms,
    findings=findings,
)
