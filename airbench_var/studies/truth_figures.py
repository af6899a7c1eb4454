"""The pictures of the study of the truth."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from airbench_var.report.figures.canvas import COLOURS, draw_estimates, scale_for_stds
from airbench_var.studies.arms import Trained
from airbench_var.studies.fresh import accuracies, fresh_accuracies, lucky, measured
from airbench_var.studies.test_bed import Against, Truth

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

#: Runs, examples of a test set, the truth, the estimators, how many test sets.
Compared = tuple[int, int, Truth, list[Against], int]


def draw_estimators(compared: Sequence[Compared], canvas: "Canvas") -> None:
    """Draw the mean of each estimator over the truth, by setting."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis = canvas.subplots()
    labels = {"eq_3": "Eq 3", "plug_in": "plug-in", "test_set_variance": "test-set variance"}
    for place, (_, _, truth, found, _) in enumerate(compared):
        for offset, (one, colour) in enumerate(zip(found, COLOURS, strict=False)):
            error = math.hypot(one.standard_error, truth.standard_error)
            axis.errorbar(
                place + 0.18 * (offset - 1),
                one.mean / truth.value,
                2 * error / abs(truth.value),
                fmt="o",
                color=colour,
                capsize=3,
                label=labels[one.name] if not place else None,
            )
            axis.annotate(
                f"z {one.z:.1f}",
                (place + 0.18 * (offset - 1), one.mean / truth.value),
                textcoords="offset points",
                xytext=(6, 3),
                fontsize=7,
            )
    axis.axhline(1, color="black", linewidth=0.6)
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter("{x:g}")
    axis.set_xticks(range(len(compared)), [f"{R} networks, test sets of {n}" for R, n, *_ in compared])
    axis.set_xlim(-0.5, len(compared) - 0.4)
    axis.set_ylabel("mean estimate over the truth")
    axis.legend()


def draw_lengths(lengths: Sequence[Trained], canvas: "Canvas") -> None:
    """Draw the std on the distribution by length, measured and estimated."""
    axis = canvas.subplots()
    found = (
        ([measured(one).standard_deviation("measured_std") for one in lengths], "measured on fresh examples"),
        ([one.summary.estimates["distribution_wise_std"] for one in lengths], "Eq 3, one test set"),
    )
    for kind, (estimates, label) in enumerate(found):
        draw_estimates(
            axis,
            [place + 0.2 * (kind - 0.5) for place in range(len(lengths))],
            estimates,
            colour=COLOURS[kind],
            label=label,
            marker="os"[kind],
        )
    axis.set_xticks(range(len(lengths)), [one.arm.name for one in lengths])
    scale_for_stds(axis)
    axis.set_ylabel("std over runs, % (linear below 0.1)")
    axis.legend()


def draw_luck(lengths: Sequence[Trained], canvas: "Canvas") -> None:
    """Draw every run's accuracy on fresh examples against that on the test set."""
    axes = canvas.subplots(1, len(lengths), squeeze=False)[0]
    for one, axis in zip(lengths, axes, strict=True):
        here_R = accuracies(one, one.store.test_sets[0])
        fresh_R, best_m = fresh_accuracies(one), lucky(one)
        x_R, y_R = 100 * (here_R - here_R.mean()), 100 * (fresh_R - fresh_R.mean())
        axis.scatter(x_R, y_R, s=5, color=COLOURS[0], linewidths=0, alpha=0.5)
        axis.scatter(x_R[best_m], y_R[best_m], s=18, color=COLOURS[4], linewidths=0)
        reach = 1.05 * max(np.abs(x_R).max(), np.abs(y_R).max())
        axis.plot([-reach, reach], [-reach, reach], color="black", linewidth=0.6)
        axis.axhline(0, color="grey", linewidth=0.4)
        axis.set_title(one.arm.name)
        axis.set_xlabel("test set, %")
        axis.set_box_aspect(1)
        axis.locator_params(nbins=4)
    axes[0].set_ylabel("fresh examples, %")
