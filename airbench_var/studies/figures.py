"""Pictures of a study, by matplotlib: the one module that imports it."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from airbench_var.analysis import Estimate
from airbench_var.errors import DeviceError
from airbench_var.studies.findings import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: One style for all: readable in print and for people who see colours differently (Okabe and Ito 2008).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLE = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "svg.hashsalt": "airbench_var",  # equal numbers give equal bytes
    "svg.fonttype": "none",
    "savefig.dpi": 160,
    "figure.constrained_layout.use": True,
}


def require_matplotlib() -> None:
    """Raise DeviceError when matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise DeviceError(
            "studies draw with matplotlib, which is not installed. pip install 'airbench_var[report]'."
        )


def save_figure(figure: Figure, folder: Path) -> None:
    """Draw a figure and write it as NAME.png and NAME.svg; equal numbers give equal bytes."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    with rc_context(STYLE):  # type: ignore[arg-type]
        canvas = Canvas(figsize=figure.inches)
        FigureCanvasAgg(canvas)
        figure.draw(canvas)
        canvas.savefig(folder / f"{figure.name}.png", metadata={"Software": None})
        canvas.savefig(folder / f"{figure.name}.svg", metadata={"Date": None, "Creator": None})


def draw_estimates(
    axis: "Axes",
    places: Sequence[float],
    estimates: Sequence[Estimate],
    *,
    colour: str,
    label: str = "",
    marker: str = "o",
    line: bool = False,
) -> None:
    """Draw shares of 1 in percent with their intervals, those that are absent left out."""
    found = [(x, one.value, one.interval) for x, one in zip(places, estimates, strict=True)]
    there = [(x, 100 * value, ends) for x, value, ends in found if value is not None and ends is not None]
    if not there:
        return
    reach_2A = [
        [max(0.0, y - 100 * ends[0]) for _, y, ends in there],
        [max(0.0, 100 * ends[1] - y) for _, y, ends in there],
    ]
    axis.errorbar(
        [x for x, _, _ in there],
        [y for _, y, _ in there],
        reach_2A,
        fmt=f"{marker}-" if line else marker,
        color=colour,
        label=label or None,
        markersize=5,
        linewidth=1,
        capsize=2,
    )
