"""Merge in a child that is killed at its K-th system call, for every K, and give the same command each time.

`python -m tests.store.merge_killed FOLDER` prints, as JSON, how many calls it was killed at and what was
wrong afterwards. A program of its own, because a fork is only safe in a process without threads.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from airbench_var.store import Store, merge, merging, verify
from tests.faults import inject
from tests.store import fake_campaign

RUNS, SHARDS = 5, 2
#: Without classes there are fewer calls, and as many kinds of them.
IDENTITY = fake_campaign.IDENTITY | {"columns": ["correct"]}
MATRICES = [f"{name}/correct.npy" for name in fake_campaign.SIZES]


def killed_at(k: int, sources: list[Path], out: Path) -> bool:
    """Return whether a merge was killed at its call number k; otherwise it ended before."""
    child = os.fork()
    if child == 0:
        with inject.counting(inject.kill, k):
            merge(sources, out)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL)
    return status == signal.SIGKILL


def train(store: Path, own: range) -> Path:
    with fake_campaign.open_writer(store, RUNS, own=own, identity=IDENTITY) as writer:
        writer.commit([fake_campaign.outcome(run_id) for run_id in own])
    return store


def main(folder: Path) -> None:
    os.fsync = os.fdatasync = lambda _: None  # a killed process loses nothing that the kernel has
    merging.BLOCK_RUNS = 2  # blocks of 2, 1, and 2 runs
    expected = fake_campaign.matrix_bytes(train(folder / "whole", range(RUNS)), MATRICES)
    sources = [train(folder / str(part), range(part, RUNS, SHARDS)) for part in range(SHARDS)]
    out, kills, found, wrong = folder / "out", 0, set(), []
    while killed_at(kills + 1, sources, out):
        kills += 1
        there = 0
        if (out / "manifest.json").exists():
            wrong += [f"kill at call {kills}: {fault}" for fault in verify(out).faults]
            there = len(Store.open(out).committed_ids())
        found.add(there)
        if sum(source.added for source in merge(sources, out).sources) != RUNS - there:
            wrong.append(f"kill at call {kills}: what was there was merged again")
        if fake_campaign.matrix_bytes(out, MATRICES) != expected:
            wrong.append(f"kill at call {kills}: other bytes")
        shutil.rmtree(out)
    print(json.dumps({"kills": kills, "committed": sorted(found), "wrong": wrong}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
