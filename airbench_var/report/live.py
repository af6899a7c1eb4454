"""Progress of a campaign while it runs."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from airbench_var.analysis import Analysis
from airbench_var.report.display import Display, Mode
from airbench_var.report.progress import Progress
from airbench_var.report.rate import Rate

#: So much of the time goes to estimates, at most: they take the longer the more runs there are.
LOOKING_SHARE = 0.05


class LiveView(Display):
    """Shows a campaign as it grows: a context manager; call `update` after each commit.

    `total_runs` is where the campaign ends, `already_done` where this session starts; `begun` is that of
    `Rate`; for the others see `Display`.
    """

    def __init__(
        self,
        total_runs: int,
        already_done: int = 0,
        mode: Mode = "auto",
        title: str = "",
        *,
        begun: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._title, self._clock = total_runs, title, clock
        self._rate, self._start_s = Rate(already_done, clock, begun=begun), clock()
        self._elapsed_s = 0.0  # up to the last commit
        self._analysis = Analysis(runs=already_done, diverged=0, failed=0, test_sets=())
        self._newest: Callable[[], Analysis] | None = None  # of commits since the last look
        self._next_look_s = self._start_s
        super().__init__(mode, stream=stream, clock=clock)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._look()
        super().__exit__(kind, error, trace)

    def begins(self) -> None:
        """Take note that a worker is ready: the rate is counted from here until runs come in."""
        self._rate.begins()

    def update(self, runs: int, analysis: Callable[[], Analysis]) -> None:
        """Take note that so many runs are committed; what `analysis` returns of them is shown from now on.

        It is called here, only when there is something to draw or write, and once more at the end.
        """
        self._rate.record(runs)
        self._newest = analysis
        self._elapsed_s = self._clock() - self._start_s
        if self.is_due and self._clock() >= self._next_look_s:
            self._look()

    def _look(self) -> None:
        """Take the estimates of what was committed since, if anything was, and show them."""
        if self._newest is None or self.is_quiet:
            return
        start_s = self._clock()
        self._analysis, self._newest = self._newest(), None
        end_s = self._clock()
        self._next_look_s = end_s + (end_s - start_s) * (1 / LOOKING_SHARE - 1)
        self.show()

    def moment(self) -> Progress:
        """Return how far the campaign is."""
        return Progress(
            title=self._title,
            total=self._total,
            networks_per_hour=self._rate.per_hour,
            remaining_s=self._rate.remaining_s(self._total),
            elapsed_s=self._elapsed_s,
            analysis=self._analysis,
        )
