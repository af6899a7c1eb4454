"""The binomial law overestimates how much runs differ: the paper's Appendix E, Fig 14."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from airbench_var.analysis import Estimate
from airbench_var.report.figures.accuracies import draw_histogram, draw_laws
from airbench_var.report.figures.canvas import COLOURS, Figure
from airbench_var.report.percent import value_text
from airbench_var.studies import durations
from airbench_var.studies.arms import Evidence, Trained
from airbench_var.studies.findings import (
    Claim,
    Findings,
    Number,
    above,
    numbers_of,
    over,
    percent_of,
    text_of,
)
from airbench_var.studies.scales import PAPER_EPOCHS
from airbench_var.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def findings(evidence: Evidence) -> Findings:
    """Return the binomial variance of each length over the variance that runs have."""
    trained = evidence.trained
    return Findings(
        numbers=[number for one in trained for number in _numbers(one)],
        claims=[_claim(trained[-1])],
        figures=[
            Figure(
                name="binomial",
                caption="Accuracies of all runs after the longest training; the binomial law of their "
                "mean, and the "
                "law of independent errors whose examples are each as hard as they are (paper, Fig 14).",
                draw=partial(_laws, trained[-1]),
                inches=(6, 3.2),
            )
        ],
    )


def ratio(trained: Trained) -> Estimate:
    """Return p (1 - p) / n over the test-set variance."""
    estimates = trained.summary.estimates
    binomial = estimates["binomial_variance"].value or 0.0
    return over(binomial, estimates["test_set_variance"], "binomial_over_test_set_variance", inverse=True)


def _numbers(trained: Trained) -> Iterator[Number]:
    name, estimates = trained.arm.name, trained.summary.estimates
    yield from numbers_of(name, estimates, {"test_set_std": "share", "binomial_std": "share"})
    paper = 2.5 if trained.arm.recipe.epochs == PAPER_EPOCHS[-1] else None
    yield Number.of(ratio(trained), name, "plain", paper=paper)


def _claim(longest: Trained) -> Claim:
    estimates = longest.summary.estimates
    found = ratio(longest)
    return above(
        found,
        1.0,
        text=f"The binomial law overestimates the variance (the paper: 2.5 times; {longest.arm.name})",
        source="appendix E, Fig 14",
        shown=f"{text_of(found)} times; std {percent_of(estimates['test_set_std'])}, binomial "
        f"{percent_of(estimates['binomial_std'])}",
    )


def _laws(trained: Trained, canvas: "Canvas") -> None:
    axis, counts = canvas.subplots(), trained.state.correct
    draw_histogram(axis, counts, COLOURS[0], density=True, alpha=0.5)
    draw_laws(axis, counts)
    axis.set_title(
        f"{trained.arm.name}: {counts.R:,} runs, std {value_text(trained.summary.estimates['test_set_std'])}"
    )
    axis.set_xlabel("test-set accuracy, %")
    axis.legend()


STUDY = Study(
    name="binomial",
    title="The binomial law and the spread of runs",
    source="appendix E, Fig 14",
    question="Would runs differ as much if every example were equally hard?",
    arms=durations.arms,
    findings=findings,
)
