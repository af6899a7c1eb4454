"""Arms find their runs by what they are of: shared, taken up where they stopped, and no run of another."""

import os
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from airbench_var.campaign import run_campaign
from airbench_var.errors import StorageError, StoreRefusedError, UsageError
from airbench_var.store import Store
from airbench_var.studies import arms
from airbench_var.studies.arms import Arm, Trained, Workplace
from tests.studies.conftest import QUICK
from tests.studies.made_up import made_up


@pytest.fixture
def arm() -> Arm:
    return Arm(name="a", recipe=QUICK.recipe.with_values({"epochs": 0}), runs=3, seed=77)


def test_a_larger_arm_adds_runs_and_a_smaller_one_takes_the_first(
    arm: Arm, workplace: Workplace, tmp_path: Path
) -> None:
    told: list[str] = []
    own = replace(workplace, stores=tmp_path, say=told.append)
    own.train(arm)
    first_RN = own.trained(arm).correct_RN("synthetic")
    more = replace(arm, name="another name", runs=5)
    with pytest.raises(UsageError, match="has 3 of the 5 runs"):
        own.trained(more)
    own.train(more)
    assert own.trained(more).run_ids_R.tolist() == [0, 1, 2, 3, 4]
    assert len(list(tmp_path.iterdir())) == 1
    own.train(arm)  # the store has more than it asks for
    assert own.trained(arm).run_ids_R.tolist() == [0, 1, 2]
    assert (own.trained(arm).correct_RN("synthetic") == first_RN).all()
    assert told == [
        "a: 0 of 3 runs are there",
        "another name: 3 of 5 runs are there",
        "a: all 3 runs are there",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 78},
        {"vary": ("init",)},
        {"test_sets": ("train:10",)},
        {"recipe": QUICK.recipe.with_values({"epochs": 0, "label_smoothing": 0.1})},
    ],
)
def test_runs_of_anything_else_have_a_store_of_their_own(
    change, arm: Arm, workplace: Workplace, tmp_path: Path
) -> None:
    own = replace(workplace, stores=tmp_path)
    assert own.campaign(replace(arm, **change)).out != own.campaign(arm).out
    assert own.campaign(replace(arm, runs=9, name="b")).out == own.campaign(arm).out


def test_counts_are_those_of_its_own_runs(arm: Arm, workplace: Workplace, tmp_path: Path) -> None:
    own = replace(workplace, stores=tmp_path)
    own.train(replace(arm, runs=5, test_sets=("train:100",)))
    few = own.trained(replace(arm, test_sets=("train:100",)))
    for test_set in ("synthetic", "train"):
        counts, correct_RN = few.state_of(test_set).correct, few.correct_RN(test_set)
        assert counts.R == 3
        assert np.array_equal(counts.k_R, correct_RN.sum(axis=1))
        assert np.array_equal(counts.c_N, correct_RN.sum(axis=0))
    assert few.summary_of("train").examples == 100
    assert np.array_equal(few.correct_RN("train", 2), few.correct_RN("train")[:2])


def test_diverged_runs_are_told_and_counted() -> None:
    arm = Arm(name="a", recipe=QUICK.recipe, runs=5)
    ids_R = np.array([0, 2, 3])
    records = np.array([(0,), (1,), (1,)], [("diverged", "u1")])
    state = made_up("a", 0.5, 0.01, runs=3).state
    store: Any = SimpleNamespace(test_sets=("t",), records=lambda ids: records)
    one = Trained(arm=arm, store=store, run_ids_R=ids_R)
    one._states["t"] = state
    assert one.diverged == {2, 3}
    assert one.summary.diverged == 2
    assert one.summary.warnings[0].startswith("2 of 3 runs diverged")


def test_a_store_of_other_runs_is_not_added_to(
    arm: Arm, workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if two recipes had one hash: what the store is of is looked at, not only its name."""
    own = replace(workplace, stores=tmp_path)
    monkeypatch.setattr(arms, "identity_sha256", lambda campaign: "0" * 64)
    own.train(arm)
    with pytest.raises(StoreRefusedError, match="seed"):
        own.train(replace(arm, seed=78))


def test_missing_runs_are_trained_in_a_store_made_for_more(
    arm: Arm, workplace: Workplace, tmp_path: Path
) -> None:
    """Another study made it for five runs and was stopped after the first: of our three, two are missing."""
    own = replace(workplace, stores=tmp_path)
    campaign = own.campaign(replace(arm, runs=5))

    def one_run(make_train: Any, specs: Any, stop: Any) -> Any:
        return campaign.placement.execute(make_train, islice(specs, 1), stop)

    run_campaign(campaign, "quiet", execute=one_run)
    with pytest.raises(UsageError, match="has 1 of the 3 runs"):
        own.trained(arm)
    own.train(arm)
    assert own.trained(arm).run_ids_R.tolist() == [0, 1, 2]
    assert Store.open(campaign.out).committed_ids().tolist() == [0, 1, 2, 3, 4]


def test_a_folder_that_cannot_be_written_is_read_and_else_refused_by_its_option(
    arm: Arm, workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = replace(workplace, stores=tmp_path / "stores")
    own.train(arm)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    own.train(arm)
    with pytest.raises(StorageError, match=r"Permission denied.*choose another folder with --stores"):
        own.train(replace(arm, runs=4))
