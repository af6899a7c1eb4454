"""Progress of a campaign while it runs."""

import time
from collections.abc import Callable
from typing import TextIO

from airbench_var.analysis import Analysis
from airbench_var.report.display import Display, Mode
from airbench_var.report.progress import Progress
from airbench_var.report.rate import Rate


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
        super().__init__(mode, stream=stream, clock=clock)

    def update(self, analysis: Analysis) -> None:
        """Show these estimates from now on."""
        self._rate.record(analysis.runs)
        self._analysis = analysis
        self._elapsed_s = self._clock() - self._start_s
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
