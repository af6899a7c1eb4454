"""The whole tool as a user runs it: real networks, real processes, real kills."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from airbench_var.store import Store
from tests.end_to_end.by_numpy import estimates_by_numpy, printed_estimates

#: A tenth of an epoch: 4 steps of real training, enough for bits that depend on everything.
RECIPE = ["--recipe", "tiny", "--set", "epochs=0.1", "--set", "network.widths=16,16", "--data", "synthetic"]


def command(out: Path, *more: str, runs: int = 6) -> list[str]:
    start = [sys.executable, "-m", "airbench_var", "--runs", str(runs), "--seed", "3", "--out", str(out)]
    return [*start, *RECIPE, *more]


def matrices(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((store / "synthetic").iterdir())}


def is_running(process: str) -> bool:
    """Whether a process exists and is more than an exit code waiting to be read."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_killed_and_run_again_gives_the_same_matrices(whole: Path, tmp_path: Path) -> None:
    """SIGKILL to the campaign in the middle, with two workers; the same command finishes the work."""
    out = tmp_path / "store"
    campaign = subprocess.Popen(
        command(out, "--workers", "2"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert campaign.stderr is not None
    for line in campaign.stderr:  # the first progress line comes after the first commit
        if "networks per hour" in line or " of 6 runs" in line:
            break
    workers = Path(f"/proc/{campaign.pid}/task/{campaign.pid}/children").read_text().split()
    assert len(workers) >= 2
    campaign.send_signal(signal.SIGKILL)
    campaign.wait()
    campaign.stderr.close()
    deadline_s = time.monotonic() + 60
    while any(is_running(worker) for worker in workers):  # a killed campaign leaves no one training on
        assert time.monotonic() < deadline_s, f"orphans: {workers}"
        time.sleep(0.1)
    before = Store.open(out).committed_ids().tolist()
    assert 1 <= len(before) < 6

    subprocess.run(command(out, "--workers", "2", "--quiet"), check=True, capture_output=True)
    assert Store.open(out).committed_ids().tolist() == list(range(6))
    assert matrices(out) == matrices(whole)


@pytest.mark.parametrize("closed", [">&- 2>&-", "<&- >&- 2>&-", ">&-"])
def test_closed_streams_neither_end_it_nor_lead_into_the_store(
    closed: str, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "store"
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command(out, "--workers", "1")],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert matrices(out) == matrices(whole)


def test_ctrl_c_keeps_everything_and_says_so(tmp_path: Path) -> None:
    out = tmp_path / "store"
    campaign = subprocess.Popen(
        command(out, "--workers", "1", runs=500), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert campaign.stderr is not None
    for line in campaign.stderr:
        if " of 500 runs" in line:
            break
    campaign.send_signal(signal.SIGINT)
    shown, messages = campaign.communicate(timeout=120)
    assert campaign.returncode == 130
    committed = len(Store.open(out).committed_ids())
    assert 1 <= committed < 500
    assert f"{committed} of 500 runs committed" in messages
    assert f"{committed} run" in shown  # the table of what is there


@pytest.mark.parametrize("signals", [(signal.SIGTERM,), (signal.SIGINT, signal.SIGTERM)])
def test_a_signal_to_the_whole_process_group_leaves_nobody(
    signals: tuple[signal.Signals, ...], tmp_path: Path
) -> None:
    """Ctrl-C and schedulers reach all processes: one signal ends the campaign in order, two at once."""
    out = tmp_path / "store"
    campaign = subprocess.Popen(
        command(out, "--workers", "2", runs=500),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert campaign.stderr is not None
    for line in campaign.stderr:
        if " of 500 runs" in line:
            break
    children = Path(f"/proc/{campaign.pid}/task/{campaign.pid}/children").read_text().split()
    assert len(children) >= 2
    for number in signals:
        os.killpg(campaign.pid, number)
    _, messages = campaign.communicate(timeout=120)
    deadline_s = time.monotonic() + 60
    while any(is_running(child) for child in children):
        assert time.monotonic() < deadline_s, f"orphans: {children}"
        time.sleep(0.05)
    committed = len(Store.open(out).committed_ids())
    assert 1 <= committed < 500
    events = [json.loads(line)["kind"] for line in (out / "events.jsonl").read_text().splitlines()]
    assert "worker-died" not in events
    if len(signals) == 1:
        assert campaign.returncode == 128 + signals[0]
        assert f"{committed} of 500 runs committed" in messages
        assert events[-1] == "stop"
    else:
        assert campaign.returncode in {128 + number for number in signals}
        assert "stopped at once" in messages


def test_numpy_alone_reproduces_every_estimate(whole: Path) -> None:
    ours, printed = estimates_by_numpy(whole, "synthetic"), printed_estimates(whole, "synthetic")
    assert printed == pytest.approx(ours, rel=1e-9, nan_ok=True)  # sums of 10,000 float64: far below


def test_the_printed_document_follows_its_schema(whole: Path) -> None:
    schema = json.loads(resources.files("airbench_var.analysis").joinpath("analysis.schema.json").read_text())
    command = [sys.executable, "-m", "airbench_var", "analyze", str(whole), "--json"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    jsonschema.validate(json.loads(printed), schema)


def test_bits_agree_with_classes_and_labels(whole: Path) -> None:
    labels_N = np.load(whole / "synthetic/labels.npy")
    packed_Rb = np.load(whole / "synthetic/correct.npy", mmap_mode="r")
    right_RN = np.unpackbits(packed_Rb, axis=1, count=len(labels_N), bitorder="little")
    assert np.array_equal(right_RN, np.load(whole / "synthetic/predicted.npy") == labels_N)
