"""Accuracies of runs: how they spread, against which laws, from half to half, and by example."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, xlog1py, xlogy

from airbench_var.analysis.poisson_binomial import poisson_binomial
from airbench_var.report.figures.canvas import COLOURS, ink
from airbench_var.stats import CorrectnessCounts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Float64 = npt.NDArray[np.float64]

#: From so many points on they are one image: as lines of a page they would weigh megabytes.
MOST_POINTS = 1000
#: Of a histogram of examples; of so many runs or fewer each number of runs has a bar.
MOST_BARS = 101
#: Where an axis ends, in standard deviations of the runs' middle: who is farther away would squash the rest.
REACH = 8.0


def draw_histogram(
    axis: "Axes",
    counts: CorrectnessCounts,
    colour: str,
    *,
    density: bool = False,
    alpha: float = 1.0,
    label: str = "",
    beside: Sequence[CorrectnessCounts] = (),
) -> None:
    """Draw how many runs have which accuracy, in percent; every bar holds as many values as the next.

    `beside`: all runs that are drawn on this axis, on one test set: their bars begin and end at the same
    accuracies.
    """
    start, width = _bars(beside or [counts])
    bars_B, runs_B = np.unique((counts.k_R - start) // width, return_counts=True)
    axis.bar(
        100 * (start + width * bars_B - 0.5) / counts.n,
        runs_B / (counts.R * 100 * width / counts.n if density else 1),
        width=100 * width / counts.n,
        align="edge",
        color=colour,
        alpha=alpha,
        label=label or None,
    )
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)


def _bars(together: Sequence[CorrectnessCounts]) -> tuple[int, int]:
    """Return where bars begin and how wide they are, in right answers: the widest that one of them needs.

    Freedman and Diaconis (1981), in whole numbers of examples, so that bars are no comb.
    """
    quarters = [np.quantile(counts.k_R, (0.25, 0.5, 0.75)) for counts in together]
    widths = [
        2 * (high - low) / counts.R ** (1 / 3)
        for counts, (low, _, high) in zip(together, quarters, strict=True)
    ]
    return int(quarters[0][1]), max(1, math.ceil(max(widths)))


def draw_laws(axis: "Axes", counts: CorrectnessCounts, *, binomial: bool = True) -> None:
    """Draw the accuracies that independent errors would give, and those of the binomial law, as densities."""
    law = poisson_binomial(counts.c_N, counts.R)
    _draw_law(axis, counts.n, law.first, law.pmf_K, "independent errors", ink())
    if not binomial:
        return
    p = counts.S1 / (counts.R * counts.n)
    k_K = np.arange(counts.n + 1)
    choose_K = gammaln(counts.n + 1) - gammaln(k_K + 1) - gammaln(counts.n - k_K + 1)
    pmf_K = np.exp(choose_K + xlogy(k_K, p) + xlog1py(counts.n - k_K, -p))
    _draw_law(axis, counts.n, 0, pmf_K, "binomial law", COLOURS[1], "--")


def _draw_law(
    axis: "Axes", n: int, first: int, pmf_K: Float64, label: str, colour: str, dashes: str = "-"
) -> None:
    """Draw the probabilities of `first`, `first` + 1, ... right answers as a density over percent."""
    seen_K = pmf_K > 1e-4 * pmf_K.max()
    places_K = 100 * (first + np.arange(len(pmf_K))) / n
    axis.plot(places_K[seen_K], pmf_K[seen_K] * n / 100, dashes, color=colour, label=label, linewidth=1.3)


def draw_halves(axis: "Axes", counts: CorrectnessCounts, colour: str) -> None:
    """Draw each run's accuracy on the examples of odd index over that on those of even index."""
    even_R, odd_R = halves(counts)
    many = counts.R > MOST_POINTS
    axis.scatter(
        even_R,
        odd_R,
        s=3 if many else 8 if len(even_R) > 50 else 20,
        alpha=0.25 if many else 0.5,
        color=colour,
        linewidths=0,
        rasterized=many,
    )
    axis.set_xlabel("even examples, %")
    axis.locator_params(nbins=4)
    axis.set_box_aspect(1)


def halves(counts: CorrectnessCounts) -> tuple[Float64, Float64]:
    """Return the accuracies of the runs on the examples of even and of odd index, in percent, (R,)."""
    even = (counts.n + 1) // 2
    return (
        np.asarray(100 * counts.even_R / even),
        np.asarray(100 * (counts.k_R - counts.even_R) / max(1, counts.n - even)),
    )


def draw_examples(axis: "Axes", counts: CorrectnessCounts, colour: str) -> None:
    """Draw how many examples are right in which share of the runs.

    Every bar holds as many numbers of runs as the next, or they would be a comb; but the first, which is
    narrower where they do not come out even.
    """
    width = math.ceil((counts.R + 1) / MOST_BARS)
    ends_B = np.arange(counts.R + 0.5, -0.5, -width)
    edges_B = np.concatenate([[-0.5], ends_B[::-1]])
    axis.hist(100 * counts.c_N / counts.R, bins=(100 * edges_B / counts.R).tolist(), color=colour)
    axis.set_yscale("log")
    axis.set_ylim(bottom=0.7)
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.set_xlim(100 * edges_B[0] / counts.R - 1, 100 * edges_B[-1] / counts.R + 1)
    axis.set_xlabel("runs that are right on an example, %")
    axis.set_ylabel("examples")


def keep_the_middle(axis: "Axes", values_R: Float64, which: str = "x") -> int:
    """End an axis where no more than stragglers lie beyond, and return how many of the values those are.

    A run that diverged may lie fifty points below all others.
    """
    low, middle, high = np.quantile(values_R, (0.16, 0.5, 0.84))
    reach = REACH * max(float(high - low) / 2, 1e-9)
    inside_R = np.abs(values_R - middle) <= reach
    if inside_R.all() or high == low:
        return 0
    kept = values_R[inside_R]
    margin = 0.05 * max(float(np.ptp(kept)), 1e-9)
    set_limits = axis.set_xlim if which == "x" else axis.set_ylim
    set_limits(float(kept.min()) - margin, float(kept.max()) + margin)
    return int(np.count_nonzero(~inside_R))


def same_scales(axis: "Axes") -> None:
    """Let both axes reach as far, around their middles: on other scales every cloud would be round."""
    middle_x, middle_y = (sum(ends) / 2 for ends in (axis.get_xlim(), axis.get_ylim()))
    reach = max(float(np.ptp(ends)) for ends in (axis.get_xlim(), axis.get_ylim())) / 2
    axis.set_xlim(middle_x - reach, middle_x + reach)
    axis.set_ylim(middle_y - reach, middle_y + reach)
