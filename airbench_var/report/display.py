"""What is shown while runs come in, on stderr: a view, plain lines, JSON lines, or nothing."""

import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TextIO, get_args

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from airbench_var.errors import UsageError

#: "auto" draws a view on a terminal that can be drawn on, and writes plain lines elsewhere.
Mode = Literal["auto", "plain", "json", "quiet"]

_SECONDS_BETWEEN_LINES = 5.0
_REFRESHES_PER_S = 2


def refuse_unknown_mode(mode: str) -> None:
    """Raise UsageError for what is no `Mode`."""
    known = get_args(Mode)
    if mode not in known:
        raise UsageError(f"show={mode!r} is none of {', '.join(known)}.")


class Moment(Protocol):
    """What is shown at one moment."""

    def view(self) -> RenderableType:
        """Return the view for a terminal of 80 columns."""

    def line(self) -> str:
        """Return everything in one line of plain text."""

    def to_json(self) -> dict[str, Any]:
        """Return the same for machines."""


class Display(ABC):
    """Shows moments as they come: a context manager; call `show` after each change.

    Lines are written at most every five seconds, and once at the end. `clock` returns seconds.
    """

    def __init__(
        self,
        mode: Mode,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mode, self._clock = mode, clock
        self._stream = sys.stderr if stream is None else stream
        self._next_s, self._written = clock(), True
        console = Console(file=self._stream, highlight=False)
        drawable = self._stream.isatty() and not console.is_dumb_terminal
        self._live = self._terminal_view(console) if mode == "auto" and drawable else None

    @abstractmethod
    def moment(self) -> Moment:
        """Return what is to be shown now."""

    def __enter__(self) -> Self:
        if self._live:
            self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
        elif not self._written:
            self._write_moment()

    def show(self) -> None:
        """Show what there is from now on."""
        self._written = False
        if not self.is_due:
            return
        self._next_s = self._clock() + (1 / _REFRESHES_PER_S if self._live else _SECONDS_BETWEEN_LINES)
        if self._live is None:
            self._write_moment()

    @property
    def is_quiet(self) -> bool:
        """Whether no moment is ever shown."""
        return self._live is None and self._mode == "quiet"

    @property
    def is_due(self) -> bool:
        """Whether a change would be seen at once, and not overtaken by a later one."""
        return not self.is_quiet and self._clock() >= self._next_s

    def message(self, text: str) -> None:
        """Say something that stays: above the view, or as a line of its own."""
        if self._live:
            self._live.console.print(Text(text))
        elif self._mode == "json":
            self._write(json.dumps({"event": "message", "text": text}))
        else:
            self._write(text)

    def _terminal_view(self, console: Console) -> Live:
        return Live(
            get_renderable=lambda: self.moment().view(),
            console=console,
            refresh_per_second=_REFRESHES_PER_S,  # by a thread: the time left runs on between commits
            redirect_stdout=False,  # results go there, also while the view is up
        )

    def _write_moment(self) -> None:
        moment, self._written = self.moment(), True
        self._write(json.dumps(moment.to_json()) if self._mode == "json" else moment.line())

    def _write(self, line: str) -> None:
        if self._mode != "quiet":
            print(line, file=self._stream, flush=True)
