"""Progress of a campaign while it runs, on stderr: a view, plain lines, JSON lines, or nothing."""

import json
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from airbench_var.analysis import Analysis
from airbench_var.report.progress import Progress
from airbench_var.report.rate import Rate

#: "auto" draws a view on a terminal that can be drawn on, and writes plain lines elsewhere.
Mode = Literal["auto", "plain", "json", "quiet"]

_SECONDS_BETWEEN_LINES = 5.0
_REFRESHES_PER_S = 2


class LiveView:
    """Shows a campaign as it grows: a context manager; call `update` after each commit.

    `total_runs` is where the campaign ends, `already_done` where this session starts. Lines are written at
    most every five seconds, and once at the end. `clock` returns seconds.
    """

    def __init__(
        self,
        total_runs: int,
        already_done: int = 0,
        mode: Mode = "auto",
        title: str = "",
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._title, self._mode, self._clock = total_runs, title, mode, clock
        self._stream = sys.stderr if stream is None else stream
        self._rate, self._start_s = Rate(already_done, clock), clock()
        self._elapsed_s = 0.0  # up to the last commit
        self._analysis = Analysis(runs=already_done, diverged=0, failed=0, test_sets=())
        self._next_line_s, self._written = self._start_s, True
        console = Console(file=self._stream, highlight=False)
        drawable = self._stream.isatty() and not console.is_dumb_terminal
        self._live = self._terminal_view(console) if mode == "auto" and drawable else None

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
            self._write_progress()

    def update(self, analysis: Analysis) -> None:
        """Show these estimates from now on."""
        self._rate.record(analysis.runs)
        self._analysis, self._written = analysis, False
        self._elapsed_s = self._clock() - self._start_s
        if self._live is None and self._clock() >= self._next_line_s:
            self._next_line_s = self._clock() + _SECONDS_BETWEEN_LINES
            self._write_progress()

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
            get_renderable=lambda: self._progress().view(),
            console=console,
            refresh_per_second=_REFRESHES_PER_S,  # by a thread: the time left runs on between commits
            redirect_stdout=False,  # results go there, also while the view is up
        )

    def _progress(self) -> Progress:
        return Progress(
            title=self._title,
            total=self._total,
            networks_per_hour=self._rate.per_hour,
            remaining_s=self._rate.remaining_s(self._total),
            elapsed_s=self._elapsed_s,
            analysis=self._analysis,
        )

    def _write_progress(self) -> None:
        progress, self._written = self._progress(), True
        self._write(json.dumps(progress.to_json()) if self._mode == "json" else progress.line())

    def _write(self, line: str) -> None:
        if self._mode != "quiet":
            print(line, file=self._stream, flush=True)
