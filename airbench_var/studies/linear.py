"""A model that converges to one solution has almost no variance between runs: paper, section 3.4, Fig 7."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from airbench_var.report.figures.canvas import COLOURS, Figure
from airbench_var.studies.arms import Arm, Evidence, Trained
from airbench_var.studies.findings import (
    Claim,
    Findings,
    Number,
    Unit,
    Verdict,
    above,
    numbers_of,
    percent_of,
)
from airbench_var.studies.scales import Scale
from airbench_var.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

UNITS: dict[str, Unit] = {
    "mean_accuracy": "share",
    "test_set_std": "share",
    "independent_errors_std": "share",
    "distribution_wise_std": "share",
    "distribution_wise_variance": "variance",
    "disagreement": "share",
}
#: "below 0.01 %"
PAPER = {"test_set_std": 0.0001}
SEED = 500
#: So many equal runs leave at most one in ten for another number (exact, at 95 %).
RUNS_THAT_TELL = 29


def arms(scale: Scale) -> list[Arm]:
    """Return the one arm of the linear model."""
    return [Arm(name="linear", recipe=scale.linear, runs=scale.runs["linear"], seed=SEED)]


def findings(evidence: Evidence) -> Findings:
    """Return how little runs differ, and on how many examples any two do."""
    [one] = evidence.trained
    counts, estimates = one.state.correct, one.summary.estimates
    numbers = [*numbers_of(one.arm.name, estimates, UNITS, PAPER)]
    numbers.append(
        Number.bare(
            "examples_that_vary",
            one.arm.name,
            "count",
            int(((counts.c_N > 0) & (counts.c_N < counts.R)).sum()),
            counts=counts,
            method="right in some runs and wrong in others",
        )
    )
    return Findings(
        numbers=numbers,
        claims=[_claim(one)],
        figures=[
            Figure(
                name="accuracies",
                caption="Correct examples of every run less the smallest number: a column is one example "
                "more (paper, Fig 7 left).",
                draw=partial(_accuracies, one),
                inches=(5, 2.6),
            )
        ],
    )


def _claim(one: Trained) -> Claim:
    counts, estimates = one.state.correct, one.summary.estimates
    std = estimates["test_set_std"]
    text = "A regularised linear model has almost no variance between runs (std below 0.01 %)"
    source = "section 3.4, Fig 7 left"
    if np.ptp(counts.k_R) == 0:  # no scale for an interval
        because = f"all {counts.R:,} runs are right on {counts.k_R[0]:,} examples"
        verdict: Verdict = "holds" if counts.R >= RUNS_THAT_TELL else "cannot be told"
        return Claim(text=text, source=source, verdict=verdict, because=because)
    real = percent_of(estimates["distribution_wise_std"])
    accuracy = percent_of(estimates["mean_accuracy"])
    shown = f"std {percent_of(std)}, on the distribution {real}; mean accuracy {accuracy}"
    return above(std, PAPER["test_set_std"], below=True, text=text, source=source, shown=shown)


def _accuracies(one: Trained, canvas: "Canvas") -> None:
    axis, k_R = canvas.subplots(), one.state.correct.k_R
    value_V, runs_V = np.unique(k_R - k_R.min(), return_counts=True)
    axis.bar(value_V, runs_V, width=0.9, color=COLOURS[0])
    axis.set_xlabel(f"correct examples of {one.state.correct.n:,}, beyond {k_R.min():,}")
    axis.set_ylabel("runs")
    axis.set_xticks(value_V)


STUDY = Study(
    name="linear",
    title="A model with one solution: almost no variance between runs",
    source="section 3.4, Fig 7 left",
    question="Do runs of a regularised linear model, which converge to one solution, differ?",
    arms=arms,
    findings=findings,
)
