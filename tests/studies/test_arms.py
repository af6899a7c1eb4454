"""Arms find their runs by what they are of: shared, taken up where they stopped, and no run of another."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airbench_var.errors import UsageError
from airbench_var.studies.arms import Arm, Workplace
from tests.studies.conftest import QUICK


@pytest.fixture
def arm() -> Arm:
    return Arm(name="a", recipe=QUICK.recipe.with_values({"epochs": 0}), runs=3, seed=77)


def test_a_larger_arm_adds_runs_and_a_smaller_one_takes_the_first(
    arm: Arm, workplace: Workplace, tmp_path: Path
) -> None:
    own = replace(workplace, stores=tmp_path)
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
