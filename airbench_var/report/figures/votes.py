"""Votes of the runs against the labels: reliability of the ensemble, over all classes and class by class."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from airbench_var.analysis.by_class import OneClass
from airbench_var.analysis.calibration import Reliability
from airbench_var.report.figures.canvas import COLOURS, draw_estimates, ink, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


#: Small figures side by side.
CLASSES_A_ROW = 4


def draw_reliability(axis: "Axes", found: Reliability | None, colour: str) -> None:
    """Draw how often the label is a class, by how often the run that was left out says so, in 15 bins.

    Bars: two standard errors of the distance to the line, for fresh examples and runs, where there are any,
    within 0 and 1.
    """
    axis.set_xlabel("share of votes")
    axis.plot([0, 1], [0, 1], color=ink(), linewidth=0.6)
    axis.set_xlim(-0.05, 1.05)
    axis.set_ylim(-0.05, 1.05)
    axis.set_box_aspect(1)
    if found is None:
        return
    seen_B = found.weight_B > 0
    share_B, reach_B = found.label_share_B[seen_B], None
    if found.standard_error_B is not None:
        wide_B = 2 * found.standard_error_B[seen_B] / found.weight_B[seen_B]
        reach_B = np.clip([np.minimum(wide_B, share_B), np.minimum(wide_B, 1 - share_B)], 0, None)
    axis.errorbar(
        found.vote_share_B[seen_B], share_B, reach_B, fmt="o", color=colour, markersize=4, capsize=2
    )


def draw_reliability_by_class(
    canvas: "Canvas", found_K: Sequence[Reliability], names_K: Sequence[str]
) -> None:
    """Draw the reliability of every class by itself; the larger a dot, the more examples are behind it."""
    rows = math.ceil(len(found_K) / CLASSES_A_ROW)
    axes = canvas.subplots(rows, CLASSES_A_ROW, squeeze=False, sharex=True, sharey=True).ravel()
    for axis, found, name in zip(axes, found_K, names_K, strict=False):
        seen_B = found.weight_B > 0
        votes_B, labels_B = found.vote_share_B[seen_B], found.label_share_B[seen_B]
        axis.plot([0, 1], [0, 1], color=ink(), linewidth=0.6)
        size_B = 4 + 16 * np.sqrt(found.weight_B[seen_B] / found.weight_B.max())
        axis.scatter(votes_B, labels_B, s=size_B, color=COLOURS[0], alpha=0.8, linewidths=0)
        axis.set_title(short(name), fontsize=8)
        axis.set_xlim(-0.05, 1.05)
        axis.set_ylim(-0.05, 1.05)
        axis.set_xticks([0, 0.5, 1], ["0", "½", "1"])
        axis.set_yticks([0, 0.5, 1], ["0", "½", "1"])
        axis.set_box_aspect(1)
    for axis in axes[len(found_K) :]:
        axis.set_visible(False)
    canvas.supxlabel("share of votes", fontsize=9)
    canvas.supylabel("share of that class", fontsize=9)


def draw_class_accuracies(axis: "Axes", names: Sequence[str], classes: Sequence[OneClass]) -> None:
    """Draw for every class the mean accuracy of runs on it, with its interval, and that of their vote."""
    there = [(one, one.accuracy) for one in classes if one.accuracy is not None]
    places = [-place for place in range(len(there))]
    draw_estimates(
        axis, places, [of for _, of in there], colour=COLOURS[0], label="mean of the runs", across=True
    )
    votes = [
        (100 * one.vote_accuracy, place)
        for place, (one, _) in zip(places, there, strict=True)
        if one.vote_accuracy is not None
    ]
    if votes:
        shares, heights = zip(*votes, strict=True)
        axis.scatter(shares, heights, s=26, facecolors="none", edgecolors=COLOURS[1], label="their vote")
    axis.set_yticks(places, [short(names[one.label]) for one, _ in there])
    axis.set_ylim(places[-1] - 0.6, 1.6)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x", color=ink(), alpha=0.15, linewidth=0.6)
    axis.set_xlabel("accuracy on the examples of a class, %")
    axis.legend(loc="upper left", ncols=2, fontsize=8)
