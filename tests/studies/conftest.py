"""Workplaces whose stores all tests of studies share: 1,000 synthetic images for the test set, and pairs."""

from dataclasses import replace
from pathlib import Path

import pytest

from airbench_var.data import PairData, synthetic
from airbench_var.studies.arms import Workplace
from airbench_var.studies.scales import SCALES, Scale
from airbench_var.training import Settings, choose_engine

QUICK = SCALES["quick"]


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    data = synthetic.load()
    data = replace(data, test=data.test.first(1000))
    engine, _ = choose_engine("auto", "cpu", 1, [QUICK.recipe], data)
    stores = tmp_path_factory.mktemp("studies") / "stores"
    return Workplace(data=data, settings=Settings(engine=engine), stores=stores)


@pytest.fixture(scope="session")
def on_pairs(workplace: Workplace, pairs: PairData) -> Workplace:
    return replace(workplace, data=pairs, settings=Settings())


@pytest.fixture(scope="session")
def quick_on_pairs(checkpoint: Path) -> Scale:
    """Scale quick with a network and rates that learn these pairs, or do not, in a second."""
    own = {"checkpoint": str(checkpoint), "train_share": 1.0, "precision": "single"}
    finetuning = {
        name: recipe.with_values(own | {"optimizer.lr": lr})
        for (name, recipe), lr in zip(QUICK.finetuning.items(), (2e-3, 1e-1), strict=True)
    }
    return replace(QUICK, finetuning=finetuning)
