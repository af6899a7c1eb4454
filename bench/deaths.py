"""What the death of a worker costs besides its run: until another is ready in its place."""

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing
from itertools import count
from pathlib import Path

import numpy as np
import torch

from airbench_var.campaign import Campaign
from airbench_var.execution import Notice, process_pool
from airbench_var.seeds import seeds_of_run
from airbench_var.store import RunSpec
from airbench_var.training import RecipeOnData
from bench.schema import OURS, Row, device_name, row, take_turns
from bench.training_cpu import Sizes, chosen
from bench.workers import as_in_a_new_shell

#: Timed turns at most.
TURNS, WORKERS = 10, 2


def deaths(sizes: Sizes, turns: int, limit_s: float) -> Generator[list[Row], None, None]:
    """Yield the seconds from SIGKILL to a worker until another is ready, while the others train on.

    A worker has to import torch, which is the least it could take on a machine that does nothing else.
    """
    recipe, images = sizes.recipe, sizes.data
    settings = chosen(recipe).settings
    campaign = Campaign(
        subject=RecipeOnData(recipe=recipe, data=images, settings=settings), out=Path(), runs=1
    )
    noticed_s: list[float] = []

    def turn() -> float:
        specs = (RunSpec(run_id=i, seeds=seeds_of_run(0, i)) for i in count())
        ready, killed_s = 0, 0.0
        pool = process_pool([campaign.make_train], specs, lambda: False, workers=WORKERS)
        with closing(pool) as reports:  # type: ignore[type-var]
            for report in reports:
                if not isinstance(report, Notice):
                    continue
                if report.kind == "worker-died":
                    noticed_s.append(time.perf_counter() - killed_s)
                ready += report.kind == "ready"
                if report.kind == "ready" and ready == WORKERS:  # all of them train
                    killed_s = time.perf_counter()
                    multiprocessing.active_children()[0].kill()
                elif ready > WORKERS:
                    return time.perf_counter() - killed_s
        raise AssertionError("a pool that is not stopped goes on")

    def floor() -> float:
        start_s = time.perf_counter()
        with as_in_a_new_shell():
            subprocess.run([sys.executable, "-c", "import torch"], check=True)
        return time.perf_counter() - start_s

    times_s = take_turns({OURS: turn, "import torch": floor}, min(turns, TURNS), 0, limit_s)
    note = f"noticed after {1e3 * np.median(noticed_s):.0f} ms, at most {1e3 * max(noticed_s):.0f} ms"
    yield [
        row(
            case=f"death of one of {WORKERS} workers, until it is replaced: {recipe.name} on {images.title}",
            key="death",
            variant=name,
            device=device_name(torch.device("cpu"), WORKERS),
            times=taken_s,
            first=taken_s[0],
            unit="s",
            bytes_moved=images.train.images_NHWC.nbytes,
            ceiling="import torch",
            best=float(np.median(times_s["import torch"])),
            note=note if name == OURS else "",
        )
        for name, taken_s in times_s.items()
    ]
