"""A thousand slots that train nothing: each is busy for about a second, then waits for its next run.

An event heap of the times at which runs finish feeds the real driver by the real clock. A slot has one run at
a time and gets the next from the driver: while that is busy, free slots wait. Executors that give a slot its
next run ahead lose less.
"""

import heapq
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from airbench_var.campaign import Session, run_campaign
from airbench_var.execution import MakeTrain, Stop
from airbench_var.store import Outcome, RunSpec
from bench.scale.driver import memory_bytes, unseen
from bench.scale.runs import DistinctRuns

#: Seconds of a run: drawn evenly from the mean less and plus this share.
SPREAD = 0.2
POLL_S = 0.2


@dataclass
class Slots:
    """An executor of simulated slots; it hands out no more runs after `seconds`."""

    runs: DistinctRuns
    slots: int
    seconds: float
    run_s: float = 1.0  #: mean duration of a run
    seed: int = 0
    start_s: float = 0.0
    cpu_s: float = 0.0  #: of this process, from the first run to the last
    finished_s: dict[int, float] = field(default_factory=dict)  #: by run id, until it is acknowledged
    waited_s: list[float] = field(default_factory=list)  #: of slots, from a finish to the next run

    def __call__(
        self, arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop
    ) -> Iterator[Outcome | None]:
        """Yield outcomes as runs finish, and None when none did for a while."""
        rng, queue = np.random.default_rng(self.seed), iter(specs)
        self.start_s, cpu_s = time.perf_counter(), time.process_time()
        running: list[tuple[float, int, RunSpec]] = []

        def begin(slot: int) -> None:
            now_s = time.perf_counter()
            if now_s < self.start_s + self.seconds and not stop() and (spec := next(queue, None)):
                duration_s = self.run_s * rng.uniform(1 - SPREAD, 1 + SPREAD)
                heapq.heappush(running, (now_s + duration_s, slot, spec))

        for slot in range(self.slots):
            begin(slot)
        while running:
            wait_s = running[0][0] - time.perf_counter()
            if wait_s > 0:
                time.sleep(min(wait_s, POLL_S))
                if wait_s > POLL_S:
                    yield None
                continue
            finish_s, slot, spec = heapq.heappop(running)
            self.finished_s[spec.run_id] = finish_s
            self.waited_s.append(time.perf_counter() - finish_s)
            begin(slot)
            yield self.runs.outcome(spec, worker=slot)
        self.cpu_s = time.process_time() - cpu_s


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What a driver did for some slots."""

    slots: int
    seconds: float  #: from the first run to the last acknowledgement
    runs: int
    rate: float  #: results a second, after the first two runs of every slot
    ideal: float  #: of slots that never wait
    cpu_share: float  #: of one core, of this process, simulation included
    latency_ms: tuple[float, float, float]  #: from finish to acknowledgement: median, 95 %, largest
    waited_ms: tuple[float, float, float]  #: of a slot for its next run: median, 95 %, largest
    batch: tuple[float, int, int]  #: rows: median, smallest, largest
    updates: int  #: lines of the live view
    memory_bytes: tuple[int, int]  #: resident, after the first two runs of every slot and at the end

    @property
    def share_of_ideal(self) -> float:
        """Results a second, over those of slots that never wait."""
        return self.rate / self.ideal


def simulate(runs: DistinctRuns, store: Path, slots: int, seconds: float, run_s: float = 1.0) -> Simulation:
    """Feed the driver from so many slots for some seconds."""
    executor = Slots(runs=runs, slots=slots, seconds=seconds, run_s=run_s)
    latencies_s: list[float] = []
    batches: list[int] = []
    acknowledged: list[tuple[float, int]] = []
    memory: list[tuple[float, int]] = []

    def timed(record: Any) -> Any:
        @wraps(record)
        def run(session: Session, batch: Sequence[Outcome], *rest: Any) -> None:
            record(session, batch, *rest)
            now_s = time.perf_counter()
            latencies_s.extend(now_s - executor.finished_s.pop(o.spec.run_id) for o in batch)
            batches.append(len(batch))
            acknowledged.append((now_s, len(batch)))
            if not memory or now_s >= memory[-1][0] + 1:
                memory.append((now_s, memory_bytes()))

        return run

    most = round(1.5 * slots * (seconds / run_s + 2))
    with unseen() as shown, patch.object(Session, "record", timed(Session.record)):
        run_campaign(runs.campaign(store, most), "plain", executor)
    end_s = acknowledged[-1][0]
    steady_s = executor.start_s + 2 * run_s, executor.start_s + seconds
    steady = [count for at_s, count in acknowledged if steady_s[0] <= at_s < steady_s[1]]
    return Simulation(
        slots=slots,
        seconds=end_s - executor.start_s,
        runs=sum(batches),
        rate=sum(steady) / (steady_s[1] - steady_s[0]),
        ideal=slots / run_s,
        cpu_share=executor.cpu_s / (end_s - executor.start_s),
        latency_ms=quantiles_ms(latencies_s),
        waited_ms=quantiles_ms(executor.waited_s),
        batch=(float(np.median(batches)), min(batches), max(batches)),
        updates=sum(" runs, " in line for line in shown.getvalue().splitlines()),
        memory_bytes=(next((b for at_s, b in memory if at_s >= steady_s[0]), memory[-1][1]), memory_bytes()),
    )


def quantiles_ms(times_s: Sequence[float]) -> tuple[float, float, float]:
    """Return median, 95 % quantile and maximum in milliseconds."""
    median, most, largest = 1e3 * np.quantile(times_s, [0.5, 0.95, 1])
    return float(median), float(most), float(largest)
