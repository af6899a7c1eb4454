"""Same specs, same store: whichever executor, number of workers, order of completion and number of deaths."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from airbench_var.campaign import Campaign, run_campaign
from airbench_var.data.dataset import Dataset
from airbench_var.execution import Executor, in_process, process_pool
from airbench_var.recipes import find_recipe
from airbench_var.seeds import seeds_of_run
from airbench_var.store import Store, verify
from airbench_var.training import RecipeOnData, Settings
from tests.execution.every_executor import EVERY_EXECUTOR, ROBUST, instead
from tests.execution.fake_runs import FakeRun, TakesItsTime

RUNS = 200
#: What tells where and when a run was trained; all else, and every bit of the matrices, must be equal.
OF_THE_DAY = ("train_s", "attempt", "worker", "crc")

EXECUTORS = EVERY_EXECUTOR | {
    "pool of 1": partial(process_pool, workers=1),
    "pool of 3": partial(process_pool, workers=3),
}


@pytest.fixture(scope="module")
def campaign(small_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    out = tmp_path_factory.mktemp("undisturbed") / "store"
    recipe = find_recipe("tiny")
    campaign = Campaign(
        subject=RecipeOnData(recipe=recipe, data=small_data, settings=Settings()), out=out, runs=RUNS
    )
    run_campaign(campaign, execute=partial(instead, in_process, partial(FakeRun, small_data.test.labels_N)))
    return campaign


def assert_same(out: Path, expected: Path) -> None:
    """Compare the matrices byte for byte, and the records but for what tells of the day."""
    for name in ("correct.npy", "predicted.npy", "labels.npy"):
        assert (out / "small" / name).read_bytes() == (expected / "small" / name).read_bytes(), name
    ours, theirs = Store.open(out).records(), Store.open(expected).records()
    assert ours.dtype == theirs.dtype
    for field in set(ours.dtype.names or ()) - set(OF_THE_DAY):
        assert ours[field].tobytes() == theirs[field].tobytes(), field
    assert not verify(out).faults


def kinds_of_events(store: Path) -> list[str]:
    return [json.loads(line)["kind"] for line in (store / "events.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("execute", EXECUTORS.values(), ids=[f"{name} and ray" for name in EXECUTORS])
def test_any_executor_and_any_order(execute: Executor, campaign: Campaign, tmp_path: Path) -> None:
    """Begun as a smaller campaign by one executor, and finished by another."""
    fake = partial(TakesItsTime, campaign.subject.labels["small"], {}, tmp_path)
    half = replace(campaign, out=tmp_path / "store", runs=RUNS // 2)
    run_campaign(half, execute=partial(instead, execute, fake))
    others = [EVERY_EXECUTOR[name] for name in ("ray", "pool")]
    other = next(other for other in others if other is not execute)
    run_campaign(replace(half, runs=RUNS), execute=partial(instead, other, fake))
    assert_same(tmp_path / "store", campaign.out)


@ROBUST
def test_any_number_of_deaths(execute: Executor, campaign: Campaign, tmp_path: Path) -> None:
    """Runs that kill their worker once or twice are trained all the same."""
    seeds = [seeds_of_run(campaign.seed, run_id).init for run_id in range(RUNS)]
    deadly = {seeds[3]: 1, seeds[50]: 2, seeds[120]: 1, seeds[RUNS - 1]: 1}  # none beside another
    fake = partial(TakesItsTime, campaign.subject.labels["small"], deadly, tmp_path)
    out = tmp_path / "store"
    run_campaign(replace(campaign, out=out), execute=partial(instead, execute, fake))
    assert kinds_of_events(out).count("worker-died") == sum(deadly.values())
    assert Store.open(out).records()["attempt"][50] == 3
    assert_same(out, campaign.out)


@pytest.fixture(scope="module")
def trained(small_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """A campaign of real networks: two steps each, enough for bits that depend on everything."""
    out = tmp_path_factory.mktemp("trained") / "store"
    recipe = find_recipe("tiny").with_values({"epochs": "0.1", "batch_size": "60", "network.widths": "8,8,8"})
    campaign = Campaign(
        subject=RecipeOnData(recipe=recipe, data=small_data, settings=Settings()), out=out, runs=5
    )
    run_campaign(campaign)
    return campaign


@pytest.mark.parametrize("name", [name for name in EVERY_EXECUTOR if name != "in_process"])
def test_real_networks(name: str, trained: Campaign, tmp_path: Path) -> None:
    out = tmp_path / "store"
    run_campaign(replace(trained, out=out), execute=EVERY_EXECUTOR[name])
    assert len(set(Store.open(out).correct_RN("small").sum(axis=1).tolist())) > 1  # they are not all alike
    assert_same(out, trained.out)
