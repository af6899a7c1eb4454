"""One campaign divided between jobs: who trains what, when a job is done, and what it says."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest

from airbench_var.analysis import analyze
from airbench_var.campaign import Campaign, run_campaign
from airbench_var.cli import arguments
from airbench_var.data.dataset import Dataset
from airbench_var.errors import InterruptedCampaignError, RunsFailedError, StoreRefusedError, UsageError
from airbench_var.recipes import find_recipe
from airbench_var.seeds import seeds_of_run
from airbench_var.shard import WHOLE, Shard
from airbench_var.store import Store, merge
from airbench_var.training import RecipeOnData, Settings
from tests.test_campaign import digest, fake, matrices


@pytest.fixture
def campaign(small_data: Dataset, tmp_path: Path) -> Campaign:
    recipe = find_recipe("tiny")
    return Campaign(
        subject=RecipeOnData(recipe=recipe, data=small_data, settings=Settings()),
        out=tmp_path / "store",
        runs=10,
    )


def test_every_run_is_in_one_shard() -> None:
    for runs, count in ((1, 1), (10, 1), (10, 3), (10, 10), (240_000, 7)):
        ids = [run_id for i in range(count) for run_id in Shard(i, count).run_ids(runs)]
        assert sorted(ids) == list(range(runs))
        assert all(run_id % count == i for i in range(count) for run_id in Shard(i, count).run_ids(runs))
    assert WHOLE.run_ids(4) == range(4)


def test_a_shard_without_a_run_is_refused() -> None:
    assert Shard(3, 5).run_ids(4) == range(3, 4, 5)
    with pytest.raises(UsageError, match=r"--shard 3/5 has no run among 3.*--runs of 4 or more"):
        Shard(3, 5).run_ids(3)


def test_stores_of_shards_sort_as_their_numbers() -> None:
    assert Shard(3, 100).suffix == ".shard-03-of-100"
    assert Shard(3, 4).suffix == ".shard-3-of-4"
    assert Shard(0, 1).suffix == ".shard-0-of-1"
    suffixes = [Shard(i, 101).suffix for i in range(101)]
    assert sorted(suffixes) == suffixes
    assert len(set(map(len, suffixes))) == 1


def test_what_a_shard_may_be_called() -> None:
    assert arguments.shard("3/100") == Shard(3, 100)
    assert arguments.shard("0/1") == WHOLE
    for text in ("3/3", "4/3", "a/b", "-1/4", "0/0", "1", "1/", "/2", "1/2/3", "1/-2", "1.0/2", "", " 1/2"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not I/M with I from 0 to M - 1"):
            arguments.shard(text)


def test_shards_into_one_store_are_the_whole_campaign(campaign: Campaign, tmp_path: Path) -> None:
    run_campaign(campaign, execute=fake(campaign))
    for i, order in enumerate(([0, 3, 6, 9], [1, 4, 7], [2, 5, 8])):
        part = replace(campaign, out=tmp_path / "parts", shard=Shard(i, 3))
        executor = fake(campaign)
        assert run_campaign(part, execute=executor).runs == sum(range(4, 4 - i - 1, -1)) + (i == 2)
        assert executor.ran == order
        again = fake(campaign)
        run_campaign(part, execute=again)
        assert again.ran == []
    assert matrices(tmp_path / "parts") == matrices(campaign.out)
    assert analyze(tmp_path / "parts").to_json() == analyze(campaign.out).to_json()


def test_shards_in_stores_of_their_own_are_merged_to_the_whole_campaign(
    campaign: Campaign, tmp_path: Path
) -> None:
    run_campaign(campaign, execute=fake(campaign))
    stores = [tmp_path / str(i) for i in range(3)]
    for i, out in enumerate(stores):
        run_campaign(replace(campaign, out=out, shard=Shard(i, 3)), execute=fake(campaign))
    merge(stores, tmp_path / "merged")
    assert matrices(tmp_path / "merged") == matrices(campaign.out)
    assert analyze(tmp_path / "merged").to_json() == analyze(campaign.out).to_json()
    provenance = Store.open(tmp_path / "merged").manifest.provenance
    assert "shard" not in provenance
    assert provenance["recipe_name"] == "tiny"
    again = fake(campaign)
    run_campaign(replace(campaign, out=tmp_path / "merged"), execute=again)  # of the same identity
    assert again.ran == []


def test_the_seeds_do_not_depend_on_the_shard(campaign: Campaign) -> None:
    run_campaign(replace(campaign, shard=Shard(1, 4)), execute=fake(campaign))
    records = Store.open(campaign.out).records([1, 5, 9])
    assert records["init_seed"].tolist() == [seeds_of_run(0, run_id).init for run_id in (1, 5, 9)]


def test_a_shard_is_told_to_people_and_no_part_of_the_identity(campaign: Campaign) -> None:
    part = replace(campaign, shard=Shard(1, 4))
    assert part.identity() == campaign.identity()
    run_campaign(part, execute=fake(campaign))
    assert Store.open(campaign.out).manifest.provenance["shard"] == "1/4"
    run_campaign(campaign, execute=fake(campaign))  # the rest, by a job that does everything
    events = [json.loads(line) for line in (campaign.out / "events.jsonl").read_text().splitlines()]
    assert [(e["kind"], e.get("shard")) for e in events if e["kind"] == "start"] == [
        ("start", "1/4"),
        ("start", None),
    ]
    assert "shard" not in campaign.provenance()


def test_a_shard_grows_with_the_total(campaign: Campaign) -> None:
    run_campaign(replace(campaign, shard=Shard(1, 4)), execute=fake(campaign))
    more = fake(campaign)
    run_campaign(replace(campaign, runs=15, shard=Shard(1, 4)), execute=more)
    assert more.ran == [13]
    before = digest(campaign.out)
    with pytest.raises(StoreRefusedError, match="has 1 run beyond the 13 asked for, which are the total"):
        run_campaign(replace(campaign, runs=13, shard=Shard(0, 4)), execute=fake(campaign))
    ours = {path: value for path, value in before.items() if not path.endswith("lock")}
    assert {path: digest(campaign.out)[path] for path in ours} == ours


def test_a_shard_without_a_run_leaves_no_store(campaign: Campaign) -> None:
    with pytest.raises(UsageError, match="--shard 10/11 has no run among 10"):
        run_campaign(replace(campaign, shard=Shard(10, 11)), execute=fake(campaign))
    assert not campaign.out.exists()


def test_a_shard_tries_and_reports_its_own_failed_runs(campaign: Campaign) -> None:
    first, second = (replace(campaign, shard=Shard(i, 2)) for i in range(2))
    with pytest.raises(RunsFailedError, match="2 of 5 runs failed, the first is run 4"):
        run_campaign(first, execute=fake(campaign, fails=[4, 6]))
    other = fake(campaign)
    assert run_campaign(second, execute=other).failed == 2
    assert other.ran == [1, 3, 5, 7, 9]
    again = fake(campaign)
    run_campaign(first, execute=again)
    assert again.ran == [4, 6]


def test_a_stopped_shard_counts_its_own_runs(campaign: Campaign) -> None:
    run_campaign(replace(campaign, shard=Shard(0, 2)), execute=fake(campaign))
    second = replace(campaign, shard=Shard(1, 2))
    with pytest.raises(InterruptedCampaignError, match="SIGTERM with 2 of 5 runs committed"):
        run_campaign(second, execute=fake(campaign, signals=[3]))
    rest = fake(campaign)
    run_campaign(second, execute=rest)
    assert rest.ran == [5, 7, 9]


@pytest.mark.parametrize(("before", "total"), [(False, 5), (True, 10)])
def test_the_view_ends_where_the_shard_does(
    before: bool, total: int, campaign: Campaign, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its total is what the store holds at the end: the runs of this shard, and those that are there."""
    if before:
        run_campaign(replace(campaign, shard=Shard(0, 2)), execute=fake(campaign))
    run_campaign(replace(campaign, shard=Shard(1, 2)), "json", execute=fake(campaign))
    shown = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    last = [line for line in shown if line["event"] == "progress"][-1]
    assert (last["runs"], last["total"]) == (total, total)
