"""A workplace whose stores all tests of studies share: synthetic images, 1,000 of them for the test set."""

from dataclasses import replace

import pytest

from airbench_var.data import synthetic
from airbench_var.studies.arms import Workplace
from airbench_var.studies.scales import SCALES
from airbench_var.training import Settings, choose_engine

QUICK = SCALES["quick"]


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    data = synthetic.load()
    data = replace(data, test=data.test.first(1000))
    engine, _ = choose_engine("auto", "cpu", 1, [QUICK.recipe], data)
    stores = tmp_path_factory.mktemp("studies") / "stores"
    return Workplace(data=data, settings=Settings(engine=engine), stores=stores)
