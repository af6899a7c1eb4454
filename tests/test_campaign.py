"""Campaigns with runs that take no time: what is committed, what is refused, what survives a signal."""

import hashlib
import json
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airbench_var.analysis import analyze
from airbench_var.campaign import BATCH_ROWS, Campaign, in_batches, run_campaign
from airbench_var.data.dataset import Dataset, Split
from airbench_var.errors import InterruptedCampaignError, RunsFailedError, StoreRefusedError
from airbench_var.execution import MakeTrain, Stop
from airbench_var.recipes import find_recipe
from airbench_var.seeds import seeds_of_run
from airbench_var.store import Outcome, RunSpec, Store
from airbench_var.training import Settings
from tests.execution.fake_runs import FakeRun


class Fake:
    """An executor whose runs are fake; it can reorder, fail a run, or do something before one."""

    def __init__(
        self, labels_N: np.ndarray, *, reverse: bool = False, fails: int = -1, signals: int = -1
    ) -> None:
        self.run, self.reverse, self.fails, self.signals = FakeRun(labels_N), reverse, fails, signals
        self.ran: list[int] = []

    def __call__(
        self, make_train: MakeTrain, specs: Iterable[RunSpec], stop: Stop
    ) -> Iterator[Outcome | None]:
        for spec in sorted(specs, key=lambda s: s.run_id, reverse=self.reverse):
            if stop():
                return
            if spec.run_id == self.signals:
                os.kill(os.getpid(), signal.SIGTERM)
            self.ran.append(spec.run_id)
            if spec.run_id == self.fails:
                yield Outcome(spec=spec, worker=0, failure="its worker died 3 times (signal SIGKILL)")
            else:
                yield Outcome(spec=spec, worker=0, result=self.run(spec.seeds))


@pytest.fixture
def campaign(small_data: Dataset, tmp_path: Path) -> Campaign:
    recipe = find_recipe("tiny")
    return Campaign(recipe=recipe, data=small_data, out=tmp_path / "store", runs=10, settings=Settings())


def matrices(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (store / "small").iterdir()}


