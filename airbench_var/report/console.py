"""The console that results are printed on, and text that keeps numbers and their units on one line."""

import re
import textwrap
from typing import Any, NoReturn

import rich.console
from rich.padding import Padding
from rich.text import Text

#: Spaces at which no line ends: between a number and its unit, and around signs of comparison.
_KEPT = re.compile(r" (?=%)|(?<=\d) (?=(?:s|kB|MB|GiB)\b)|(?<=\S) (?=[=<>±] )|(?<= [=<>±]) ")
_NO_BREAK = "\u00a0"  # to textwrap no space


class Console(rich.console.Console):
    """That of rich, but lines in a file have no blanks at their ends, and a reader who left is told.

    Rich pads lines to one width, and ends the process where nobody reads on. Here the caller gets a
    BrokenPipeError.
    """

    def on_broken_pipe(self) -> NoReturn:
        """Raise BrokenPipeError once more; rich calls this for what was printed before, too."""
        raise BrokenPipeError

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does."""
        with self.capture() as printed:
            super().print(*objects, **options)
        text = printed.get()
        self.file.write(text if self.is_terminal else re.sub(r" +$", "", text, flags=re.MULTILINE))
        self.file.flush()


def indented(label: str) -> Padding:
    """Return a cell that keeps the indentation of its first line in all."""
    text = label.lstrip()
    return Padding(Text(text), (0, 0, 0, len(label) - len(text)), expand=False)


def wrapped(text: str, width: int) -> str:
    """Return text with its lines broken at so many columns, or at fewer before what belongs together."""
    kept = _KEPT.sub(_NO_BREAK, text)
    lines = textwrap.wrap(kept, max(width, 1), break_on_hyphens=False)
    return "\n".join(lines).replace(_NO_BREAK, " ")
