"""analyze, info, verify and repair by command, and whoever follows."""

import json
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airbench_var.analysis import LiveStatistics, follow
from airbench_var.campaign import Campaign, run_campaign
from airbench_var.data.dataset import Dataset
from airbench_var.errors import InterruptedCampaignError
from airbench_var.example import TINY
from airbench_var.recipes import find_recipe
from airbench_var.store import Store
from airbench_var.store.lock import WriterLock
from airbench_var.training import RecipeOnData, Settings
from tests.cli.running import exit_code, run
from tests.test_campaign import digest, fake


def interrupted(data: Dataset, out: Path) -> Campaign:
    """Return a campaign of which 4 of 10 runs were committed before a signal came."""
    campaign = Campaign(
        subject=RecipeOnData(recipe=find_recipe("tiny"), data=data, settings=Settings()), out=out, runs=10
    )
    with pytest.raises(InterruptedCampaignError):
        run_campaign(campaign, execute=fake(campaign, signals=[3]))
    return campaign


def test_who_follows_runs_that_nobody_trains_is_told_so(
    small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    came = signal.SIGINT

    def leave_after_a_look(
        store: Store, statistics: LiveStatistics, wait: Callable[[], None]
    ) -> Iterator[LiveStatistics]:
        yield next(follow(store, statistics, wait))
        signal.raise_signal(came)

    campaign = interrupted(small_data, tmp_path / "store")
    monkeypatch.setattr("airbench_var.analysis.follow", leave_after_a_look)
    code, out, err = run(["analyze", str(campaign.out), "--follow"], capsys)
    assert code == 130
    assert f"nobody is training {campaign.out} now" in err
    assert "4 of 10 runs, waiting for the next run" in err
    assert "4 runs, 203 test examples" in out
    assert f"store {campaign.out}, unfinished: 6 of 10 runs are still to come\n" in out
    came = signal.SIGTERM
    code, _, err = run(["analyze", "--example", "--follow"], capsys)
    assert (code, "nobody" in err) == (143, False)


def test_who_follows_is_told_when_the_trainer_ends(
    small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    campaign = interrupted(small_data, tmp_path / "store")
    told = "nobody is training"
    lock = WriterLock.take(campaign.out)

    def trainer_ends(
        store: Store, statistics: LiveStatistics, wait: Callable[[], None]
    ) -> Iterator[LiveStatistics]:
        yield statistics
        wait()
        assert told not in capsys.readouterr().err
        lock.close()
        wait()
        wait()

    monkeypatch.setattr("airbench_var.analysis.follow", trainer_ends)
    monkeypatch.setattr("airbench_var.analysis.live.LOOK_EVERY_S", 0.0)
    code, _, err = run(["analyze", str(campaign.out), "--follow"], capsys)
    assert code == 0
    assert err.count(told) == 1


def test_who_follows_waits_for_a_store_that_is_about_to_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("airbench_var.cli.stores.WAIT_FOR_STORE_S", 0.3)
    late = tmp_path / "late"
    code, out, err = run(["analyze", str(late), "--follow"], capsys)
    assert (code, out) == (2, "")
    assert f"there is no store at {late} yet: waiting 0 s for one" in err
    assert "there is no such store" in err
    monkeypatch.setattr("airbench_var.cli.stores.WAIT_FOR_STORE_S", 60.0)
    shutil.copytree(TINY, tmp_path / "early")
    making = threading.Timer(0.5, (tmp_path / "early").rename, [late])
    making.start()
    code, out, _ = run(["analyze", str(late), "--follow"], capsys)
    making.join()
    assert code == 0
    assert "100 runs, 10,000 test examples" in out


def test_damage_is_found_repaired_and_trained_again(
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    small_data: Dataset,
    tmp_path: Path,
) -> None:
    """From the fault to the same bytes as before, by commands alone."""
    before = digest(store)
    code, out, err = run(["verify", str(store), "--json"], capsys)
    assert (code, json.loads(out)["whole"], err) == (0, True, "")
    with (store / "small" / "predicted.npy").open("r+b") as file:
        file.seek(512 + 4 * 203)
        file.write(b"\xff")

    code, out, err = run(["verify", str(store)], capsys)
    assert code == 4
    assert "small/predicted.npy" in out
    assert f"{store} is damaged, 1 fault." in err
    assert f"`python -m airbench_var repair {store}`" in err
    code, out, err = run(["verify", str(store), "--json"], capsys)
    assert (code, [fault["run_id"] for fault in json.loads(out)["faults"]]) == (4, [4])

    code, out, err = run(["repair", str(store), "--json"], capsys)
    assert (code, json.loads(out)["reopened"], err) == (0, [4], "")
    code, out, _ = run(["info", str(store), "--json"], capsys)
    assert (code, json.loads(out)["committed"], json.loads(out)["open"]) == (0, 9, 1)

    campaign = Campaign(
        subject=RecipeOnData(recipe=find_recipe("tiny"), data=small_data, settings=Settings()),
        out=store,
        runs=10,
    )
    again = fake(campaign)
    run_campaign(campaign, execute=again)
    assert again.ran == [4]
    changed = {name for name, value in digest(store).items() if before.get(name) != value}
    assert not {str(store / "small" / f"{name}.npy") for name in ("labels", "correct", "predicted")} & changed
    assert run(["verify", str(store)], capsys)[0] == 0


def test_info_shows_recipe_data_and_progress(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(["info", str(store)], capsys)
    assert (code, err) == (0, "")
    assert "10 committed, 0 failed, 0 open, of 10 runs" in out
    assert "tiny (" in out


def test_info_shows_what_was_changed_of_the_recipe(
    other_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(["info", str(other_store)], capsys)
    assert (code, "), epochs = 9.0" in out) == (0, True)


@pytest.mark.parametrize("command", ["info", "verify", "repair", "analyze"])
def test_a_newer_format_is_refused_and_nothing_written(
    command: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("manifest.json", "manifest.copy.json"):
        text = (store / name).read_text().replace('"format_version": 1', '"format_version": 2')
        (store / name).write_text(text)
    before = digest(store)
    code, out, err = run([command, str(store)], capsys)
    assert (code, out) == (5, "")
    assert "the store has format version 2, this airbench_var knows version 1" in err
    assert digest(store) == before


@pytest.mark.parametrize("command", ["info", "verify", "repair", "analyze"])
def test_a_circle_of_links_is_named(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    code, out, err = run([command, str(tmp_path / "a")], capsys)
    assert (code, out) == (6, "")
    assert "Too many levels of symbolic links" in err


def test_analyze_prints_a_table(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["analyze", str(store)]) == 0
    shown = capsys.readouterr()
    assert "10 runs" in shown.out
    assert "Mean accuracy" in shown.out
    assert shown.err == ""


def test_analyze_looks_at_pairs_when_asked(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(["analyze", str(store), "--pairs"], capsys)
    assert (code, err) == (0, "")
    assert "Mean accuracy" in out
    assert "Pairs that are not independent" in out
    code, out, _ = run(["analyze", str(store), "--pairs", "--json"], capsys)
    document = json.loads(out)
    pairs = document["test_sets"]["small"].pop("pairs")
    assert (code, pairs["runs"], pairs["examples"]) == (0, 10, 203)
    assert pairs["joint_frequency"]["by_chance"] > 0
    code, out, _ = run(["analyze", str(store), "--json"], capsys)
    assert json.loads(out) == document
