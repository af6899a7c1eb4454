"""Two stores of ten and twelve fake runs of `tiny`, of 3 and of 9 epochs."""

from pathlib import Path

import pytest

from airbench_var.campaign import Campaign, run_campaign
from airbench_var.data.dataset import Dataset
from airbench_var.recipes import find_recipe
from airbench_var.training import RecipeOnData, Settings
from tests.test_campaign import fake


@pytest.fixture
def store(small_data: Dataset, tmp_path: Path) -> Path:
    campaign = Campaign(
        subject=RecipeOnData(recipe=find_recipe("tiny"), data=small_data, settings=Settings()),
        out=tmp_path / "store",
        runs=10,
    )
    run_campaign(campaign, execute=fake(campaign))
    return campaign.out


@pytest.fixture
def other_store(small_data: Dataset, tmp_path: Path) -> Path:
    recipe = find_recipe("tiny").with_values({"epochs": 9})
    campaign = Campaign(
        subject=RecipeOnData(recipe=recipe, data=small_data, settings=Settings()),
        out=tmp_path / "other",
        runs=12,
        seed=8,
    )
    run_campaign(campaign, execute=fake(campaign))
    return campaign.out
