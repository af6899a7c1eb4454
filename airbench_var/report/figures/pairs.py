"""Pairs of examples that go right and wrong together: how far off independence, and what they show."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from airbench_var.analysis.pairs import DeviatingPair, PairFindings
from airbench_var.report.figures.canvas import COLOURS, ink, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

#: Test images by their index, uint8 (H, W, 3) each.
Images = Mapping[int, npt.NDArray[np.uint8]]


def draw_deviations(axis: "Axes", found: PairFindings) -> None:
    """Draw how often both of a listed pair are right over how often they would be if independent."""
    product_P = np.array([pair.accuracies[0] * pair.accuracies[1] for pair in found.deviating])
    both_P = np.array([pair.both_right for pair in found.deviating])
    axis.plot([0, 100], [0, 100], color=ink(), linewidth=0.6)
    axis.scatter(100 * product_P, 100 * both_P, s=9, color=COLOURS[0], linewidths=0)
    axis.set_xlabel("both right if independent, % of runs")
    axis.set_ylabel("both right, % of runs")
    axis.set_title(f"{found.benjamini_hochberg.number:,} pairs")


def draw_gallery(
    canvas: "Canvas", pairs: Sequence[DeviatingPair], images: Images, columns: int | None = None
) -> None:
    """Draw the images of pairs side by side, with their classes and how far they are off independence."""
    columns = columns or math.ceil(len(pairs) / 2)
    rows = math.ceil(len(pairs) / columns)
    for place, pair in enumerate(pairs):
        axis = canvas.add_subplot(rows, columns, place + 1)
        first, second = (images[example] for example in pair.examples)
        gap = np.full((first.shape[0], 2, 3), 255, np.uint8)
        axis.imshow(np.concatenate([first, gap, second], axis=1), interpolation="none")
        deviation = pair.both_right - pair.accuracies[0] * pair.accuracies[1]
        axis.set_title(
            f"{short(pair.classes[0])}, {short(pair.classes[1])}\n{100 * deviation:+.1f} %", fontsize=7
        )
        axis.set_xlabel(f"{pair.examples[0]}, {pair.examples[1]}", fontsize=6)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
