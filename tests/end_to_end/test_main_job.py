"""The whole tool as a user runs it: real networks, real processes, real kills."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from airbench_var.store import Store

#: A tenth of an epoch: 4 steps of real training, enough for bits that depend on everything.
RECIPE = ["--recipe", "tiny", "--set", "epochs=0.1", "--set", "network.widths=16,16", "--data", "synthetic"]


def command(out: Path, *more: str, runs: int = 6) -> list[str]:
    start = [sys.executable, "-m", "airbench_var", "--runs", str(runs), "--seed", "3", "--out", str(out)]
    return [*start, *RECIPE, *more]


def matrices(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((store / "synthetic").iterdir())}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign that nothing interrupted, in one process."""
    out = tmp_path_factory.mktemp("whole") / "store"
    subprocess.run(command(out, "--workers", "1", "--quiet"), check=True, capture_output=True)
    return out


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
    campaign.send_signal(signal.SIGKILL)
    campaign.wait()
    campaign.stderr.close()
    before = Store.open(out).committed_ids().tolist()
    assert 1 <= len(before) < 6

    subprocess.run(command(out, "--workers", "2", "--quiet"), check=True, capture_output=True)
    assert Store.open(out).committed_ids().tolist() == list(range(6))
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
    assert f"{committed} runs" in shown  # the table of what is there


def test_ffcv_gives_the_same_bits(whole: Path, tmp_path: Path) -> None:
    pytest.importorskip("ffcv")
    out = tmp_path / "store"
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run(
        command(out, "--workers", "1", "--loader", "ffcv", "--quiet", runs=2),
        check=True,
        capture_output=True,
        env=environment,
    )
    for column in ("correct", "predicted"):
        ours, theirs = (np.load(store / "synthetic" / f"{column}.npy")[:2] for store in (out, whole))
        assert np.array_equal(ours, theirs)


def test_numpy_alone_reproduces_every_estimate(whole: Path) -> None:
    """The formulas of the paper, written out on the plain files, give what `analyze --json` prints."""
    printed = subprocess.run(
        [sys.executable, "-m", "airbench_var", "analyze", str(whole), "--json"],
        check=True,
        capture_output=True,
    )
    estimates = json.loads(printed.stdout)["test_sets"]["synthetic"]["estimates"]

    labels_N = np.load(whole / "synthetic/labels.npy")
    runs, n = 6, len(labels_N)
    packed_Rb = np.load(whole / "synthetic/correct.npy", mmap_mode="r")[:runs]
    correct_RN = np.unpackbits(packed_Rb, axis=1, count=n, bitorder="little").astype(float)
    assert np.array_equal(correct_RN, np.load(whole / "synthetic/predicted.npy")[:runs] == labels_N)

    accuracy_R = correct_RN.mean(1)
    test_set = accuracy_R.var(ddof=1)
    independent = correct_RN.var(0, ddof=1).sum() / n**2
    distribution = n / (n - 1) * (test_set - independent)
    expected = {
        "mean_accuracy": accuracy_R.mean(),
        "test_set_variance": test_set,
        "test_set_std": test_set**0.5,
        "independent_errors_variance": independent,
        "independent_errors_std": independent**0.5,
        "excess_variance": distribution,
        "distribution_wise_variance": distribution,
        "distribution_wise_std": max(0, distribution) ** 0.5,
    }
    for name, value in expected.items():
        assert estimates[name]["value"] == pytest.approx(value, rel=1e-9), name
    assert estimates["mean_accuracy"]["standard_error_test_set"] == pytest.approx((test_set / runs) ** 0.5)
