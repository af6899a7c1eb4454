"""Import in a child that is killed at its K-th system call, for every K, and give the same command each time.

`python -m tests.importing.kill_everywhere FOLDER` prints, as JSON, how many calls it was killed at and what
was wrong afterwards. A program of its own, because a fork is only safe in a process without threads.
"""

import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

from airbench_var import machine
from airbench_var.importing import Import, import_runs, rows
from airbench_var.store import Store, verify
from tests.faults import inject
from tests.importing.inputs import R, some_runs, write


def killed_at(k: int, wanted: Import) -> bool:
    """Return whether an import was killed at its call number k; otherwise it ended before."""
    child = os.fork()
    if child == 0:
        with inject.counting(inject.kill, k):
            import_runs(wanted)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL)
    return status == signal.SIGKILL


def matrices(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (store / "test").iterdir()}


def main(folder: Path) -> None:
    os.fsync = os.fdatasync = lambda _: None  # a killed process loses nothing that the kernel has
    machine.commit = lambda: None
    runs = some_runs()
    rows.BLOCK_BYTES = 5 * runs.classes_RN[0].nbytes  # blocks of 5, 5, and 2 runs
    wanted = write(folder, runs.classes_RN, runs.labels_N)
    import_runs(replace(wanted, out=folder / "whole"))
    kills, found, wrong = 0, set(), []
    while killed_at(kills + 1, wanted):
        kills += 1
        there = 0
        if (wanted.out / "manifest.json").exists():
            wrong += [f"kill at call {kills}: {fault}" for fault in verify(wanted.out).faults]
            there = len(Store.open(wanted.out).committed_ids())
        found.add(there)
        if import_runs(wanted).added != R - there:
            wrong.append(f"kill at call {kills}: what was there was imported again")
        if matrices(wanted.out) != matrices(folder / "whole"):
            wrong.append(f"kill at call {kills}: other bytes")
        shutil.rmtree(wanted.out)
    print(json.dumps({"kills": kills, "committed": sorted(found), "wrong": wrong}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