def digest(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


def fake(campaign: Campaign, **options: object) -> Fake:
    return Fake(campaign.data.test.labels_N, **options)  # type: ignore[arg-type]


def test_runs_is_the_total_and_the_same_command_does_nothing(campaign: Campaign) -> None:
    first = fake(campaign)
    analysis = run_campaign(campaign, execute=first)
    assert first.ran == list(range(10))
    assert analysis.runs == 10
    before = digest(campaign.out)
    again = fake(campaign)
    assert run_campaign(campaign, execute=again).to_json() == analysis.to_json()
    assert again.ran == []
    assert digest(campaign.out) == before

    more = fake(campaign)
    run_campaign(replace(campaign, runs=15), execute=more)
    assert more.ran == list(range(10, 15))


def test_fewer_runs_than_there_are_is_refused(campaign: Campaign) -> None:
    run_campaign(campaign, execute=fake(campaign))
    with pytest.raises(StoreRefusedError, match="already has 10 committed runs"):
        run_campaign(replace(campaign, runs=9), execute=fake(campaign))


def test_seeds_follow_from_campaign_seed_and_run_id(campaign: Campaign) -> None:
    run_campaign(replace(campaign, seed=5, vary=("order",)), execute=fake(campaign))
    runs = Store.open(campaign.out).runs
    for i in range(10):
        seeds = seeds_of_run(5, i, ("order",))
        assert (runs["init_seed"][i], runs["order_seed"][i], runs["aug_seed"][i]) == (
            seeds.init,
            seeds.order,
            seeds.aug,
        )
    assert len(set(runs["init_seed"])) == 1
    assert len(set(runs["order_seed"])) == 10


def test_live_statistics_equal_a_fresh_reading_of_the_store(campaign: Campaign) -> None:
    live = run_campaign(campaign, execute=fake(campaign))
    assert live.to_json() == analyze(campaign.out).to_json()


def test_order_of_completion_does_not_change_the_matrices(campaign: Campaign, tmp_path: Path) -> None:
    run_campaign(campaign, execute=fake(campaign))
    other = replace(campaign, out=tmp_path / "other")
    run_campaign(other, execute=fake(campaign, reverse=True))
    assert matrices(campaign.out) == matrices(other.out)


def test_a_signal_ends_in_order_and_the_same_command_goes_on(campaign: Campaign, tmp_path: Path) -> None:
    with pytest.raises(InterruptedCampaignError, match="SIGTERM with 5 of 10 runs") as caught:
        run_campaign(campaign, execute=fake(campaign, signals=4))
    assert caught.value.exit_code == 143
    assert Store.open(campaign.out).committed_ids().tolist() == [0, 1, 2, 3, 4]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL

    rest = fake(campaign)
    run_campaign(campaign, execute=rest)
    assert rest.ran == [5, 6, 7, 8, 9]
    whole = replace(campaign, out=tmp_path / "whole")
    run_campaign(whole, execute=fake(campaign))
    assert matrices(campaign.out) == matrices(whole.out)


def test_a_run_that_fails_for_good_is_reported_and_the_rest_committed(campaign: Campaign) -> None:
    with pytest.raises(RunsFailedError, match="the first is run 3"):
        run_campaign(campaign, execute=fake(campaign, fails=3))
    assert Store.open(campaign.out).committed_ids().tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    events = [json.loads(line) for line in (campaign.out / "events.jsonl").read_text().splitlines()]
    assert [(e["kind"], e.get("run_id")) for e in events] == [("start", None), ("failed", 3), ("stop", None)]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"seed": 1}, "seed: 0 in the store, 1 now"),
        ({"vary": ("init",)}, "vary"),
        ({"settings": Settings(threads=2)}, "numerics.threads: 1 in the store, 2 now"),
        (
            {"recipe": find_recipe("tiny").with_values({"epochs": 9})},
            "recipe.epochs: 3.0 in the store, 9.0 now",
        ),
        ({"recipe": find_recipe("tiny").with_values({"tta": "true"})}, "test_sets"),
    ],
)
def test_the_store_of_another_campaign_is_refused_untouched(
    campaign: Campaign, change: dict[str, object], what: str
) -> None:
    run_campaign(campaign, execute=fake(campaign))
    before = digest(campaign.out)
    with pytest.raises(StoreRefusedError) as caught:
        run_campaign(replace(campaign, **change), execute=fake(campaign))  # type: ignore[arg-type]
    assert what in str(caught.value)
    assert digest(campaign.out) == before


def test_other_images_are_refused(campaign: Campaign) -> None:
    run_campaign(campaign, execute=fake(campaign))
    train = campaign.data.train
    other = replace(campaign.data, train=Split(images_NHWC=train.images_NHWC[::-1], labels_N=train.labels_N))
    with pytest.raises(StoreRefusedError, match=r"data\.train\.images_sha256"):
        run_campaign(replace(campaign, data=other), execute=fake(campaign))


def test_a_new_name_for_the_same_hyperparameters_is_the_same_campaign(campaign: Campaign) -> None:
    run_campaign(campaign, execute=fake(campaign))
    renamed = replace(campaign, recipe=campaign.recipe.with_values({"name": "renamed"}))
    assert run_campaign(renamed, execute=fake(campaign)).runs == 10


def outcome(run_id: int) -> Outcome:
    return Outcome(spec=RunSpec(run_id=run_id, seeds=seeds_of_run(0, run_id)), worker=0, failure="fake")


def test_batches_are_full_or_due() -> None:
    """Fast runs fill a batch; slow ones are committed at the next sign of life after a second."""
    fast = list(in_batches((outcome(i) for i in range(2 * BATCH_ROWS + 1)), clock=lambda: 0.0))
    assert [len(batch) for batch in fast] == [BATCH_ROWS, BATCH_ROWS, 1]

    times = iter([0.0, 0.4, 0.8, 1.1, 1.1, 2.5, 2.5])
    slow = list(in_batches([outcome(0), outcome(1), None, outcome(2)], clock=lambda: next(times)))
    assert [[o.spec.run_id for o in batch] for batch in slow] == [[0, 1], [2]]
