"""What every section of a page is made of: tables, figures, paragraphs."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from airbench_var.report.figures.canvas import Figure, inline_svg
from airbench_var.report.html.elements import Html, join, tag


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure with its title, and what the runs say of it; or why there is no figure."""

    title: str
    figure: Figure
    absent: str = ""
    says: str = ""


def _slug(text: str) -> str:
    """Return a text as a part of an id: letters, digits and dashes."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower() or "x"


def test_set_id(test_sets: Sequence[str], name: str) -> str:
    """Return what a test set is called in ids: its place, as names may become equal there, and its name."""
    return f"{1 + test_sets.index(name)}-{_slug(name)}"


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[str]], *, class_: str = "") -> Html:
    """Return a table; the first cell of a row names it. On narrow screens every row becomes a card."""
    head = tag("tr", *(tag("th", heading, scope="col") for heading in headings))
    body = [
        tag(
            "tr",
            tag("th", row[0].strip(), scope="row", class_="under" if row[0].startswith("  ") else None),
            *(
                tag("td", cell, data_label=heading, class_=None if cell else "empty")
                for heading, cell in zip(headings[1:], row[1:], strict=True)
            ),
        )
        for row in rows
    ]
    return tag(
        "table",
        tag("caption", caption),
        tag("thead", head),
        tag("tbody", *body),
        class_=class_ or None,
    )


def picture(one: Picture, prefix: str) -> Html:
    """Return a figure with title and caption; ids begin with `prefix`."""
    name = f"{prefix}-{one.figure.name}"
    title = tag("h4", one.title)
    if one.absent:
        return tag(
            "div", title, tag("p", f"No figure: {one.absent}.", class_="absent"), class_="figure", id=name
        )
    asked = one.title if one.title.endswith("?") else f"{one.title}."
    svg = Html(inline_svg(one.figure, f"{name}-", f"{asked} {one.figure.caption}"))
    words = [tag("p", one.figure.caption), tag("p", one.says, class_="says") if one.says else None]
    return tag("figure", title, svg, tag("figcaption", *words), class_="figure", id=name)


def pictures(some: Iterable[Picture], prefix: str) -> Html:
    """Return figures beside each other where there is room."""
    return tag("div", *(picture(one, prefix) for one in some), class_="figures")


def notes(some: Iterable[str]) -> Html:
    """Return what to be wary of."""
    found = [tag("li", f"{note[0].upper()}{note[1:]}.") for note in some if note]
    if not found:
        return Html("")
    return tag("div", tag("h4", "Notes"), tag("ul", *found), class_="notes", role="note")


def paragraphs(texts: Iterable[str]) -> Html:
    """Return a paragraph each."""
    return join(tag("p", text) for text in texts)


def details(summary: str, *inside: Html) -> Html:
    """Return what is folded away until somebody opens it."""
    return tag("details", tag("summary", summary), *inside)
