"""The executors that keep one contract, by name; whoever adds one adds a line here."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import pytest

from airbench_var.execution import (
    Executor,
    MakeTrain,
    Report,
    Stop,
    in_process,
    in_threads,
    on_ray,
    process_pool,
)
from airbench_var.execution.on_ray import Share
from airbench_var.store import RunSpec

#: All of them, each with two slots where it can have two.
EVERY_EXECUTOR: dict[str, Executor] = {
    "in_process": in_process,
    "threads": partial(in_threads, threads=2),
    "pool": partial(process_pool, workers=2),
    "lanes": partial(process_pool, workers=1, lanes=2),
    "ray": partial(on_ray, share=Share(), workers=2),  # by this name conftest starts a cluster
}

#: Those that survive the death of a worker.
ROBUST_EXECUTORS = {name: EVERY_EXECUTOR[name] for name in ("pool", "lanes", "ray")}

EXECUTORS = pytest.mark.parametrize("execute", EVERY_EXECUTOR.values(), ids=EVERY_EXECUTOR)
ROBUST = pytest.mark.parametrize("execute", ROBUST_EXECUTORS.values(), ids=ROBUST_EXECUTORS)


def instead(
    execute: Executor, fake: MakeTrain, arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop
) -> Iterator[Report]:
    """Be an executor that trains something else than it was asked for."""
    assert len(arms) == 1
    return execute([fake], specs, stop)
