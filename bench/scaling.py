"""Runs in several slots: networks of `tiny` in one worker and in two, and by executor runs that only sleep.

Only the executors are compared: nothing is kept in a store. What counts are the times from one outcome of a
slot to its next, as the campaign sees them, while every slot is at work: so starting workers is in no
number, and neither is the end, when a slot has nothing left to do.
"""

import time
from collections import defaultdict
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import count, pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch

from airbench_var.campaign import Campaign
from airbench_var.execution import Executor, MakeTrain, in_process, on_ray, process_pool
from airbench_var.execution.on_ray import Share, connect
from airbench_var.seeds import seeds_of_run
from airbench_var.store import Outcome, RunSpec
from airbench_var.training import RecipeOnData
from bench.schema import OURS, Row, device_name, row, take_turns
from bench.sleeping import Sleeps
from bench.training_cpu import Sizes, chosen

#: Timed turns at most, and runs of every slot that a turn times at least.
TURNS, RUNS = 5, 2


RAY = "Ray"


@dataclass(frozen=True)
class Way:
    """An executor and how many runs it has under way."""

    execute: Executor
    slots: int


#: By the names of the table; an executor that is added is compared with ours by the same turns.
EXECUTORS: Mapping[str, Way] = MappingProxyType(
    {
        OURS: Way(partial(process_pool, workers=2), 2),
        **({RAY: Way(partial(on_ray, share=Share(), workers=2), 2)} if find_spec("ray") else {}),
        "pool of 1": Way(partial(process_pool, workers=1), 1),
        "in process": Way(in_process, 1),
    }
)


def run_s(way: Way, make_train: MakeTrain, runs: int = RUNS) -> float:
    """Return the mean seconds from one outcome of a slot to its next, over at least `runs` in each slot."""
    ended_s: dict[int, list[float]] = defaultdict(list)
    start_s = 0.0  # when every slot has had its first outcome

    def enough() -> bool:
        return len(ended_s) == way.slots and all(
            sum(end_s >= start_s for end_s in ends_s) > runs for ends_s in ended_s.values()
        )

    specs = (RunSpec(run_id=i, seeds=seeds_of_run(0, i)) for i in count())
    for report in way.execute([make_train], specs, enough):
        if isinstance(report, Outcome):
            now_s = time.perf_counter()
            start_s = start_s if report.worker in ended_s else now_s
            ended_s[report.worker].append(now_s)
    end_s = min(ends_s[-1] for ends_s in ended_s.values())
    times_s = [b - a for ends_s in ended_s.values() for a, b in pairwise(ends_s) if start_s <= a < b <= end_s]
    return float(np.mean(times_s))


def scaling(sizes: Sizes, turns: int, limit_s: float) -> Generator[list[Row], None, None]:
    """Yield the seconds a network in two workers of a thread each and in one; at best they are half."""
    recipe, images = sizes.recipe, sizes.data
    settings = chosen(recipe).settings
    campaign = Campaign(
        subject=RecipeOnData(recipe=recipe, data=images, settings=settings), out=Path(), runs=1
    )

    def network_s(workers: int) -> float:
        way = Way(partial(process_pool, workers=workers), workers)
        return run_s(way, campaign.make_train) / workers

    timers = {OURS: partial(network_s, 2), "1 worker": partial(network_s, 1)}
    times_s = take_turns(timers, min(turns, TURNS), 0, limit_s)
    ratios = np.array(times_s["1 worker"]) / times_s[OURS]
    notes = {OURS: f"2 workers, {ratios.min():.3f} to {ratios.max():.3f} times as fast by turn"}
    times_s["ideal"] = [seconds / 2 for seconds in times_s["1 worker"]]
    yield _rows(
        case=f"scaling: {recipe.name} on {images.title}, workers of {settings.threads} thread",
        key="scaling",
        times_s=times_s,
        notes=notes | {"ideal": "half of 1 worker"},
        threads=2 * settings.threads,
        bytes_moved=images.train.images_NHWC.nbytes,
        item="networks",
    )


def executors(
    seconds: float,
    turns: int,
    limit_s: float,
    examples: int = 10_000,
    ways: Mapping[str, Way] = EXECUTORS,
) -> Generator[list[Row], None, None]:
    """Yield by executor the seconds of a run that sleeps so long: what is above that, handing over takes."""
    if RAY in ways:
        connect("local")  # or the cluster that this process has joined
    make_train = partial(Sleeps, seconds, examples)
    timers = {name: partial(run_s, way, make_train) for name, way in ways.items()}
    times_s = take_turns(timers, min(turns, TURNS), 0, limit_s)
    notes = {}
    for name, taken_s in times_s.items():
        over_ms = 1e3 * (np.array(taken_s) - seconds)
        notes[name] = (
            f"slots: {ways[name].slots}; a run takes {np.median(over_ms):.2f} ms longer "
            f"({over_ms.min():.2f} to {over_ms.max():.2f})"
        )
    notes[OURS] = f"pool of 2; {notes[OURS]}"
    times_s["ideal"] = [seconds] * len(times_s[OURS])
    yield _rows(
        case=f"executors: runs that sleep {seconds:g} s, n = {examples:,}",
        key="executors",
        times_s=times_s,
        notes=notes,
        threads=1,
        bytes_moved=examples + len(np.packbits(np.zeros(examples, np.uint8))),
    )


def _rows(
    *,
    case: str,
    key: str,
    times_s: Mapping[str, list[float]],
    notes: Mapping[str, str],
    threads: int,
    bytes_moved: int,
    item: Literal["networks", ""] = "",
) -> list[Row]:
    return [
        row(
            case=case,
            key=key,
            variant=name,
            device=device_name(torch.device("cpu"), threads),
            times=taken_s,
            first=taken_s[0],
            unit="s",
            bytes_moved=bytes_moved,
            ceiling="ideal",
            best=float(np.median(times_s["ideal"])),
            items=1 if item else 0,
            item=item,
            per="hour",
            note=notes.get(name, ""),
        )
        for name, taken_s in times_s.items()
    ]
