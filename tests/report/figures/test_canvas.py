"""Pictures: equal numbers give equal bytes, and what is absent is left out."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airbench_var.report.figures.canvas import Figure, draw_estimates, save_figure
from tests.studies.test_findings import estimate

pytest.importorskip("matplotlib")

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def points(canvas: "Canvas") -> None:
    axis = canvas.subplots()
    found = [estimate(0.5, (0.4, 0.7)), estimate(None, None), estimate(0.2, (0.1, 0.3))]
    draw_estimates(axis, [0, 1, 2], found, colour="red", label="points")
    axis.legend()


def test_equal_numbers_give_equal_bytes(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        save_figure(Figure(name="f", caption="c", draw=points), folder)
    for kind in ("png", "svg"):
        first, second = ((folder / f"f.{kind}").read_bytes() for folder in folders)
        assert first == second


def test_points_are_percent_with_both_ends_and_without_what_is_absent() -> None:
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas()
    points(canvas)
    [axis] = canvas.axes
    [container] = axis.containers
    line, _, [bars] = container.lines
    assert line.get_xydata().tolist() == [[0, 50], [2, 20]]
    ends = [segment[:, 1].round(9).tolist() for segment in bars.get_segments()]
    assert ends == [[40, 70], [10, 30]]


def test_nothing_to_draw_draws_nothing() -> None:
    from matplotlib.figure import Figure as Canvas

    axis = Canvas().subplots()
    draw_estimates(axis, [0], [estimate(None, None)], colour="red")
    assert not axis.containers
