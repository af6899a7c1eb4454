"""The binomial law overestimates how much runs differ: the paper's Appendix E, Fig 14."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from airbench_var.analysis import Estimate
from airbench_var.studies import durations
from airbench_var.studies.arms import Evidence, Trained
from airbench_var.studies.figures import COLOURS
from airbench_var.studies.findings import (
    Claim,
    Figure,
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
    accuracy_R = 100 * counts.k_R / counts.n
    axis.hist(accuracy_R, bins=min(40, max(8, counts.R // 10)), density=True, color=COLOURS[0], alpha=0.5)
    reach = max(np.ptp(accuracy_R), 0.1)
    x_X = np.linspace(accuracy_R.min() - reach / 2, accuracy_R.max() + reach / 2, 400)
    for name, label, colour in (
        ("binomial_std", "binomial law", COLOURS[1]),
        ("independent_errors_std", "independent errors", COLOURS[6]),
    ):
        std = 100 * (trained.summary.estimates[name].value or 0.0)
        if std:
            density_X = np.exp(-(((x_X - accuracy_R.mean()) / std) ** 2) / 2) / std / np.sqrt(2 * np.pi)
            axis.plot(x_X, density_X, color=colour, label=f"{label}, std {std:.3f} %")
    axis.set_title(f"{trained.arm.name}: {counts.R:,} runs, std {np.std(accuracy_R, ddof=1):.3f} %")
    axis.set_xlabel("test-set accuracy, % (the laws as normal curves)")
    axis.set_yticks([])
    axis.legend()


STUDY = Study(
    name="binomial",
    title="The binomial law and the spread of runs",
    source="appendix E, Fig 14",
    question="Would runs differ as much if every example were equally hard?",
    arms=durations.arms,
    findings=findings,
)
