"""The console that results are printed on, and text that keeps numbers and their units on one line."""

import re
import textwrap
from typing import NoReturn

import rich.console
from rich.padding import Padding
from rich.text import Text

#: Spaces at which no line ends: between a number and its unit, and around signs of comparison.
_KEPT = re.compile(r" (?=%)|(?<=\d) (?=(?:s|kB|MB|GiB)\b)|(?<=\S) (?=[=<>±] )|(?<= [=<>±]) ")
_NO_BREAK = "\u00a0"  # to textwrap no space


class Console(rich.console.Console):
    """That of rich, except that a reader who left is told to the caller, and does not end the process."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise BrokenPipeError once more; rich calls this while it handles one."""
        raise BrokenPipeError


def indented(label: str) -> Padding:
    """Return a cell that keeps the indentation of its first line in all."""
    text = label.lstrip()
    return Padding(Text(text), (0, 0, 0, len(label) - len(text)), expand=False)


def wrapped(text: str, width: int) -> str:
    """Return text with its lines broken at so many columns, or at fewer before what belongs together."""
    kept = _KEPT.sub(_NO_BREAK, text)
    lines = textwrap.wrap(kept, max(width, 1), break_on_hyphens=False)
    return "\n".join(lines).replace(_NO_BREAK, " ")
