"""What a campaign takes besides training: until its first network, and for store and live statistics."""

import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, suppress
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from airbench_var.analysis import LiveStatistics
from airbench_var.campaign import Campaign, Session, run_campaign
from airbench_var.recipes import images_recipe
from airbench_var.store import COMMITTED, Store
from airbench_var.training import RecipeOnData
from bench.keeping import FakeRuns
from bench.schema import OURS, Row, device_name, row, take_turns
from bench.store import folder_on_disk
from bench.training_cpu import Sizes, chosen
from bench.workers import as_in_a_new_shell

#: Timed turns at most.
TURNS = 5

#: Runs that are in a store before its campaign goes on: live statistics then have all their work.
BEFORE = 1000

POLL_S = 0.01

#: Values of the recipe that make a network small enough for a test.
DRAFT: Mapping[str, str] = MappingProxyType({"epochs": "0.05", "network.widths": "8,12,16"})


def start(changes: Mapping[str, str], turns: int, limit_s: float) -> Generator[list[Row], None, None]:
    """Yield the seconds from `python -m airbench_var --runs 1 --recipe tiny` to its committed run.

    The training itself is left out; the data are synthetic. Nothing that trains by
    PyTorch can be faster than importing it.
    """
    with folder_on_disk() as folder:

        def ours() -> float:
            return until_committed(folder / f"{time.monotonic_ns()}", changes)

        def floor() -> float:
            start_s = time.perf_counter()
            with as_in_a_new_shell():
                subprocess.run([sys.executable, "-c", "import torch"], check=True)
            return time.perf_counter() - start_s

        timers = {OURS: ours, "import torch": floor}
        times_s = take_turns(timers, min(turns, TURNS), 0, limit_s)
    yield [
        row(
            case="start to first network: tiny on synthetic data, without its training",
            key="start",
            variant=name,
            device=device_name(torch.device("cpu"), chosen(images_recipe("tiny")).placement.workers),
            times=times,
            first=times[0],
            unit="s",
            bytes_moved=30_000 * 32 * 32 * 3,
            ceiling="import torch",
            best=float(np.median(times_s["import torch"])),
        )
        for name, times in times_s.items()
    ]


def until_committed(store: Path, changes: Mapping[str, str]) -> float:
    """Return the seconds from starting the command to its committed run, less those of the training.

    Raises: CalledProcessError when the command fails.
    """
    values = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "airbench_var", "--runs", "1", "--recipe", "tiny", "--quiet"]
    command += ["--data", "synthetic", "--device", "cpu", "--out", str(store), *values]
    start_s = time.perf_counter()
    with as_in_a_new_shell():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while not (done := _committed(store / "runs.npy")) and process.poll() is None:
            time.sleep(POLL_S)
        elapsed_s = time.perf_counter() - start_s
        printed, errors = process.communicate()
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, printed, errors)
    assert done or _committed(store / "runs.npy")
    return elapsed_s - float(Store.open(store).records()["train_s"][0])


def _committed(records: Path) -> bool:
    with suppress(OSError, ValueError):  # not there yet, or not all of it
        return bool(np.load(records, mmap_mode="r")["state"][0] == COMMITTED)
    return False


def overhead(sizes: Sizes, turns: int, limit_s: float) -> Generator[list[Row], None, None]:
    """Yield the wall time of a network in a campaign, and of it what is training.

    A campaign with the default workers goes on in a store that has many runs, a network a worker each turn.
    Its wall time is taken as that of the workers plus the time within commits and live statistics, as if
    nothing were trained meanwhile: more than it is.
    """
    recipe, images = sizes.recipe, sizes.data
    prepared = chosen(recipe)
    workers = prepared.placement.workers
    with folder_on_disk() as folder:

        def campaign(runs: int) -> Campaign:
            return Campaign(
                subject=RecipeOnData(recipe=recipe, data=images, settings=prepared.settings),
                out=folder / "store",
                runs=runs,
                placement=prepared.placement,
            )

        fill(campaign(BEFORE))
        trained_s: list[float] = []

        def turn() -> float:
            runs = BEFORE + workers * (len(trained_s) + 1)
            spent_s: list[float] = []
            with ExitStack() as patched:
                for owner, name in ((Session, "record"), (Session, "keep"), (LiveStatistics, "analysis")):
                    timed = _timed(getattr(owner, name), spent_s)
                    patched.enter_context(patch.object(owner, name, timed))
                run_campaign(campaign(runs))
            train_R = Store.open(folder / "store").records()["train_s"][runs - workers : runs]
            trained_s.append(float(train_R.mean()))
            return trained_s[-1] + sum(spent_s)

        times_s = take_turns({OURS: turn}, min(turns, TURNS), 0, limit_s)[OURS]
    share = float(np.mean([1 - a / b for a, b in zip(trained_s, times_s, strict=True)]))
    name = f"overhead: {recipe.name} on {images.title}, {workers} workers, store of {BEFORE:,} runs"
    spent = f"commits and live statistics take {share:.3%} of the wall time"
    yield [
        row(
            case=name,
            key="campaign",
            variant=variant,
            device=device_name(torch.device("cpu"), workers),
            times=times,
            first=times[0],
            unit="s",
            bytes_moved=workers * len(images.test),
            ceiling="training",
            best=float(np.median(trained_s)),
            note=note,
        )
        for variant, times, note in (
            (OURS, times_s, spent),
            ("training", trained_s, "the same networks, without store and statistics"),
        )
    ]


def fill(campaign: Campaign) -> None:
    """Make the store of a campaign and commit runs to it that no network made."""
    [(name, labels_N)] = campaign.subject.labels.items()
    runs = FakeRuns.of_labels(labels_N, 50)
    with Session.open(campaign) as session:
        for ids in runs.batches(range(campaign.runs)):
            session.record(runs.outcomes(ids, name), print)
        session.keep(print)


def _timed(function: Callable[..., Any], spent_s: list[float]) -> Callable[..., Any]:
    """Return the function, which notes its seconds; a thorough analysis is the last one, not a live one."""

    @wraps(function)
    def run(*arguments: Any, **options: Any) -> Any:
        start_s = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            if function.__name__ != "analysis" or not options.get("thorough", True):
                spent_s.append(time.perf_counter() - start_s)

    return run
