"""What bounds a million runs: each cost at a size that fits here, and what it comes to.

A cost of the number of runs alone is measured with a million of them, on few examples. A cost of every byte
is measured with fewer runs on all examples and multiplied: these are passes over rows, linear in them.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory

import numpy as np

from airbench_var.analysis import LiveStatistics
from airbench_var.analysis.checkpoint import FILE as KEPT
from airbench_var.campaign import Campaign, Session
from airbench_var.seeds import seeds_of_run
from airbench_var.store import Store, verify
from airbench_var.store.events import EVENTS
from bench.scale.driver import Stretch, gained_bytes
from bench.scale.runs import DistinctRuns

CPU, DISK, MEMORY = "one core", "disk", "memory"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One thing that grows with the number of runs."""

    what: str
    unit: str  #: "s", "us" or "MB"
    value: float  #: measured
    runs: int  #: with so many
    examples: int  #: on so many
    factor: float  #: 1 where it was measured at full size
    bound: str  #: what it waits for, or fills

    @property
    def extrapolated(self) -> float:
        """The value at full size, if it grows in proportion."""
        return self.value * self.factor


def seconds(run: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start_s = time.perf_counter()
    run()
    return time.perf_counter() - start_s


def of_records(runs: DistinctRuns, store: Path, total: int, stretches: Sequence[Stretch]) -> Iterator[Cost]:
    """Yield the costs of so many committed runs, on few examples; stretches are those of their campaign."""
    campaign = runs.campaign(store, total)

    def cost(what: str, unit: str, value: float, bound: str) -> Cost:
        return Cost(what=what, unit=unit, value=value, runs=total, examples=runs.n, factor=1.0, bound=bound)

    yield cost(
        "driver, all runs ready", "s", sum(total / len(stretches) / one.rate for one in stretches), CPU
    )
    yield cost("driver, memory gained", "MB", gained_bytes(stretches) / 1e6, MEMORY)
    specs = [*range(0, total, max(1, total // 10_000))]
    per_spec_s = seconds(lambda: [seeds_of_run(0, i) for i in specs]) / len(specs)
    yield cost("seeds of every run, made one by one", "s", total * per_spec_s, CPU)
    yield cost("events.jsonl", "MB", (store / EVENTS).stat().st_size / 1e6, DISK)
    yield cost("runs.npy", "MB", (store / "runs.npy").stat().st_size / 1e6, DISK)
    yield cost("open to go on, statistics kept", "s", seconds(lambda: _reopened(campaign)), CPU)
    statistics = LiveStatistics.of_store(Store.open(store))
    yield cost("estimates of the live view", "s", seconds(lambda: statistics.analysis(thorough=False)), CPU)
    yield cost("all estimates and tests", "s", seconds(statistics.analysis), CPU)
    yield cost("verify", "s", seconds(lambda: verify(store)), CPU)


def _reopened(campaign: Campaign) -> None:
    with Session.open(campaign):
        pass


def of_rows(
    runs: DistinctRuns, store: Path, total: int, many: int, stretches: Sequence[Stretch]
) -> Iterator[Cost]:
    """Yield the costs of every example of every run: of `many`, by a store of `total`."""
    committed = Store.open(store)

    def cost(what: str, unit: str, value: float, bound: str, factor: float = many / total) -> Cost:
        return Cost(
            what=what, unit=unit, value=value, runs=total, examples=runs.n, factor=factor, bound=bound
        )

    rows_bytes = sum(path.stat().st_size for path in (store / "fake").iterdir())
    yield cost("predictions", "MB", rows_bytes / 1e6, DISK)
    rates = [one.rate for one in stretches]
    yield cost("driver, all runs ready", "s", total / float(np.median(rates)), f"{CPU}, {DISK}")
    yield cost("driver, memory gained", "MB", gained_bytes(stretches) / 1e6, MEMORY)
    kept = store / KEPT
    if kept.exists():
        yield cost("statistics.cache", "MB", kept.stat().st_size / 1e6, DISK, 1.0)  # chunks of bounded number
        kept.unlink()
    yield cost("count all rows anew", "s", seconds(lambda: LiveStatistics.of_store(committed)), CPU)
    yield cost("verify", "s", seconds(lambda: verify(store)), CPU)


def of_making(runs: DistinctRuns, folder: Path, many: int) -> Iterator[Cost]:
    """Yield what comes before the first run: reserving the space, and a spec for each."""
    row_bytes = runs.drawn.row_bytes
    fits = min(many, int(disk_usage(folder).free / 2 / row_bytes))
    with TemporaryDirectory(dir=folder) as made:
        campaign = runs.campaign(Path(made) / "store", fits)
        taken_s = seconds(lambda: _reopened(campaign))
    yield Cost(
        what="make the store, all space reserved",
        unit="s",
        value=taken_s,
        runs=fits,
        examples=runs.n,
        factor=many / fits,
        bound=f"{CPU}, {DISK}",
    )
