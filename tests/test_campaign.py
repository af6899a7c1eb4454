"""Campaigns with runs that take no time: what is committed, what is refused, what survives a signal."""

import hashlib
import json
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airbench_var.analysis import analyze
from airbench_var.campaign import BATCH_ROWS, MOST_ROWS, Campaign, in_batches, run_campaign
from airbench_var.data.dataset import Dataset, Split
from airbench_var.errors import InterruptedCampaignError, RunsFailedError, StoreRefusedError
from airbench_var.execution import MakeTrain, Notice, Report, Stop
from airbench_var.interrupt import Interrupt
from airbench_var.recipes import find_recipe
from airbench_var.seeds import seeds_of_run
from airbench_var.store import Outcome, RunSpec, Store
from airbench_var.training import RecipeOnData, Settings
from tests.execution.fake_runs import FakeRun


class Fake:
    """An executor whose runs are fake; it can reorder, fail a run, or do something before one."""

    def __init__(
        self,
        labels_N: np.ndarray,
        *,
        reverse: bool = False,
        fails: Iterable[int] = (),
        signals: Iterable[int] = (),
    ) -> None:
        self.run, self.reverse, self.fails, self.signals = FakeRun(labels_N), reverse, fails, signals
        self.ran: list[int] = []

    def __call__(
        self, arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop
    ) -> Iterator[Outcome | None]:
        for spec in sorted(specs, key=lambda s: s.run_id, reverse=self.reverse):
            if stop():
                return
            if spec.run_id in self.signals:
                signal.raise_signal(signal.SIGTERM)
            self.ran.append(spec.run_id)
            if spec.run_id in self.fails:
                yield Outcome(spec=spec, worker=0, failure="its worker died 3 times (signal SIGKILL)")
            else:
                yield Outcome(spec=spec, worker=0, result=self.run(spec.seeds))


@pytest.fixture
def campaign(small_data: Dataset, tmp_path: Path) -> Campaign:
    recipe = find_recipe("tiny")
    return Campaign(
        subject=RecipeOnData(recipe=recipe, data=small_data, settings=Settings()),
        out=tmp_path / "store",
        runs=10,
    )


def matrices(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (store / "small").iterdir()}


