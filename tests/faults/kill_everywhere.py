"""Run a campaign in a child that is killed at its K-th system call, for every K, and finish it each time.

`python -m tests.faults.kill_everywhere FOLDER` prints, as JSON, how many calls it was killed at and what was
wrong afterwards. A program of its own, because a fork is only safe in a process without threads.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from airbench_var.store import Store, verify
from tests.faults import inject
from tests.store import fake_campaign

FIRST_RUNS, ALL_RUNS = 3, 5


def campaign(store: Path, ledger: Path) -> None:
    """Make a store, commit, grow it, commit: and write down outside what was acknowledged."""
    for n_runs in (FIRST_RUNS, ALL_RUNS):
        with fake_campaign.open_writer(store, n_runs) as writer:
            open_ids = writer.open_ids(n_runs)
            for batch in (open_ids[:2], open_ids[2:]):
                writer.commit([fake_campaign.outcome(run_id) for run_id in batch])
                with ledger.open("a") as file:
                    file.writelines(f"{run_id}\n" for run_id in batch)


def killed_at(k: int, store: Path, ledger: Path) -> str | None:
    """Return the call it was killed at, or None when the campaign ended before."""
    child = os.fork()
    if child == 0:
        with inject.counting(inject.kill, k):
            campaign(store, ledger)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        return None if os.WEXITSTATUS(status) == 0 else f"exit {os.WEXITSTATUS(status)}"
    return signal.Signals(os.WTERMSIG(status)).name


def faults_after(store: Path, ledger: Path, expected: dict[str, bytes]) -> list[str]:
    wrong = []
    acknowledged = {int(line) for line in ledger.read_text().split()} if ledger.exists() else set()
    if (store / "manifest.json").exists():
        committed = set(Store.open(store).committed_ids().tolist())
        wrong += map(str, verify(store).faults)
        wrong += [f"run {run_id} was acknowledged and is lost" for run_id in acknowledged - committed]
    elif acknowledged:
        wrong.append("the store is lost")
    fake_campaign.run_campaign(store, ALL_RUNS)
    if fake_campaign.matrix_bytes(store) != expected:
        wrong.append("the matrices differ from those of an uninterrupted campaign")
    return wrong


def main(folder: Path) -> None:
    os.fsync = os.fdatasync = lambda _: (
        None
    )  # a killed process loses nothing that the kernel has: save the time
    fake_campaign.run_campaign(folder / "uninterrupted", ALL_RUNS)
    expected = fake_campaign.matrix_bytes(folder / "uninterrupted")
    store, ledger = folder / "store", folder / "ledger"
    kills, wrong = 0, []
    while (end := killed_at(kills + 1, store, ledger)) is not None:
        kills += 1
        found = faults_after(store, ledger, expected) if end == "SIGKILL" else [end]
        wrong += [f"kill at call {kills}: {fault}" for fault in found]
        shutil.rmtree(store)
        ledger.unlink(missing_ok=True)
    print(json.dumps({"kills": kills, "wrong": wrong}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
