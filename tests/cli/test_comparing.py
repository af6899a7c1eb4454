"""compare and plan: two stores, each mistake named."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airbench_var import cli
from airbench_var.campaign import Campaign, run_campaign
from airbench_var.contest import Contest
from airbench_var.data.dataset import Dataset
from airbench_var.errors import UsageError
from airbench_var.recipes import find_recipe
from airbench_var.training import RecipeOnData, Settings
from tests.cli.running import CONTEST, flat, run
from tests.test_campaign import fake


def test_two_stores_are_compared(store: Path, other_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(["compare", str(store), str(other_store)], capsys)
    assert (code, err) == (0, "")
    assert "small: A minus B, 10 and 12 runs, 203 test examples" in out
    assert f"A: tiny on Small, epochs = 3.0, store {store}\nB: tiny on Small, epochs = 9" in out
    for label in (
        "Difference on this test set",
        "Difference on its distribution",
        "A run of A beats one of B",
    ):
        assert label in out
    code, out, _ = run(["compare", str(store), str(other_store), "--json"], capsys)
    document = json.loads(out)
    correct = [np.load(path / "small" / "correct.npy") for path in (store, other_store)]
    a, b = (np.unpackbits(packed, axis=1, count=203, bitorder="little").mean() for packed in correct)
    difference = document["test_sets"]["small"]["estimates"]["difference_on_this_test_set"]
    assert difference["value"] == pytest.approx(a - b)


def test_a_store_is_not_compared_with_itself(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(["compare", str(store), str(store)], capsys)
    assert (code, out) == (5, "")
    assert "are the same store" in err


def test_runs_are_planned(store: Path, other_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(["plan", "--detect", "0.02%", "--std", "0.149%"], capsys)
    assert (code, err) == (0, "")
    assert "873 runs of each recipe" in flat(out)
    assert "give some runs of both recipes" in flat(out)
    arguments = ["plan", "--detect", "1%", "--store", str(store), "--against", str(other_store), "--json"]
    code, out, _ = run(arguments, capsys)
    assert (code, json.loads(out)["distribution_floor"] is not None) == (0, True)
    code, _, err = run(["plan", "--detect", "1%", "--store", str(store), "--test-set", "large"], capsys)
    assert code == 2
    assert "has no test set 'large'; it has small" in err


def test_two_comparisons_have_two_folders_where_none_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_data: Dataset
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("airbench_var.data.load", lambda *_: small_data)
    folders = []

    def seen(contest: Contest, _: object) -> None:
        folders.append(str(contest.out))
        raise UsageError("seen")

    monkeypatch.setattr("airbench_var.contest.run_contest", seen)
    for epochs in ("1", "1", "2"):
        assert cli.main([*CONTEST[:-2], "--b", f"epochs={epochs}"]) == 2
    assert folders[0] == folders[1] != folders[2]
    assert all(re.fullmatch(r"runs/compare-tiny-small-\w{6}-\w{6}", folder) for folder in folders)


def test_stores_of_other_images_with_the_same_labels_are_not_compared(
    store: Path, small_data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = replace(small_data.test, images_NHWC=255 - small_data.test.images_NHWC)
    other = RecipeOnData(recipe=find_recipe("tiny"), data=replace(small_data, test=test), settings=Settings())
    campaign = Campaign(subject=other, out=tmp_path / "negative", runs=10, seed=1)
    run_campaign(campaign, execute=fake(campaign))
    code, out, err = run(["compare", str(store), str(campaign.out)], capsys)
    assert (code, out) == (5, "")
    assert "were tested on different images" in err


def test_a_store_is_not_planned_with_against_itself(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The differences of a store to itself have no spread, which reads as if the test set set no limit."""
    code, out, err = run(["plan", "--detect", "1%", "--store", str(store), "--against", str(store)], capsys)
    assert (code, out) == (5, "")
    assert "are the same store" in err


def test_the_folder_of_a_contest_names_its_two_stores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arm in "ab":
        (tmp_path / "which" / arm).mkdir(parents=True)
    code, _, err = run(["compare", str(tmp_path / "which")], capsys)
    assert code == 2
    assert f"There are two here: {tmp_path}/which/a {tmp_path}/which/b." in err
    code, _, err = run(["compare", str(tmp_path)], capsys)
    assert (code, "There are two here" in err) == (2, False)
