"""The store: commits against what plain scripts write; opening, verifying and resuming many runs.

What a commit costs depends on the disk more than on all else, so its ceiling is one write of as many bytes
to the same disk. What is read was written just before: it comes from memory, and no disk is measured.
"""

import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from unittest.mock import patch
from uuid import UUID

import numpy as np
import torch

from airbench_var.store import COMMITTED, OPEN, Store, filesystem_of, verify
from bench.keeping import (
    BATCHES,
    COLUMNS,
    TEST_SET,
    FakeRuns,
    Turns,
    by_memmap,
    by_npz,
    by_one_write,
    by_store,
    load_rows,
    read_rows,
)
from bench.schema import OURS, Case, Ceiling, Result

SHARED_MEMORY = Path("/dev/shm")
FILES = ("runs.npy", *(f"{TEST_SET}/{column}.npy" for column in COLUMNS))


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the cases are: CIFAR-10's test set, the paper's number of runs, and far more than that."""

    examples: int = 10_000
    batch: int = 64
    stored: int = 60_000
    resumed: int = 1_000_000
    scattered: int = 320  #: committed runs among those resumed


FULL = Sizes()
SMALL = Sizes(examples=43, batch=4, stored=10, resumed=50, scattered=6)


def cases(device: torch.device, sizes: Sizes = FULL) -> Iterator[Case]:
    """Yield commits, opening and verifying a store, and resuming one; no device has a part in it."""
    runs, one_run = (FakeRuns.draw(sizes.examples, count) for count in (sizes.batch, 1))
    rows = sizes.stored + 4 * BATCHES * sizes.batch  # four ways to keep a batch
    with folder_in_memory(rows * runs.row_bytes) as memory:
        if memory:
            yield from commit_case("commit_tmpfs", "tmpfs", memory, runs)
            yield from stored_cases(memory / "stored", runs, sizes.stored)
    with folder_on_disk() as disk:
        where = f"disk ({filesystem_of(disk)})"
        yield from commit_case("commit_disk", where, disk, runs)
        yield from commit_case("commit_one_run", where, disk, one_run)
        yield resume_case(disk / "resumed", runs, sizes.resumed, sizes.scattered)


@contextmanager
def folder_in_memory(needed_bytes: int) -> Iterator[Path | None]:
    """Yield a folder that is removed at the end, or None, with the reason printed, where there is no room."""
    free = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else 0
    if free < needed_bytes:
        needed_MB, free_MB = (f"{size / 1e6:,.0f} MB" for size in (needed_bytes, free))
        print(
            f"Skipped commits to tmpfs, open and verify: {SHARED_MEMORY} has {free_MB} free of {needed_MB}."
        )
        yield None
        return
    with TemporaryDirectory(prefix="bench-", dir=SHARED_MEMORY) as folder:
        touch_memory(Path(folder), needed_bytes)
        yield Path(folder)


def touch_memory(folder: Path, size: int) -> None:
    """Fill a file and remove it: a virtual machine waits for its host where memory was never written to."""
    with TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(0, size, len(BUFFER)):
            file.write(BUFFER)


@contextmanager
def folder_on_disk() -> Iterator[Path]:
    """Yield a folder in runs/, which git ignores; remove it at the end, and runs/ when nothing is in it."""
    parent = Path.cwd() / "runs"
    parent.mkdir(exist_ok=True)
    try:
        with TemporaryDirectory(prefix="bench-", dir=parent) as folder:
            yield Path(folder)
    finally:
        with suppress(OSError):
            parent.rmdir()


def commit_case(key: str, where: str, folder: Path, runs: FakeRuns) -> Iterator[Case]:
    """Yield the commit of new runs, a batch a call, and close its files at the end."""
    ways = {OURS: by_store, "npz per run": by_npz, "memmap": by_memmap, "one write": by_one_write}
    with ExitStack() as opened:
        turns = {name: opened.enter_context(closing(Turns(way, folder, runs))) for name, way in ways.items()}
        prepare = {name: turn.prepare for name, turn in turns.items()}
        ceiling = Ceiling(name="one write", run=turns.pop("one write"))
        what = "one run at a time" if runs.count == 1 else f"commit {runs.count} runs"
        yield Case(
            name=f"{what}, {where}",
            key=key,
            variants=turns,
            bytes_moved=runs.count * runs.row_bytes,
            ceiling=ceiling,
            prepare=prepare,
            items=runs.count,
            item="runs",
        )


def stored_cases(store: Path, runs: FakeRuns, n_runs: int) -> Iterator[Case]:
    """Yield opening and verifying a store of committed runs; opening alone reads no record."""
    commit(store, runs, n_runs, range(n_runs))
    files = [store / file for file in FILES]
    yield Case(
        name=f"open a store of {n_runs:,} runs",
        key="store_open",
        variants={OURS: partial(open_store, store), "resume": partial(resume, store, runs, n_runs)},
        bytes_moved=files[0].stat().st_size,
        ceiling=Ceiling(name="read", run=partial(read_through, files[:1])),
    )
    read_bytes = verify(store).bytes_read
    yield Case(
        name=f"verify a store of {n_runs:,} runs",
        key="store_verify",
        variants={OURS: partial(verify_store, store), "plain": partial(verify_plainly, store)},
        bytes_moved=read_bytes,
        ceiling=Ceiling(name="read + crc32", run=partial(read_through, files, zlib.crc32)),
        items=read_bytes,
        item="bytes",
    )


def commit(store: Path, runs: FakeRuns, capacity: int, run_ids: Sequence[int]) -> None:
    """Make a store and commit these runs."""
    with runs.open_writer(store, capacity) as writer:
        for ids in runs.batches(run_ids):
            writer.commit(runs.outcomes(ids))


def open_store(path: Path) -> Callable[[], Result]:
    """Open a store for reading, and, untimed, find what is done in it."""
    store = Store.open(path)
    return lambda: _open_and_committed(store.records()["state"])


def resume(path: Path, runs: FakeRuns, n_runs: int) -> Callable[[], Result]:
    """Do what a campaign does before its first run; untimed is only what makes tensors of it."""
    with runs.open_writer(path, n_runs) as writer:
        open_ids = writer.open_ids(n_runs)
    return lambda: (torch.tensor(open_ids, dtype=torch.int64), torch.tensor(writer.committed_ids()))


def _open_and_committed(states_R: np.ndarray) -> Result:
    return tuple(torch.from_numpy(np.flatnonzero(states_R == state)) for state in (OPEN, COMMITTED))


def verify_store(path: Path) -> Result:
    """Verify a store; return the numbers of its committed runs and of its faults."""
    found = verify(path)
    return (torch.tensor([found.committed, len(found.faults)]),)


def verify_plainly(path: Path) -> Result:
    """Return the same for a store of committed runs, as its README says, by NumPy and zlib alone."""
    runs, *matrices = (np.load(path / file, mmap_mode="r") for file in FILES)
    uuid = UUID(json.loads((path / "manifest.json").read_text())["uuid"])
    blank = runs.copy()
    blank["crc"], start = 0, zlib.crc32(uuid.bytes)
    whole = np.array([zlib.crc32(record.tobytes(), start) for record in blank]) == runs["crc"]
    faults = len(runs) - np.count_nonzero(whole)
    for matrix, promised_R in zip(matrices, runs["payload_crc"][:, 0].T, strict=True):
        faults += np.count_nonzero(np.array([zlib.crc32(row) for row in matrix]) != promised_R)
    return (torch.tensor([np.count_nonzero(runs["state"] == COMMITTED), faults]),)


def resume_case(store: Path, runs: FakeRuns, n_runs: int, scattered: int) -> Case:
    """Return resuming a store with few committed runs, the last of them among these; its rows are holes."""

    def make_longer(fd: int, offset: int, length: int) -> None:
        os.ftruncate(fd, offset + length)

    run_ids = np.linspace(0, n_runs - 1, scattered).astype(int).tolist()
    with patch.object(os, "posix_fallocate", make_longer):
        commit(store, runs, n_runs, run_ids)
    files = [store / file for file in FILES]

    def ours() -> Callable[[], Result]:
        found = resume(store, runs, n_runs)
        return lambda: (*found(), *read_rows(Store.open(store), run_ids))

    def plain() -> Callable[[], Result]:
        found = _open_and_committed(np.load(files[0], mmap_mode="r")["state"])
        return lambda: (*found, *load_rows(files[1:], run_ids))

    return Case(
        name=f"resume a store of {n_runs:,} runs, disk ({filesystem_of(store)})",
        key="store_resume",
        variants={OURS: ours, "plain": plain},
        bytes_moved=files[0].stat().st_size,
        ceiling=Ceiling(name="read", run=partial(read_through, files[:1])),
        items=n_runs,
        item="runs",
    )


#: Read again and again into the same piece of memory.
BUFFER = memoryview(bytearray(1 << 20))


def read_through(files: Sequence[Path], look: Callable[[memoryview], object] = len) -> None:
    """Read files from beginning to end, and look at each piece."""
    for path in files:
        with path.open("rb", buffering=0) as file:
            offset = 0
            while got := os.preadv(file.fileno(), [BUFFER], offset):
                look(BUFFER[:got])
                offset += got
