"""Pictures: equal numbers give equal bytes, and what is absent is left out."""

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from airbench_var.errors import DeviceError
from airbench_var.report.figures import canvas as canvas_module
from airbench_var.report.figures.canvas import (
    COLOURS,
    Figure,
    draw_estimates,
    ink,
    inline_svg,
    require_matplotlib,
    save_figure,
)
from tests.analysis.made_estimates import estimate

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


def words(canvas: "Canvas") -> None:
    axis = canvas.subplots()
    axis.plot([0, 1], color=ink(), label="$x$ <b> url(#a) #010203 日本")
    axis.scatter([0, 1], [0, 1], color=COLOURS[0])
    axis.legend()


def test_an_inline_picture_takes_the_ink_and_the_shades_of_its_page() -> None:
    svg = inline_svg(Figure(name="f", caption="c", draw=words), "one-", 'A "description" <of> it')
    root = ElementTree.fromstring(svg)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == 'A "description" <of> it'
    assert "width" not in root.attrib
    styles = " ".join(one.attrib.get("style", "") for one in root.iter())
    assert "stroke: currentColor" in styles
    assert "#010203" not in styles
    assert "fill: var(--c0072b2, #0072b2)" in styles
    assert "$x$ <b> url(#a) #010203 日本" in [one.text for one in root.iter()]
    assert not [one for one in root.iter() if one.tag.endswith(("style", "metadata"))]


def test_ids_of_inline_pictures_are_their_own_and_used() -> None:
    figure = Figure(name="f", caption="c", draw=words)
    one, two = (ElementTree.fromstring(inline_svg(figure, prefix, "")) for prefix in ("one-", "two-"))
    ids = [{e.attrib["id"] for e in root.iter() if "id" in e.attrib} for root in (one, two)]
    assert ids[0]
    assert not ids[0] & ids[1]
    href = "{http://www.w3.org/1999/xlink}href"
    links = {e.attrib[href][1:] for e in one.iter() if href in e.attrib}
    clips = {e.attrib["clip-path"][len("url(#") : -1] for e in one.iter() if "clip-path" in e.attrib}
    assert links
    assert clips
    assert links | clips == ids[0]


def test_equal_numbers_give_equal_inline_bytes() -> None:
    first, second = (inline_svg(Figure(name="f", caption="c", draw=words), "a-", "d") for _ in range(2))
    assert first == second


def test_intervals_across_have_both_ends() -> None:
    from matplotlib.figure import Figure as Canvas

    axis = Canvas().subplots()
    draw_estimates(axis, [7], [estimate(0.5, (0.4, 0.7))], colour="red", across=True)
    [container] = axis.containers
    line, _, [bars] = container.lines
    assert line.get_xydata().tolist() == [[50, 7]]
    assert bars.get_segments()[0].round(9).tolist() == [[40, 7], [70, 7]]


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas_module, "find_spec", lambda _: None)
    with pytest.raises(DeviceError, match=r"^reports draw with matplotlib.*airbench_var\[report\]"):
        require_matplotlib("reports")
