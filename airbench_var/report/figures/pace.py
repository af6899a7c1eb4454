"""How long runs took, one after the other, and how many an hour that makes."""

from typing import TYPE_CHECKING

import numpy as np

from airbench_var.report.figures.accuracies import MOST_POINTS
from airbench_var.report.figures.canvas import COLOURS
from airbench_var.store.records import Records

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Neighbouring runs whose mean makes one step, at least; and steps of a line, at most.
FEWEST_TOGETHER, MOST_PLACES = 10, 200
#: Workers that are told apart by colour; beyond, all are one colour.
MOST_WORKERS = 4


def draw_seconds(axis: "Axes", records: Records) -> None:
    """Draw the seconds of training over the run id, of committed records (R,) that have them, by worker."""
    timed = records[np.isfinite(records["train_s"])]
    workers = np.unique(timed["worker"])
    groups = [(f"worker {w}", timed[timed["worker"] == w]) for w in workers]
    if not 1 < len(workers) <= MOST_WORKERS:
        groups = [("", timed)]
    for (label, some), colour in zip(groups, COLOURS, strict=False):
        axis.scatter(
            some["run_id"],
            some["train_s"],
            s=4 if len(timed) > 50 else 14,
            color=colour,
            linewidths=0,
            alpha=0.6,
            label=label,
            rasterized=len(timed) > MOST_POINTS,
        )
    axis.set_xlabel("run id")
    axis.set_ylabel("seconds of training")
    axis.set_ylim(0, 1.25 * float(np.quantile(timed["train_s"], 0.995)))
    _number_runs(axis)
    if len(groups) > 1:
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1), markerscale=2, ncols=4, borderaxespad=0)


def draw_pace(axis: "Axes", records: Records) -> None:
    """Draw how many runs one worker makes in an hour of training, over the run id: of neighbours together."""
    timed = records[np.isfinite(records["train_s"])]
    together = max(FEWEST_TOGETHER, -(-len(timed) // MOST_PLACES))
    starts = np.arange(0, len(timed), together)
    sizes = np.diff([*starts, len(timed)])
    seconds = np.add.reduceat(timed["train_s"], starts) / sizes
    axis.step(
        [*timed["run_id"][starts], timed["run_id"][-1] + 1],
        [*(3600 / seconds), 3600 / seconds[-1]],
        where="post",
        color=COLOURS[0],
    )
    axis.set_xlabel("run id")
    axis.set_ylabel("runs per hour of one worker")
    axis.set_ylim(bottom=0)
    _number_runs(axis)


def _number_runs(axis: "Axes") -> None:
    axis.locator_params(axis="x", integer=True, nbins=6, min_n_ticks=1)
    axis.xaxis.set_major_formatter("{x:,.0f}")
