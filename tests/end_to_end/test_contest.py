"""A comparison that stops by itself, as a user runs it: killed, and the same command again."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from airbench_var.store import Store


def command(out: Path, *more: str) -> list[str]:
    """A linear model that learns against one that does not: a few pairs decide."""
    recipe = ["--recipe", "linear", "--set", "train_share=0.1", "--set", "batch_size=500"]
    arms = ["--a", "epochs=1", "--b", "epochs=0", "--data", "synthetic", "--detect", "1%", "--max-runs", "40"]
    start = [sys.executable, "-m", "airbench_var", "compare", *recipe, *arms]
    return [*start, "--workers", "1", "--seed", "3", "--out", str(out), *more]


def test_killed_and_run_again_it_decides(tmp_path: Path) -> None:
    out = tmp_path / "ab"
    contest = subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert contest.stderr is not None
    for line in contest.stderr:  # the first progress line comes after the first commit
        if " pairs of at most 40" in line:
            break
    contest.send_signal(signal.SIGKILL)
    contest.wait()
    contest.stderr.close()

    done = subprocess.run(command(out, "--json"), check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert (found["decision"], found["rule"]) == ("A is better", "t-mixture")
    assert 2 < found["pairs"] < 40
    assert found["low"] > 0
    assert found["log_e"] >= found["threshold"]
    a, b = (Store.open(out / name) for name in ("a", "b"))
    assert (found["a"]["seed"], found["b"]["seed"]) == (6, 7)
    differences = [
        int(x) - int(y)
        for x, y in zip(a.records()["correct"][:, 0], b.records()["correct"][:, 0], strict=True)
    ][: found["pairs"]]
    assert sum(differences) / (10_000 * found["pairs"]) == found["difference"]
