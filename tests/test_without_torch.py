"""The analysing half works where torch is not installed: every command that trains nothing, end to end."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.data.photos import draw_folder

pytest.importorskip("matplotlib")
pytest.importorskip("pyarrow")

ROOT = Path(__file__).parent.parent
#: One process: starting Python for each would be most of the time.
SCRIPT = """
import json, sys
import tests.without_torch
from airbench_var.cli import main
for command in json.loads(sys.stdin.read()):
    print("$", *command, flush=True)
    assert main(command) == 0, command
assert not {"torch", "triton", "ffcv"} & set(sys.modules)
"""
COMMANDS = (
    ["analyze", "--example", "--pairs"],
    ["analyze", "--example", "--follow", "--json"],
    ["report", "--example", "--compare", "--html", "page.html"],
    ["compare", "--example"],
    ["plan", "--example", "--detect", "0.1%"],
    ["info", "--example"],
    ["verify", "--example"],
    ["export", "--example", "--out", "classes.npy"],
    ["export", "--example", "--out", "runs.parquet"],
    ["export", "--example", "--out", "hub", "--format", "hf"],
    ["import", "predictions.npy", "--labels", "labels.npy", "--out", "mine"],
    ["repair", "mine"],
    ["analyze", "mine"],
    ["recipes", "resnet18-imagenet"],
    ["photos", "images", "--out", "photos.beton"],
)


def test_every_command_that_trains_nothing_needs_no_torch(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "labels.npy", rng.integers(0, 10, 203))
    np.save(tmp_path / "predictions.npy", rng.integers(0, 10, (8, 203)))
    draw_folder(tmp_path / "images", (2, 2))
    ran = without_torch(SCRIPT, tmp_path, json.dumps(COMMANDS))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("$ ") == len(COMMANDS)
    assert "8 runs, 203 test examples" in ran.stdout


def test_ones_own_function_needs_no_torch(tmp_path: Path) -> None:
    script = """
import sys
import numpy as np
import tests.without_torch
from airbench_var import analyze, run_many
labels_N = np.arange(100) % 3
store = run_many(lambda seeds: labels_N * (np.random.default_rng(seeds.init).random(100) < 0.7), labels_N,
                 runs=4, out="own", name="mine")
print(analyze(store))
assert "torch" not in sys.modules
"""
    ran = without_torch(script, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "<Analysis of 4 runs on test;" in ran.stdout


def test_torch_is_hidden(tmp_path: Path) -> None:
    ran = without_torch("import tests.without_torch, torch", tmp_path)
    assert "ModuleNotFoundError: No module named 'torch'" in ran.stderr


def without_torch(script: str, folder: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{script}"],
        cwd=folder,
        input=given,
        capture_output=True,
        text=True,
    )
