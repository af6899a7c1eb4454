"""A thousand slots behind real executors: runs sleep for a second in lanes of two processes.

What the simulation leaves out is in it: results are pickled, sent and read. A process for each slot would not
fit on a small machine, so each has many lanes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter, process_time
from typing import Any
from unittest.mock import patch

from airbench_var.campaign import Session, run_campaign
from airbench_var.execution import Executor, MakeTrain, Report, Stop, on_ray, process_pool
from airbench_var.execution.on_ray import Share, connect
from airbench_var.store import Outcome, RunSpec
from bench.scale.driver import unseen
from bench.scale.runs import Asleep, DistinctRuns

PROCESSES = 2


@dataclass(frozen=True, kw_only=True)
class Transport:
    """What a driver did for an executor."""

    name: str
    slots: int
    runs: int  #: that were acknowledged while all slots were at work
    rate: float  #: of these, results a second
    ideal: float  #: of slots that never wait
    cpu_share: float  #: of one core, of the driver's process

    @property
    def share_of_ideal(self) -> float:
        """Results a second, over those of slots that never wait."""
        return self.rate / self.ideal


def transports(slots: int, *, with_ray: bool) -> Iterator[tuple[str, Executor]]:
    """Yield the executors with so many lanes in all."""
    lanes = slots // PROCESSES
    yield "pool", partial(process_pool, workers=PROCESSES, lanes=lanes)
    if with_ray and find_spec("ray"):
        connect("local")  # or the cluster that this process has joined
        yield "Ray", partial(on_ray, share=Share(), workers=PROCESSES, lanes=lanes)


def carried(
    name: str, execute: Executor, runs: DistinctRuns, store: Path, slots: int, waves: int, run_s: float
) -> Transport:
    """Let an executor hand over some waves of runs, one a slot in each; the first and last do not count."""
    acknowledged: list[tuple[float, float, int]] = []  # wall clock, processor time, runs

    def timed(record: Any) -> Any:
        @wraps(record)
        def run(session: Session, batch: Sequence[Outcome], *rest: Any) -> None:
            record(session, batch, *rest)
            acknowledged.append((perf_counter(), process_time(), len(batch)))

        return run

    def asleep(arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop) -> Iterator[Report]:
        assert len(arms) == 1
        return execute([partial(Asleep, DistinctRuns(runs.n), run_s)], specs, stop)

    with unseen(), patch.object(Session, "record", timed(Session.record)):
        run_campaign(runs.campaign(store, waves * slots), "plain", asleep)
    counts = [count for _, _, count in acknowledged]
    total, first, last = 0, None, 0
    for index, count in enumerate(counts):
        total += count
        if first is None and total >= slots:
            first = index
        if total <= (waves - 1) * slots:
            last = index
    assert first is not None
    (start_s, start_cpu_s, _), (end_s, end_cpu_s, _) = acknowledged[first], acknowledged[max(last, first + 1)]
    inside = sum(counts[first + 1 : max(last, first + 1) + 1])
    return Transport(
        name=name,
        slots=slots,
        runs=inside,
        rate=inside / (end_s - start_s),
        ideal=slots / run_s,
        cpu_share=(end_cpu_s - start_cpu_s) / (end_s - start_s),
    )
