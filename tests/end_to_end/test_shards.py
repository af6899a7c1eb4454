"""A job array without an engine: commands that know nothing of each other, and one that joins their work."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from airbench_var import cli
from airbench_var.data.dataset import Dataset

#: What an untrained network says, which depends on its seed.
TRAIN = [
    "--runs",
    "4",
    "--recipe",
    "tiny",
    "--set",
    "epochs=0",
    "--workers",
    "1",
    "--device",
    "cpu",
    "--quiet",
]


def test_shards_are_trained_merged_and_analyzed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    small_data: Dataset,
) -> None:
    def run(*arguments: str) -> str:
        assert cli.main(arguments) == 0
        return capsys.readouterr().out

    monkeypatch.setattr("airbench_var.data.load", lambda *_: small_data)
    monkeypatch.setenv("PYTHONPATH", str(Path(cli.__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    run(*TRAIN, "--out", "whole")
    for i in range(2):
        run(*TRAIN, "--shard", f"{i}/3")
    stores = sorted(map(str, Path().glob("runs/*.shard-*")))
    assert stores == [f"runs/tiny-small.shard-{i}-of-3" for i in range(2)]

    merge = [sys.executable, "-m", "airbench_var", "merge", *stores, "--out", "runs/all", "--json"]
    done = subprocess.run(merge, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    merged = json.loads(done.stdout)
    assert (merged["committed"], merged["added"], merged["open"]) == (3, 3, 1)
    assert merged["open_runs"] == [{"first": 2, "last": 2, "step": 1}]
    assert [source["shard"] for source in merged["sources"]] == ["0/3", "1/3"]

    run(*TRAIN, "--shard", "2/3")
    out = run("merge", *stores, "runs/tiny-small.shard-2-of-3", "--out", "runs/all")
    assert "runs/all: 4 committed, 0 failed, 0 open, of 4 runs" in out
    for column in ("correct", "predicted"):
        ours, theirs = (Path(store, f"small/{column}.npy").read_bytes() for store in ("runs/all", "whole"))
        assert ours == theirs
    runs, whole = (np.load(Path(store, "runs.npy")) for store in ("runs/all", "whole"))
    for name in set(runs.dtype.names) - {"crc", "train_s"}:
        assert runs[name].tobytes() == whole[name].tobytes(), name
    of_all, of_whole = (json.loads(run("analyze", store, "--json")) for store in ("runs/all", "whole"))
    for document in (of_all, of_whole):
        del document["store"], document["created_by"]
    assert of_all == of_whole
    run("verify", "runs/all")

    assert cli.main(["merge", *stores, "--out", stores[0]]) == 2
    assert "one of the stores to be merged" in capsys.readouterr().err