def digest(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


def fake(campaign: Campaign, **options: object) -> Fake:
    return Fake(campaign.subject.labels["small"], **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [2.0, 41.3])
def test_getting_ready_is_told_apart_from_the_runs(
    seconds: float, campaign: Campaign, capsys: pytest.CaptureFixture[str]
) -> None:
    """The store tells it of every worker, the screen where it took long: compiling and capturing do."""

    def execute(arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop) -> Iterator[Report]:
        text = f"worker 0 was ready after {seconds:.0f} s" if seconds > 15 else ""
        yield Notice(kind="ready", text=text, fields={"worker": 0, "seconds": seconds})
        yield from fake(campaign)(arms, specs, stop)

    run_campaign(campaign, mode="auto", execute=execute)
    events = [json.loads(line) for line in (campaign.out / "events.jsonl").read_text().splitlines()]
    ready = [(e["worker"], e["seconds"]) for e in events if e["kind"] == "ready"]
    assert ready == [(0, seconds)]
    shown = "".join(capsys.readouterr())
    assert ("worker 0 was ready after 41 s" in shown) == (seconds > 15)


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
    with pytest.raises(StoreRefusedError, match="has 1 run beyond the 9 asked for"):
        run_campaign(replace(campaign, runs=9), execute=fake(campaign))


def test_a_smaller_total_is_refused_when_a_later_run_is_there(campaign: Campaign) -> None:
    """Workers finish out of order: nine runs may be committed, and the last of them be number 10."""
    with pytest.raises(InterruptedCampaignError):
        run_campaign(campaign, execute=fake(campaign, reverse=True, signals={1}))
    with pytest.raises(StoreRefusedError, match="has 1 run beyond the 9"):
        run_campaign(replace(campaign, runs=9), execute=fake(campaign))


def test_a_session_on_other_versions_says_so(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bits may differ from there on; the store cannot know, the reader should."""
    run_campaign(campaign, execute=fake(campaign))
    monkeypatch.setattr("airbench_var.machine.version", lambda package: "99")
    run_campaign(replace(campaign, runs=12), "plain", execute=fake(campaign))
    assert "note: versions of the store is" in capsys.readouterr().err


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
        run_campaign(campaign, execute=fake(campaign, signals=[4]))
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
        run_campaign(campaign, execute=fake(campaign, fails=[3]))
    assert Store.open(campaign.out).committed_ids().tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    events = [json.loads(line) for line in (campaign.out / "events.jsonl").read_text().splitlines()]
    assert [(e["kind"], e.get("run_id")) for e in events] == [("start", None), ("failed", 3), ("stop", None)]


def test_the_same_command_tries_failed_runs_again(campaign: Campaign, tmp_path: Path) -> None:
    with pytest.raises(RunsFailedError, match="the same command tries them again"):
        run_campaign(campaign, execute=fake(campaign, fails=[3, 7]))
    with pytest.raises(RunsFailedError, match="1 of 10 runs failed, the first is run 7"):
        run_campaign(campaign, execute=fake(campaign, fails=[7]))
    last = fake(campaign)
    analysis = run_campaign(campaign, execute=last)
    assert last.ran == [7]
    assert (analysis.runs, analysis.failed) == (10, 0)
    whole = replace(campaign, out=tmp_path / "whole")
    run_campaign(whole, execute=fake(campaign))
    assert matrices(campaign.out) == matrices(whole.out)


def test_a_failed_run_beyond_the_total_is_no_concern(campaign: Campaign) -> None:
    with pytest.raises(InterruptedCampaignError):
        run_campaign(campaign, execute=fake(campaign, reverse=True, fails=[9], signals=[9]))
    assert run_campaign(replace(campaign, runs=5), execute=fake(campaign)).runs == 5


def test_a_signal_during_the_last_run_stops_nothing(campaign: Campaign) -> None:
    assert run_campaign(campaign, execute=fake(campaign, signals=[9])).runs == 10


def test_a_signal_leaves_failed_runs_to_be_tried_again(campaign: Campaign) -> None:
    """Work left is what this session did not try, not what has no record."""
    with pytest.raises(RunsFailedError):
        run_campaign(campaign, execute=fake(campaign, fails=[3, 7]))
    with pytest.raises(InterruptedCampaignError, match="9 of 10 runs"):
        run_campaign(campaign, execute=fake(campaign, signals=[3]))


@pytest.mark.parametrize(("second", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_stops_at_once_and_keeps_what_is_finished(
    campaign: Campaign, second: signal.Signals, code: int
) -> None:
    def signalled_twice(
        arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop
    ) -> Iterator[Outcome | None]:
        for outcome in fake(campaign)(arms, specs, lambda: False):
            yield outcome
            if outcome and outcome.spec.run_id == 4:
                signal.raise_signal(signal.SIGTERM)
                assert stop()
                signal.raise_signal(second)
                raise AssertionError("nothing comes after the second signal")

    with pytest.raises(InterruptedCampaignError, match=f"at once by {second.name}") as caught:
        run_campaign(campaign, execute=signalled_twice)
    assert caught.value.exit_code == code
    assert Store.open(campaign.out).committed_ids().tolist() == [0, 1, 2, 3, 4]


def test_a_signal_handler_says_nothing_itself() -> None:
    """It may have cut into a print, and a second one inside raises; `requested` says it, once."""
    said: list[str] = []
    with Interrupt(said.append) as interrupt:
        assert not interrupt.requested()
        signal.raise_signal(signal.SIGINT)
        assert said == []
        assert interrupt.requested()
        assert interrupt.requested()
        assert len(said) == 1


def test_an_executor_that_raises_loses_no_finished_run(campaign: Campaign) -> None:
    def breaks(arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop) -> Iterator[Outcome | None]:
        yield from fake(campaign)(arms, list(specs)[:5], stop)
        raise ZeroDivisionError("the run itself is wrong")

    with pytest.raises(ZeroDivisionError):
        run_campaign(campaign, execute=breaks)
    assert Store.open(campaign.out).committed_ids().tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "of_subject", "what"),
    [
        ({"seed": 1}, {}, "seed: 0 in the store, 1 now"),
        ({"vary": ("init",)}, {}, "vary"),
        ({}, {"settings": Settings(threads=2)}, "numerics.threads: 1 in the store, 2 now"),
        (
            {},
            {"recipe": find_recipe("tiny").with_values({"epochs": 9})},
            "recipe.epochs: 3.0 in the store, 9.0 now",
        ),
        ({}, {"recipe": find_recipe("tiny").with_values({"tta": "true"})}, "test_sets"),
    ],
)
def test_the_store_of_another_campaign_is_refused_untouched(
    campaign: Campaign, change: dict[str, object], of_subject: dict[str, object], what: str
) -> None:
    run_campaign(campaign, execute=fake(campaign))
    before = digest(campaign.out)
    subject = replace(campaign.subject, **of_subject)  # type: ignore[type-var]
    with pytest.raises(StoreRefusedError) as caught:
        run_campaign(replace(campaign, subject=subject, **change), execute=fake(campaign))  # type: ignore[arg-type]
    assert what in str(caught.value)
    assert digest(campaign.out) == before


def test_other_images_are_refused(campaign: Campaign, small_data: Dataset) -> None:
    run_campaign(campaign, execute=fake(campaign))
    train = small_data.train
    other = replace(small_data, train=Split(images_NHWC=train.images_NHWC[::-1], labels_N=train.labels_N))
    with pytest.raises(StoreRefusedError, match=r"data\.train\.images_sha256"):
        run_campaign(replace(campaign, subject=replace(campaign.subject, data=other)), execute=fake(campaign))


def test_a_new_name_for_the_same_hyperparameters_is_the_same_campaign(campaign: Campaign) -> None:
    run_campaign(campaign, execute=fake(campaign))
    assert isinstance(campaign.subject, RecipeOnData)
    recipe = campaign.subject.recipe.with_values({"name": "renamed"})
    renamed = replace(campaign, subject=replace(campaign.subject, recipe=recipe))
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


@pytest.mark.parametrize(("keeping_s", "rows"), [(0.0, BATCH_ROWS), (0.1, 100), (10.0, MOST_ROWS)])
def test_batches_grow_while_keeping_one_takes_longer_than_the_next_takes_to_come(
    keeping_s: float, rows: int
) -> None:
    """As on a disk that is slow to sync, with an outcome a millisecond; and no further than to a bound."""
    clock = [0.0]

    def outcomes() -> Iterator[Outcome]:
        for run_id in range(4 * MOST_ROWS):
            clock[0] += 0.001
            yield outcome(run_id)

    sizes, ids = [], []
    for batch in in_batches(outcomes(), lambda: clock[0], may_grow=True):
        sizes.append(len(batch))
        ids += [one.spec.run_id for one in batch]
        clock[0] += keeping_s
    assert sizes[0] == BATCH_ROWS
    assert sizes[1:-1] == pytest.approx([rows] * len(sizes[1:-1]), abs=1)
    assert ids == list(range(4 * MOST_ROWS))


def test_batches_end_when_their_reader_leaves() -> None:
    """The reader met a full disk, say: a batch it did not get to is not pushed on it."""
    batches = in_batches(outcome(i) for i in range(2 * BATCH_ROWS))
    next(batches)
    batches.close()


def test_the_store_and_its_first_event_tell_of_the_same_provenance(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = iter(["first look", "second look"])
    monkeypatch.setattr("airbench_var.machine.commit", lambda: next(commits))
    run_campaign(campaign, execute=fake(campaign))
    start = json.loads((campaign.out / "events.jsonl").read_text().splitlines()[0])
    provenance = Store.open(campaign.out).manifest.provenance
    assert {key: start[key] for key in provenance} == dict(provenance)
