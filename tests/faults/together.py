"""Processes that use one store at the same time: writers that race, one of them killed; readers beside one.

`python -m tests.faults.together writer STORE LEDGER HOLDER RUNS SEED` and `... reader STORE RUNS` are those
processes.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from airbench_var.errors import StoreDamagedError, StoreRefusedError, UsageError
from airbench_var.store import Store
from tests.faults.campaign import in_ledger
from tests.faults.tally import Tally, uninterrupted
from tests.store.fake_campaign import open_writer, outcome

ROOT = Path(__file__).parents[2]


def _start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.faults.together", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def race(folder: Path, writers: int, n_runs: int, seed: int = 0) -> Tally:
    """Let writers try for one store until it is done; a fifth of the holders is killed with the lock held."""
    tally = Tally(f"{writers} writers racing for one store, holders killed")
    expected = uninterrupted(folder, n_runs)
    store, ledger, holder = folder / "store", folder / "ledger", folder / "holder"
    running = {_start("writer", store, ledger, holder, n_runs, seed + i): i for i in range(writers)}
    started = writers
    while running:
        for process in [p for p in running if p.poll() is not None]:
            del running[process]
            text, _ = process.communicate()
            with suppress(ValueError):  # killed before it could say anything
                for wrong in json.loads(text)["wrong"]:
                    tally.wrong("torn", wrong)
            if process.returncode == -signal.SIGKILL:
                running[_start("writer", store, ledger, holder, n_runs, seed + started)] = started
                started += 1
            elif process.returncode:
                tally.wrong("stuck", f"a writer ended with exit code {process.returncode}")
        time.sleep(0.01)
    tally.tries = _attempts(ledger).stat().st_size
    tally.look_at(store, in_ledger(ledger), "race over")
    tally.finish(store, n_runs, expected, "race over")
    return tally


def writer(store: Path, ledger: Path, holder: Path, n_runs: int, seed: int) -> None:
    """Hold the store for a few runs at a time, and write down whoever else is there too."""
    rng = random.Random(seed)
    wrong = []
    attempts = os.open(_attempts(ledger), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    acknowledged = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while True:
        os.write(attempts, b".")
        try:
            held = open_writer(store, n_runs)
        except StoreRefusedError:
            time.sleep(rng.random() * 0.01)
            continue
        with held:
            try:
                os.close(os.open(holder, os.O_CREAT | os.O_EXCL))
                holder.write_text(str(os.getpid()))
            except FileExistsError:
                other = holder.read_text()
                if other and _runs(int(other)):
                    wrong.append(f"{os.getpid()} holds the store beside {other}")
                holder.write_text(str(os.getpid()))
            work = held.open_ids(n_runs)
            for run_id in work[: rng.randint(1, 3)]:
                held.commit([outcome(run_id)])
                os.write(acknowledged, f"{run_id}\n".encode())
                if rng.random() < 0.05:
                    os.kill(os.getpid(), signal.SIGKILL)
            holder.unlink()
        if not work:
            break
        time.sleep(rng.random() * 0.005)
    print(json.dumps({"wrong": wrong}))


def _attempts(ledger: Path) -> Path:
    """Return the file with one byte for each time that a writer tried to open the store."""
    return ledger.with_suffix(".attempts")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def read_beside_a_writer(folder: Path, readers: int, n_runs: int) -> Tally:
    """Let readers look without pause at a store that grows by 20 runs at a time, synced for real."""
    tally = Tally(f"{readers} readers beside a writer that grows the store")
    store = folder / "store"
    open_writer(store, 20).close()
    looking = [_start("reader", store, n_runs) for _ in range(readers)]
    for process in looking:
        assert process.stdout is not None
        assert process.stdout.readline() == "looking\n"
    for start in range(0, n_runs, 20):
        with open_writer(store, start + 20) as held:  # reopened each time: headers and records rewritten
            for first in range(start, start + 20, 5):
                held.commit([outcome(run_id) for run_id in range(first, first + 5)])
    for process in looking:
        text, _ = process.communicate()
        if process.returncode:
            tally.wrong("stuck", f"a reader ended with exit code {process.returncode}")
            continue
        said = json.loads(text)
        tally.tries += said["looks"]
        for wrong in said["wrong"]:
            tally.wrong("torn", wrong)
    return tally


def reader(store: Path, n_runs: int) -> None:
    """Open or refresh, read all records and some rows, until every run is there."""
    looks, wrong, seen = 0, [], 0
    rng = np.random.default_rng(os.getpid())
    opened = Store.open(store)
    print("looking", flush=True)
    while seen < n_runs:
        looks += 1
        try:
            opened = Store.open(store) if rng.random() < 0.5 else opened
            opened.refresh()
            ids = opened.committed_ids()
            for run_id in [*ids[seen:], *rng.choice(ids, min(5, len(ids)), replace=False)]:
                expected = outcome(int(run_id)).result
                assert expected is not None
                rows = [r for p in expected.predictions.values() for r in (p.correct, p.predicted)]
                if not all(map(np.array_equal, opened.payload(int(run_id)), rows)):
                    wrong.append(f"run {run_id} reads as another")
            if len(ids) < seen:
                wrong.append(f"{seen} runs were there, then {len(ids)}")
            seen = len(ids)
        except (StoreDamagedError, UsageError) as error:
            wrong.append(str(error))
    print(json.dumps({"looks": looks, "wrong": wrong[:10]}))


if __name__ == "__main__":
    who, path, *rest = sys.argv[1:]
    if who == "writer":
        writer(Path(path), Path(rest[0]), Path(rest[1]), int(rest[2]), int(rest[3]))
    else:
        reader(Path(path), int(rest[0]))
