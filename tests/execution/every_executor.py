"""The executors that keep one contract, by name; whoever adds one adds a line here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

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
    "ray": partial(on_ray, share=Share(), workers=2),
}

#: Those that survive the death of a worker.
ROBUST_EXECUTORS = {name: EVERY_EXECUTOR[name] for name in ("pool", "lanes", "ray")}


def each(name: str, executors: Mapping[str, Any]) -> pytest.MarkDecorator:
    """Return a test's parameter of this name; with the one called ray, it gets a cluster."""
    return pytest.mark.parametrize(
        name,
        [
            pytest.param(one, id=key, marks=[pytest.mark.ray] if key == "ray" else [])
            for key, one in executors.items()
        ],
    )


EXECUTORS = each("execute", EVERY_EXECUTOR)
ROBUST = each("execute", ROBUST_EXECUTORS)


def instead(
    execute: Executor, fake: MakeTrain, arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop
) -> Iterator[Report]:
    """Be an executor that trains something else than it was asked for."""
    assert len(arms) == 1
    return execute([fake], specs, stop)
