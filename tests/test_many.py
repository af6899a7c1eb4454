import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airbench_var import Recipe, analyze, many, subjects, train_many
from airbench_var.data.dataset import Dataset
from airbench_var.errors import UsageError
from airbench_var.execution import Placement
from airbench_var.many import prepare
from airbench_var.recipes import find_recipe
from airbench_var.store import Store
from airbench_var.training import Settings
from tests.test_campaign import digest

QUICK = {"epochs": 0.1, "batch_size": 50}


@pytest.fixture(autouse=True)
def _small_data(small_data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airbench_var.subjects.data_sets.load", lambda name, folder: small_data)


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


def remembers(answer: object, calls: list[Any]) -> Callable[..., Any]:
    """Return a function that keeps what it is called with."""

    def called(*arguments: object, **named: object) -> object:
        calls.append((*arguments, named) if named else arguments)
        return answer

    return called


def test_what_is_asked_for_is_what_is_chosen_from(
    small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes, loads, engines = [find_recipe("tiny"), find_recipe("linear")], [], []
    monkeypatch.setattr(subjects.data_sets, "load", remembers(small_data, loads))
    monkeypatch.setattr(subjects, "choose_engine", remembers(("native", "wished"), engines))
    monkeypatch.setattr(many.machine, "cores", lambda: 7)
    found = prepare(recipes, "synthetic", data_dir=tmp_path, devices="cpu", engine="native", threads=3)
    assert loads == [("synthetic", tmp_path)]
    [(engine, device, threads, of, data)] = engines
    assert (engine, device, threads, of, data.name) == ("native", "cpu", 3, recipes, "small")
    assert found.settings == Settings(device="cpu", threads=3, engine="native")
    assert found.placement == Placement(
        executor="pool", workers=2, hides_gpus=True
    )  # 7 cores, 3 for each run
    assert found.reasons["data"] == "Small, tests"
    assert found.reasons["device"] == "cpu: asked for"
    assert found.reasons["engine"] == "native: wished"
    assert found.reasons["workers"] == "2 (pool): 7 CPU cores, 3 for each run"
    monkeypatch.setitem(sys.modules, "airbench_var.data.ffcv_loader", SimpleNamespace())
    asked = prepare(recipes, devices="cpu", workers=5, run_timeout=60.0, loader="ffcv")
    assert asked.settings.loader == "ffcv"
    assert asked.placement == Placement(executor="pool", workers=5, hides_gpus=True, run_limit_s=60.0)
    assert engines[-1][:3] == ("auto", "cpu", 1)


def test_gpus_that_are_chosen_are_those_of_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[Any] = []
    monkeypatch.setattr(many, "choose_devices", remembers((["cuda:1", "cuda:2"], "two of them"), chosen))
    monkeypatch.setattr(subjects, "choose_augmentation", lambda device: ("triton", f"{device} is a GPU"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = prepare([find_recipe("tiny")], runs_per_device=3)
    assert chosen == [("auto",)]
    assert found.settings == Settings(device="cuda:1", engine="compiled")
    assert found.placement == Placement(executor="pool", workers=2, gpus=("1", "2"), runs_per_device=3)
    assert found.reasons["device"] == "cuda:1, cuda:2: two of them"
    assert found.reasons["augment"] == "triton: cuda:1 is a GPU"


def test_what_is_asked_of_ray_is_what_it_chooses_from(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    answer = Placement(executor="ray", workers=0), "cpu", "room for 9"
    monkeypatch.setattr(many, "choose_on_ray", remembers(answer, calls))
    asked = {"address": "head:1", "workers": 4, "runs_per_device": 2, "gpu_share": 0.5, "threads": 3}
    found = prepare([find_recipe("tiny")], executor="ray", devices="auto", run_timeout=60.0, **asked)  # type: ignore[arg-type]
    assert calls == [(asked | {"device": "auto", "run_limit_s": 60.0},)]
    assert found.placement is answer[0]
    assert (found.settings.device, found.settings.threads) == ("cpu", 3)
    assert found.reasons["workers"] == "as there is room (ray): room for 9"


def test_what_is_asked_for_reaches_the_campaign(
    small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, campaigns = [], []
    monkeypatch.setattr(subjects.data_sets, "load", remembers(small_data, loads))
    monkeypatch.setattr(many, "run_campaign", remembers(None, campaigns))
    monkeypatch.setattr(many, "Store", SimpleNamespace(open=lambda path: path))
    how = {"devices": "cpu", "workers": 3, "show": "plain"}
    out = train_many("tiny", runs=9, out=str(tmp_path / "own"), data="mine", data_dir="here", **how)  # type: ignore[arg-type]
    assert out == tmp_path / "own"
    assert loads == [("mine", Path("here"))]
    [(campaign, show)] = campaigns
    assert (campaign.runs, campaign.out, show) == (9, out, "plain")
    assert campaign.placement == Placement(executor="pool", workers=3, hides_gpus=True)
    assert campaign.subject.recipe == find_recipe("tiny")


def test_an_unknown_way_to_show_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="show='none' is none of auto, plain, json, quiet"):
        train_many("tiny", runs=1, out=tmp_path / "none", show="none")  # type: ignore[arg-type]
    assert not (tmp_path / "none").exists()


def test_an_option_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown option 'worker' \(did you mean 'workers'\?\)"):
        train_many("tiny", runs=1, out=tmp_path / "own", worker=2)  # type: ignore[call-arg]
    assert not (tmp_path / "own").exists()
