"""Runs that are evaluated on shifted test sets: from the command line, and in another process."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airbench_var import cli
from airbench_var.campaign import Campaign, run_campaign
from airbench_var.data.dataset import Dataset
from airbench_var.data.test_sets import named
from airbench_var.execution import Placement
from airbench_var.recipes import find_recipe
from airbench_var.store import Store
from airbench_var.training import RecipeOnData, Settings

from .conftest import SmallCifar
from .published import make_small, write_cifar10_1, write_cifar10_c, write_cinic10

SHIFTED = ("cifar10.1-v4:120", "cifar10-c-fog-2", "cinic10")


@pytest.fixture
def folder(small: SmallCifar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small CIFAR-10 with shifted test sets beside it; the working directory is another folder."""
    make_small(monkeypatch)
    folder = tmp_path / "data"
    small.write(folder, "cifar-10-batches-bin")
    write_cifar10_1(folder, "v4")
    write_cifar10_c(folder, "fog")
    write_cinic10(folder)
    monkeypatch.chdir(tmp_path)
    return folder


def train(*more: str) -> int:
    recipe = ["--recipe", "tiny", "--set", "batch_size=50", "--set", "epochs=1"]
    where = ["--data-dir", "data", "--out", "out", "--device", "cpu", "--engine", "eager"]
    return cli.main(
        [
            "--runs",
            "2",
            *recipe,
            "--set",
            "network.widths=16,32,32",
            *where,
            "--executor",
            "in-process",
            *more,
        ]
    )


def test_a_store_of_two_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--test-sets", ",".join(SHIFTED), "--quiet") == 0
    assert "note: not the official CIFAR-10-C/fog.npy" in capsys.readouterr().err
    store = Store.open(Path("out"))
    assert store.test_sets == ("cifar10", "cifar10.1-v4", "cifar10-c-fog-2", "cinic10")
    assert [len(store.labels(name)) for name in store.test_sets] == [20, 120, 30, 30]
    assert np.array_equal(store.labels("cinic10"), np.repeat(np.arange(10), 3))
    assert np.load("out/cifar10.1-v4/correct.npy").shape == (2, 15)
    assert cli.main(["verify", "out"]) == 0
    capsys.readouterr()
    assert cli.main(["analyze", "out", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["test_sets"]) == list(store.test_sets)


def test_missing_files_stop_the_command_before_anything_is_trained(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--test-sets", "cifar10.2,cifar10-c-snow-1,cinic10") == 3
    shown = capsys.readouterr().err
    assert "data, where CIFAR-10 lies, lacks cifar102_test.npz" in shown
    assert "CIFAR-10-C/snow.npy" in shown
    assert not Path("out").exists()


@pytest.mark.parametrize("mode", ["--quiet", "--json"])
def test_missing_ones_are_skipped_when_asked(
    folder: Path, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--test-sets", "cifar10.2,cinic10,train:9", "--skip-missing-test-sets", mode) == 0
    assert Store.open(Path("out")).test_sets == ("cifar10", "cinic10", "train")
    lines = capsys.readouterr().err.splitlines()
    texts = [json.loads(line).get("text", "") for line in lines] if mode == "--json" else lines
    assert any(text.startswith("skipped test set cifar10.2: data, where CIFAR-10") for text in texts)


def test_a_worker_sees_the_same_images(folder: Path, small_data: Dataset) -> None:
    """It maps the files of CIFAR-10-C itself; the numbers of images are only small in this process."""
    data = replace(small_data, name="cifar10", folder=folder)
    data = replace(data, more=named(data, SHIFTED, say=lambda text: None))
    recipe = find_recipe("tiny").with_values({"batch_size": 100, "epochs": 0, "network.widths": (16, 32, 32)})
    stores = []
    for out, placement in (("here", Placement()), ("pool", Placement(executor="pool", workers=1))):
        run_campaign(
            Campaign(
                subject=RecipeOnData(recipe=recipe, data=data, settings=Settings()),
                out=Path(out),
                runs=2,
                placement=placement,
            )
        )
        stores.append(Store.open(Path(out)))
    for name in stores[0].test_sets:
        assert np.array_equal(*(store.correct_RN(name) for store in stores))
    assert stores[0].manifest.identity["data"]["more"]["cifar10-c-fog-2"]["n"] == 30
