"""The simplest executor: one run after another, here."""

import time
from collections.abc import Iterable, Iterator, Sequence

from airbench_var.execution.contract import MakeTrain, Stop
from airbench_var.store.rows import Outcome, RunSpec


def in_process(arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop) -> Iterator[Outcome | None]:
    """Yield outcomes in the order of the specs."""
    specs = list(specs)
    if not specs:
        return
    start_s = time.perf_counter()
    trains = [make_train() for make_train in arms]
    ready_s: float | None = time.perf_counter() - start_s
    for spec in specs:
        if stop():
            return
        yield Outcome(spec=spec, worker=0, result=trains[spec.arm](spec.seeds), ready_s=ready_s)
        ready_s = None
