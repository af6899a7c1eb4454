"""A power cut after every system call of a campaign, with what was on its way to the disk lost or mixed."""

import copy
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from math import inf
from pathlib import Path

import numpy as np
import pytest

from airbench_var.errors import StorageError
from airbench_var.store import repair, verify
from tests.faults.disk import ORDERS, Disk, Killed, put, recorded, some_arrive
from tests.faults.tally import Tally, uninterrupted
from tests.store.fake_campaign import failure, open_writer, outcome

ALL_RUNS = 7

#: What is damaged for the repair: file, run, size of its rows.
HARM = (("alpha/predicted.npy", 1, 13), ("runs.npy", 4, 128))


class Replay:
    """One telling of a story, with a copy of the disk after every K-th system call."""

    def __init__(self, folder: Path, every: int = 1) -> None:
        self.folder, self.every = folder, every
        self.disk, self.acknowledged, self.moments = Disk(), set[int](), list[tuple[Disk, set[int], str]]()
        self.calls, self.recording, self.kill_at = 0, True, 0

    def tell(self, story: Callable[["Replay", Path], None], fail_sync: int = 0) -> None:
        """Run the story on real files below the folder, and on the model."""
        root = self.folder / "recorded"
        root.mkdir()
        with recorded(self.disk, root, self._happened, fail_sync):
            story(self, root / "store")
        shutil.rmtree(root)

    def _happened(self, call: str) -> None:
        self.calls += 1
        if self.calls == self.kill_at:
            raise Killed
        if self.recording and self.calls % self.every == 0:
            moment = f"after call {self.calls}, {call}"
            self.moments.append((copy.deepcopy(self.disk), set(self.acknowledged), moment))

    def look(self, tally: Tally, mixtures: int, seed: int) -> None:
        """At each moment, cut the power, in every order and in so many random mixtures of what arrives."""
        rng, place = random.Random(seed), self.folder / "after"
        with no_syncs():
            expected = uninterrupted(self.folder, ALL_RUNS)
            for disk, acknowledged, moment in self.moments:
                for arrives in (*ORDERS, *(some_arrive(rng) for _ in range(mixtures))):
                    place.mkdir()
                    put(disk.after_a_power_cut(arrives), place)
                    tally.tries += 1
                    if self.harmed:
                        _repair_known_harm(tally, place / "store", moment)
                    tally.look_at(place / "store", acknowledged, moment)
                    tally.finish(place / "store", ALL_RUNS, expected, moment)
                    shutil.rmtree(place)
        shutil.rmtree(self.folder / f"uninterrupted{ALL_RUNS}")

    harmed = False

    def harm(self, store: Path) -> None:
        """Change a byte of a row and one of a record, on the disk and in what the process sees."""
        for name, run_id, row_bytes in HARM:
            at = 512 + run_id * row_bytes + 5
            with (store / name).open("r+b") as file:
                file.seek(at)
                byte = file.read(1)[0] ^ 255
                file.seek(at)
                file.write(bytes([byte]))
            self.disk.content[self.disk.files[f"store/{name}"]][at] = byte
        self.acknowledged -= {run_id for _, run_id, _ in HARM}
        self.harmed = True


def life(replay: Replay, store: Path) -> None:
    """Make a store, commit, grow, commit; what is done is passed over, as when a command is repeated."""
    for capacity, fails in ((3, set()), (5, {3}), (ALL_RUNS, set())):
        with open_writer(store, capacity) as writer:
            replay.acknowledged |= set(writer.committed_ids())  # a campaign shows them as done
            writer.event("start", runs=capacity)
            work = writer.open_ids(capacity)
            for batch in (work[:2], work[2:]):
                writer.commit([failure(run_id) if run_id in fails else outcome(run_id) for run_id in batch])
                replay.acknowledged |= set(batch) - fails


def twice_told(replay: Replay, store: Path, ends: type[BaseException]) -> None:
    """The same command again after the disk failed once, or after a kill that the kernel survives."""
    with suppress(ends):
        life(replay, store)
        return
    replay.disk.dead, replay.recording = False, True
    life(replay, store)


def repaired_life(replay: Replay, store: Path) -> None:
    """Damage a finished store, repair it, and train again what that opened."""
    replay.recording = False
    life(replay, store)
    replay.harm(store)
    replay.recording = True
    repair(store)
    with open_writer(store, ALL_RUNS) as writer:
        replay.acknowledged |= set(writer.committed_ids())
        work = writer.open_ids(ALL_RUNS)
        writer.commit([outcome(run_id) for run_id in work])
        replay.acknowledged |= set(work)


def cut_anywhere(folder: Path, mixtures: int, every: int = 1) -> Tally:
    """Cut the power after every (or every K-th) call of a store's life."""
    tally = Tally("power cut: un-synced writes dropped, reordered, torn at 512 B and 4 KiB")
    replay = Replay(folder, every)
    replay.tell(life)
    replay.look(tally, mixtures, seed=0)
    return tally


def cut_in_a_repair(folder: Path, mixtures: int, every: int = 1) -> Tally:
    """Cut the power after every (or every K-th) call of a repair and what follows it."""
    tally = Tally("power cut during a repair")
    replay = Replay(folder, every)
    replay.tell(repaired_life)
    replay.look(tally, mixtures, seed=1)
    return tally


def cut_after_a_failed_sync(
    folder: Path, mixtures: int, every: int = 1, first: int = 1, step: int = 1, last: float = inf
) -> Tally:
    """EIO from each (or each step-th) sync of a file, the same command again, then a power cut anywhere."""
    tally = Tally("EIO once from fsync or fdatasync, same command again, power cut")
    number, failed = first, True
    while failed and number <= last:
        replay = Replay(folder, every)
        replay.recording = False  # from the failure on
        replay.tell(partial(twice_told, ends=StorageError), fail_sync=number)
        failed = replay.recording
        replay.look(tally, mixtures, seed=number)
        number += step
    return tally


def _repair_known_harm(tally: Tally, store: Path, moment: str) -> None:
    """What the story itself has damaged is no work of the power cut: repair it, if it is just that.

    Once its record is open again, the damaged run must be in the quarantine.
    """
    found = {(fault.file, fault.run_id) for fault in verify(store).faults}
    harm = {(file, run_id) for file, run_id, _ in HARM}
    for _, run_id in harm - found:
        boxes = list((store / "quarantine").rglob("run_ids.npy"))
        rows = {path.parent.joinpath(file).exists() for path in boxes for file, *_ in HARM}
        if not any(run_id in np.load(path) for path in boxes) or rows != {True}:
            tally.wrong("lost", f"{moment}: the quarantine of run {run_id}")
    if found and found <= harm:
        repair(store)


def cut_after_a_kill(
    folder: Path, mixtures: int, every: int = 1, first: int = 1, step: int = 1, last: float = inf
) -> Tally:
    """SIGKILL after each (or each step-th) call, the same command again, then a power cut anywhere."""
    tally = Tally("SIGKILL, same command again, power cut")
    for kill_at in count(first, step):
        replay = Replay(folder, every)
        replay.recording, replay.kill_at = False, kill_at  # from the kill on
        replay.tell(partial(twice_told, ends=Killed))
        if not replay.recording or kill_at > last:
            return tally
        replay.look(tally, mixtures, seed=kill_at)
    raise AssertionError("the story has an end")


@contextmanager
def no_syncs() -> Iterator[None]:
    """Looking at what a power cut left cuts no power itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(os, "fdatasync", lambda _: None)
        patch.setattr("airbench_var.store.damage.RECHECK_S", 0)
        yield
