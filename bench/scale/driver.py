"""What the driver of a campaign sustains when outcomes are always ready, from the first run to the last."""

import io
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from airbench_var.campaign import run_campaign
from airbench_var.execution import MakeTrain, Stop
from airbench_var.report.display import Mode
from airbench_var.store import Outcome, RunSpec
from bench.scale.runs import DistinctRuns

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def memory_bytes() -> int:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Some runs of a campaign, one after the other."""

    runs: int  #: in the store at its end
    rate: float  #: results a second
    cpu_us: float  #: a result, of this process: other work on the machine changes it little
    memory_bytes: int  #: at its end


class Ready:
    """An executor whose outcomes are ready when they are asked for; it notes when they were taken."""

    def __init__(self, runs: DistinctRuns, per_stretch: int) -> None:
        self._runs, self._per_stretch = runs, per_stretch
        self.stretches: list[Stretch] = []
        self.making_s = 0.0  #: of the time, what went to making runs that no network made

    def __call__(
        self, arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop
    ) -> Iterator[Outcome | None]:
        """Yield the outcomes in the order of the specs."""
        start_s, start_cpu_s = time.perf_counter(), time.process_time()
        for count, spec in enumerate(specs, start=1):
            before_s = time.perf_counter()
            outcome = self._runs.outcome(spec)
            self.making_s += time.perf_counter() - before_s
            yield outcome
            if count % self._per_stretch == 0:
                end_s, end_cpu_s = time.perf_counter(), time.process_time()
                self.stretches.append(
                    Stretch(
                        runs=spec.run_id + 1,
                        rate=self._per_stretch / (end_s - start_s),
                        cpu_us=1e6 * (end_cpu_s - start_cpu_s) / self._per_stretch,
                        memory_bytes=memory_bytes(),
                    )
                )
                start_s, start_cpu_s = end_s, end_cpu_s


def sustained(
    runs: DistinctRuns,
    store: Path,
    total: int,
    per_stretch: int,
    mode: Mode = "plain",
    *,
    drawn: bool = False,
) -> Ready:
    """Run a campaign of so many ready outcomes; `drawn` shows it as on a terminal.

    Statistics and live view are those of any campaign; what it shows goes nowhere.
    """
    executor = Ready(runs, per_stretch)
    with unseen(drawn=drawn):
        run_campaign(runs.campaign(store, total), mode, executor)
    return executor


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def unseen(*, drawn: bool = False) -> Iterator[io.StringIO]:
    """Yield what takes the place of stderr: a stream like a terminal or, if not `drawn`, like a file."""
    stream = _Terminal() if drawn else io.StringIO()
    with redirect_stderr(stream):
        yield stream


def gained_bytes(stretches: Sequence[Stretch]) -> int:
    """Return by how much memory grew from the end of the first stretch to the end of the last."""
    return stretches[-1].memory_bytes - stretches[0].memory_bytes


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median, the smallest and the largest."""
    return float(np.median(values)), min(values), max(values)
