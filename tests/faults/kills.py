"""SIGKILL at every system call of a campaign, and campaigns killed at random until their store is done."""

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tests.faults.campaign import in_ledger
from tests.faults.tally import Tally, uninterrupted

ROOT = Path(__file__).parents[2]
#: The system calls by which a store changes the disk.
SYSTEM_CALLS = (
    "pwrite64", "fdatasync", "fsync", "fallocate", "ftruncate", "rename", "mkdir", "write", "openat", "flock",
)  # fmt: skip
FIRST_RUNS, ALL_RUNS = 3, 5


def kill_in_process(folder: Path) -> Tally:
    """Kill a forked campaign at every call of `os` that changes the disk, in the middle of writes too."""
    tally = Tally("SIGKILL at every disk call of creation, commits, growth (writes half done)")
    script = [sys.executable, "-m", "tests.faults.kill_everywhere", str(folder)]
    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    tally.tries = report["kills"]
    for wrong in report["wrong"]:
        tally.wrong("lost" if "lost" in wrong else "other_bytes", wrong)
    return tally


def kill_by_strace(folder: Path, calls: Iterable[str] = SYSTEM_CALLS) -> Tally | None:
    """Kill a campaign on entry to its K-th call of each kind, for every K; None without strace."""
    if not shutil.which("strace"):
        return None
    tally = Tally("SIGKILL by strace at every " + ", ".join(calls))
    expected = uninterrupted(folder, ALL_RUNS)
    for call in calls:
        for number in itertools.count(1):
            store, ledger = folder / "store", folder / "ledger"
            code = _under_strace(store, ledger, call, number)
            killed = code in (-signal.SIGKILL, 128 + signal.SIGKILL)
            if killed:
                tally.tries += 1
                tally.look_at(store, in_ledger(ledger), f"{call} {number}")
                tally.finish(store, ALL_RUNS, expected, f"{call} {number}")
            elif code:
                tally.wrong("stuck", f"{call} {number}: exit code {code}")
            shutil.rmtree(store, ignore_errors=True)
            ledger.unlink(missing_ok=True)
            if not killed:
                break
    return tally


def _under_strace(store: Path, ledger: Path, call: str, number: int) -> int:
    # Only calls on files below the store count for openat and write: Python makes hundreds of its own.
    where = ["-P", str(store)] if call == "openat" else []
    if call == "write":
        where = ["-P", str(store / "events.jsonl")]
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", *where, "-e", f"trace={call}"]
    inject = ["-e", f"inject={call}:signal=SIGKILL:when={number}"]
    campaign = [sys.executable, "-m", "tests.faults.campaign", str(store), str(ledger)]
    return subprocess.run(
        [*strace, *inject, *campaign, str(FIRST_RUNS), str(ALL_RUNS)],
        cwd=ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        stderr=subprocess.DEVNULL,
    ).returncode


def kill_at_random(folder: Path, campaigns: int, seed: int = 0) -> Tally:
    """Start a campaign, kill it after a random time, and again, until its store is done; then a new store."""
    tally = Tally(f"SIGKILL at a random time, again until done ({campaigns} campaigns)")
    rng = random.Random(seed)
    store, ledger = folder / "store", folder / "ledger"
    n_runs = 0
    while tally.tries < campaigns:
        if not store.exists() and not ledger.exists():
            n_runs = rng.randint(1, 400)
            expected = uninterrupted(folder, n_runs)
        totals = [str(n) for n in sorted({rng.randint(1, n_runs), n_runs})]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.campaign", str(store), str(ledger), *totals], cwd=ROOT
        )
        time.sleep(_START_S * rng.random() if rng.random() < 0.2 else _START_S + rng.random() * _RUN_S)
        process.send_signal(signal.SIGKILL)
        code = process.wait()
        tally.tries += 1
        when = f"campaign {tally.tries}"
        tally.look_at(store, in_ledger(ledger), when)
        if code == 0 or rng.random() < 0.1:
            tally.finish(store, n_runs, expected, when)
            shutil.rmtree(store)
            ledger.unlink(missing_ok=True)
            shutil.rmtree(folder / f"uninterrupted{n_runs}")
        elif code != -signal.SIGKILL:
            tally.wrong("stuck", f"{when}: exit code {code}")
    return tally


#: About how long a campaign's process takes to begin and to end its work.
_START_S, _RUN_S = 0.12, 0.4
