"""Pictures by matplotlib, as files and for pages: the one module that imports it."""

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from airbench_var.analysis import Estimate
from airbench_var.errors import DeviceError
from airbench_var.store.create import UNSHOWN

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

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
    "text.parse_math": False,  # names of classes and test sets are no formulas
    "savefig.dpi": 160,
    "figure.constrained_layout.use": True,
}
#: A colour that no picture has: on a page it becomes that of the text around it, so that dark pages work.
_INK = "#010203"
_INKED = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
_PAGE_STYLE: Mapping[str, Any] = {
    **STYLE,
    **dict.fromkeys(_INKED, _INK),
    "axes.facecolor": "none",
    "font.sans-serif": ["DejaVu Sans"],
}
#: Colours of pictures as a page has them: it may have other shades of them in the dark.
_SHADES = {_INK: "currentColor"} | {c.lower(): f"var(--c{c[1:].lower()}, {c.lower()})" for c in COLOURS}
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_LONGEST_NAME = 14
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture: `draw` puts it on an empty matplotlib figure of this size."""

    name: str  #: of its files
    caption: str
    draw: "Callable[[Canvas], None]"
    inches: tuple[float, float] = (7.0, 4.0)


def require_matplotlib(who: str) -> None:
    """Raise DeviceError when matplotlib is not installed; `who`, in the plural, draws with it."""
    if find_spec("matplotlib") is None:
        raise DeviceError(
            f"{who} draw with matplotlib, which is not installed. pip install 'airbench_var[report]'."
        )


def short(name: str) -> str:
    """Return a name as a picture has it: longer ones are cut, and what XML cannot write is replaced."""
    name = UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", name)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def ink() -> str:
    """Return the colour of lines and words in the picture that is being drawn."""
    from matplotlib import rcParams

    return str(rcParams["text.color"])


def save_figure(figure: Figure, folder: Path) -> None:
    """Draw a figure and write it as NAME.png and NAME.svg; equal numbers give equal bytes."""
    with _drawn(figure, STYLE) as canvas:
        canvas.savefig(folder / f"{figure.name}.png", metadata={"Software": None})
        canvas.savefig(folder / f"{figure.name}.svg", metadata={"Date": None, "Creator": None})


def inline_svg(figure: Figure, prefix: str, description: str) -> str:
    """Return an <svg> for a page: lines and words in the page's colour, every id after `prefix`.

    Equal numbers give equal bytes. `description` is for those who do not see it.
    """
    file = io.StringIO()
    with warnings.catch_warnings():
        # Words stay words: they are drawn by the browser, with fonts that have the sign.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        with _drawn(figure, _PAGE_STYLE) as canvas:
            canvas.savefig(file, format="svg", metadata=_NO_METADATA, transparent=True)
    root = ElementTree.fromstring(file.getvalue())
    _make_inline(root, prefix)
    # Left to the page; what it says of lines goes to the root, from which it is inherited.
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "style": "stroke-linejoin: round; stroke-linecap: butt",
        "role": "img",
        "aria-label": description,
    }
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _make_inline(root: ElementTree.Element, prefix: str) -> None:
    """Give every element the page's ink and shades, and ids that no other picture has; drop the rest."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}style", f"{{{_SVG}}}metadata"):
                parent.remove(child)
        parent.text, parent.tail = ((text and text.strip()) or None for text in (parent.text, parent.tail))
    links = (one.attrib.get(f"{{{_XLINK}}}href", "") for one in root.iter())
    clips = (one.attrib.get("clip-path", "") for one in root.iter())
    used = {link[1:] for link in links} | {clip[len("url(#") : -1] for clip in clips}
    for one in root.iter():
        name = one.attrib.pop("id", "")
        if name and name in used:
            one.attrib["id"] = prefix + name
        if one.attrib.get(f"{{{_XLINK}}}href", "").startswith("#"):
            one.attrib[f"{{{_XLINK}}}href"] = f"#{prefix}{one.attrib[f'{{{_XLINK}}}href'][1:]}"
        if clip := one.attrib.get("clip-path"):
            one.attrib["clip-path"] = f"url(#{prefix}{clip[len('url(#') : -1]})"
        if style := one.attrib.get("style"):
            for colour, shade in _SHADES.items():
                style = style.replace(colour, shade)
            one.attrib["style"] = style


@contextmanager
def _drawn(figure: Figure, style: Mapping[str, Any]) -> "Iterator[Canvas]":
    """Yield the canvas with a figure on it, while its style holds."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    with rc_context(style):  # type: ignore[arg-type]
        canvas = Canvas(figsize=figure.inches)
        FigureCanvasAgg(canvas)
        figure.draw(canvas)
        yield canvas


def draw_estimates(
    axis: "Axes",
    places: Sequence[float],
    estimates: Sequence[Estimate],
    *,
    colour: str,
    label: str = "",
    marker: str = "o",
    line: bool = False,
    across: bool = False,
) -> None:
    """Draw shares of 1 in percent with their intervals, upwards or across; those absent are left out."""
    found = [(x, one.value, one.interval) for x, one in zip(places, estimates, strict=True)]
    there = [(x, 100 * value, ends) for x, value, ends in found if value is not None and ends is not None]
    if not there:
        return
    reach_2A = [
        [max(0.0, y - 100 * ends[0]) for _, y, ends in there],
        [max(0.0, 100 * ends[1] - y) for _, y, ends in there],
    ]
    places_A, values_A = [x for x, _, _ in there], [y for _, y, _ in there]
    axis.errorbar(
        values_A if across else places_A,
        places_A if across else values_A,
        xerr=reach_2A if across else None,
        yerr=None if across else reach_2A,
        fmt=f"{marker}-" if line else marker,
        color=colour,
        label=label or None,
        markersize=5,
        linewidth=1,
        capsize=2,
    )


def scale_for_stds(axis: "Axes") -> None:
    """Make the y axis logarithmic, of stds in percent that are drawn already; linear below 0.1, down to 0."""
    axis.set_yscale("symlog", linthresh=0.1, linscale=0.3)
    axis.set_ylim(bottom=0)
    top = axis.get_ylim()[1]
    ticks = [tick for tick in (0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if tick <= top]
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
