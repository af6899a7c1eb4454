"""A disk that fails: full, broken, or slow to take all bytes; at every system call, and for real."""

import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from airbench_var.errors import StorageError
from airbench_var.store import repair
from tests.faults import inject
from tests.faults.power import no_syncs
from tests.faults.tally import Tally, uninterrupted
from tests.store.fake_campaign import open_writer, outcome, run_campaign

FIRST_RUNS, ALL_RUNS = 3, 5


def fail_calls(folder: Path, name: str, fault: inject.Fault, step: int = 1) -> Tally:
    """Let each call of a creation, commits, a growth and a repair fail once; then repeat the command."""
    tally = Tally(f"{name} at every system call of creation, commit, growth, repair")
    with no_syncs():
        expected = uninterrupted(folder, ALL_RUNS)
        for part in (_create_and_grow, _damage_and_repair):
            for number in itertools.count(1, step):
                store, acknowledged = folder / "store", set[int]()
                if not _fails_at(part, store, acknowledged, number, fault):
                    shutil.rmtree(store)
                    break
                tally.tries += 1
                when = f"{part.__name__}, call {number}"
                if part is _damage_and_repair:
                    repair(store)
                tally.look_at(store, acknowledged, when)
                tally.finish(store, ALL_RUNS, expected, when)
                shutil.rmtree(store)
    return tally


def _fails_at(
    part: Callable[[Path, set[int], inject.Fault, int], None],
    store: Path,
    acknowledged: set[int],
    number: int,
    fault: inject.Fault,
) -> bool:
    """Return whether the part ended with a named error, or swallowed one (a folder that is there already)."""
    reached = False

    def told(call: Callable[..., object], args: tuple[object, ...]) -> object:
        nonlocal reached
        reached = True
        return fault(call, args)

    with suppress(StorageError):
        part(store, acknowledged, told, number)
    return reached


def _create_and_grow(store: Path, acknowledged: set[int], fault: inject.Fault, number: int) -> None:
    with inject.counting(fault, number):
        for n_runs in (FIRST_RUNS, ALL_RUNS):
            with open_writer(store, n_runs) as writer:
                writer.event("start", runs=n_runs)
                for run_id in writer.open_ids(n_runs):
                    writer.commit([outcome(run_id)])
                    acknowledged.add(run_id)


def _damage_and_repair(store: Path, acknowledged: set[int], fault: inject.Fault, number: int) -> None:
    run_campaign(store, ALL_RUNS)
    for file, at in (("runs.npy", 512 + 128 * 3 + 9), ("alpha/predicted.npy", 512 + 13 + 2)):
        data = bytearray((store / file).read_bytes())
        data[at] ^= 1
        (store / file).write_bytes(data)
    acknowledged |= {0, 2, 4}
    with inject.counting(fault, number):
        repair(store)


def fill_a_disk(folder: Path) -> Tally | None:
    """ENOSPC for real, on a tmpfs of 1 MB; None when it cannot be mounted (needs root)."""
    tally = Tally("ENOSPC for real: tmpfs of 1 MB full at creation, growth, commit, event")
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True
    ).returncode:
        return None
    try:
        expected = uninterrupted(folder, ALL_RUNS)
        store, filler = disk / "store", disk / "filler"
        _full(tally, "creation", lambda: open_writer(store, 100_000))
        if store.exists():
            tally.wrong("stuck", "a creation that failed left something behind")
        run_campaign(store, FIRST_RUNS)
        _full(tally, "growth", lambda: open_writer(store, 100_000))
        tally.look_at(store, range(FIRST_RUNS), "growth")
        with open_writer(store, ALL_RUNS) as writer:
            _fill(filler)
            writer.commit([outcome(FIRST_RUNS)])  # the space is reserved: a full disk does not matter
            tally.tries += 1
            tally.look_at(store, range(FIRST_RUNS + 1), "commit on a full disk")
            _full(tally, "event", lambda: writer.event("note", text="x" * 10_000))
        tally.look_at(store, range(FIRST_RUNS + 1), "event")
        filler.unlink()
        tally.finish(store, ALL_RUNS, expected, "room again")
    finally:
        subprocess.run(["umount", disk], check=True)
    return tally


def _full(tally: Tally, what: str, step: Callable[[], object]) -> None:
    tally.tries += 1
    try:
        step()
    except StorageError as error:
        if error.exit_code != 6 or "No space left" not in str(error):
            tally.wrong("stuck", f"{what}: {error}")
    else:
        tally.wrong("stuck", f"{what} on a full disk raised nothing")


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


def write_in_pieces(folder: Path) -> Tally:
    """Every write stops short after 1, 7 or 100 bytes."""
    tally = Tally("short writes of 1, 7 and 100 bytes")
    with no_syncs():
        expected = uninterrupted(folder, ALL_RUNS)
        for size in (1, 7, 100):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(os, "pwrite", partial(_short_write, os.pwrite, size))
                run_campaign(folder / f"store{size}", ALL_RUNS)
            tally.tries += 1
            tally.look_at(folder / f"store{size}", range(ALL_RUNS), f"{size} bytes")
            tally.finish(folder / f"store{size}", ALL_RUNS, expected, f"{size} bytes")
    return tally


def _short_write(pwrite: Callable[[int, bytes, int], int], size: int, fd: int, data: bytes, at: int) -> int:
    return pwrite(fd, data[:size], at)


def interrupt_calls(folder: Path, times: int) -> Tally:
    """Signals every 50 microseconds, so that system calls end early with EINTR."""
    tally = Tally("EINTR: a signal every 50 us during whole campaigns")
    expected = uninterrupted(folder, ALL_RUNS)
    for number in range(times):
        with _alarms():
            run_campaign(folder / "store", ALL_RUNS)
        tally.tries += 1
        tally.look_at(folder / "store", range(ALL_RUNS), f"campaign {number}")
        tally.finish(folder / "store", ALL_RUNS, expected, f"campaign {number}")
        shutil.rmtree(folder / "store")
    return tally


@contextmanager
def _alarms() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, True)
    signal.setitimer(signal.ITIMER_REAL, 5e-5, 5e-5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
