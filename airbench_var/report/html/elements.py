"""HTML from Python: what is not markup already is escaped, always.

`tag("p", name, class_="note")` is a paragraph whose name may hold any character. Only `Html` is taken as it
is, and only `tag`, `join` and what wraps an SVG or a file of this package make one.
"""

import json
import re
from collections.abc import Iterable
from html import escape
from typing import Any

_BEFORE_PERCENT = re.compile("(?<=[0-9]) (?=%)")
_VOID = {"br", "img", "link", "meta"}


class Html(str):
    """Text that is markup."""

    __slots__ = ()


def tag(name: str, /, *inside: str | None, **attributes: str | bool | None) -> Html:
    """Return an element; None and False are left out, True is an attribute without a value.

    An attribute is named as in HTML, with `_` for `-` and one at the end of a Python keyword: `class_`.
    """
    opened = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Html(f"<{name}{opened}>")
    return Html(f"<{name}{opened}>{join(inside)}</{name}>")


def join(parts: Iterable[str | None], between: str = "") -> Html:
    """Return the parts one after the other, those that are not markup escaped; no line ends before a %."""
    return Html(
        between.join(
            part if isinstance(part, Html) else _BEFORE_PERCENT.sub("\N{NO-BREAK SPACE}", escape(part))
            for part in parts
            if part is not None
        )
    )


def embedded_json(name: str, document: Any, file: str) -> Html:
    """Return a document as a <script> of data, which no text in it can end; `file` names its download.

    Raises: ValueError for a number that is not finite.
    """
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":  # JSON has them in strings only
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return tag("script", Html(text), type="application/json", id=name, data_file=file)
