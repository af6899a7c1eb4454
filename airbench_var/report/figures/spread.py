"""The spread of runs against what predicts it: independent errors, the binomial law, the error alone."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from airbench_var.analysis import Estimate
from airbench_var.analysis.theorems import Collapses
from airbench_var.report.figures.canvas import COLOURS, draw_estimates, ink

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_stds(axis: "Axes", rows: Sequence[tuple[str, str]], estimates: Mapping[str, Estimate]) -> None:
    """Draw standard deviations over runs, one row (label, name) each, with their intervals."""
    there = [(label, name) for label, name in rows if name in estimates and estimates[name].value is not None]
    for place, (_, name) in enumerate(there):
        draw_estimates(
            axis, [-place], [estimates[name]], colour=COLOURS[_colour(name)], across=True, marker="o"
        )
        if estimates[name].interval is None:
            axis.plot(100 * (estimates[name].value or 0), -place, "o", color=COLOURS[_colour(name)])
    axis.set_yticks([-place for place in range(len(there))], [label for label, _ in there])
    axis.set_ylim(-len(there) + 0.4, 0.6)
    axis.set_xlim(left=0)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x", color=ink(), alpha=0.15, linewidth=0.6)
    axis.set_xlabel("std over runs, %")


def _colour(name: str) -> int:
    """Return one colour for the test set, one for its distribution, and one for all predictions."""
    return {"test_set_std": 0, "distribution_wise_std": 2}.get(name, 1)


def draw_tasks(axis: "Axes", found: Collapses) -> None:
    """Draw the std over runs of every binary task over its error, and what two laws predict from that."""
    order_T = np.argsort(found.error_T)
    error_T = 100 * found.error_T[order_T]
    axis.scatter(
        error_T, 100 * np.sqrt(found.variance_T[order_T]), s=6, color=COLOURS[0], linewidths=0, label="tasks"
    )
    axis.plot(error_T, 100 * np.sqrt(found.predicted_T[order_T]), color=ink(), label="Theorem 3, err / 2n")
    axis.plot(error_T, 100 * np.sqrt(found.binomial_T[order_T]), "--", color=COLOURS[1], label="binomial law")
    axis.set_xlabel("error of the task, %")
    axis.set_ylabel("std over runs, %")
    axis.set_ylim(bottom=0)
    axis.legend()
