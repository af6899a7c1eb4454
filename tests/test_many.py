from pathlib import Path

import pytest

from airbench_var import Recipe, analyze, train_many
from airbench_var.data.dataset import Dataset
from airbench_var.errors import UsageError
from airbench_var.recipes import find_recipe
from airbench_var.store import Store
from tests.test_campaign import digest

QUICK = {"epochs": 0.1, "batch_size": 50}


@pytest.fixture(autouse=True)
def _small_data(small_data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airbench_var.many.data_sets.load", lambda name, folder: small_data)


def test_a_recipe_by_name_or_as_it_is(tmp_path: Path) -> None:
    toml = tmp_path / "quick.toml"
    toml.write_text('base = "tiny"\nname = "quick"\nepochs = 0.1\nbatch_size = 50\n')
    recipe: Recipe = find_recipe("tiny").with_values(QUICK)
    how = {"data": "synthetic", "devices": "cpu", "workers": 1, "engine": "eager", "show": "quiet"}
    stores = [
        train_many(one, runs=2, out=tmp_path / name, **how)  # type: ignore[arg-type]
        for name, one in (("file", str(toml)), ("recipe", recipe))
    ]
    assert (stores[0].correct_RN("small") == stores[1].correct_RN("small")).all()
    assert analyze(stores[0]).runs == 2
    before = digest(stores[1].path)
    again = train_many(recipe, runs=2, out=str(stores[1].path), **how)  # type: ignore[arg-type]
    assert isinstance(again, Store)
    assert {name: hash_ for name, hash_ in digest(again.path).items() if "events" not in name} == {
        name: hash_ for name, hash_ in before.items() if "events" not in name
    }


def test_further_test_sets_seed_and_streams_reach_the_store(tmp_path: Path) -> None:
    store = train_many(
        find_recipe("tiny").with_values(QUICK),
        runs=2,
        out=tmp_path / "own",
        test_sets=["noise-1:20"],
        seed=3,
        vary=("order",),
        devices="cpu",
        executor="in-process",
        show="quiet",
    )
    assert store.test_sets == ("small", "noise-1")
    assert store.manifest.identity["seed"] == 3
    assert len({int(seed) for seed in store.records()["init_seed"]}) == 1
    assert len({int(seed) for seed in store.records()["order_seed"]}) == 2


def test_options_of_ray_need_ray(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--gpu-share is for --executor ray"):
        train_many("tiny", runs=1, out=tmp_path / "own", gpu_share=0.5)
    assert not (tmp_path / "own").exists()
