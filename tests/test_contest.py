"""Contests with runs that take no time: what is decided, what is refused, what a resume changes (nothing)."""

import json
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from airbench_var.analysis import LiveStatistics, analyze, compare
from airbench_var.analysis.obrien_fleming import OBrienFleming
from airbench_var.analysis.sequential import TMixture
from airbench_var.campaign import Campaign, Subject, run_campaign
from airbench_var.contest import Contest, run_contest, standing_of
from airbench_var.data.dataset import Dataset
from airbench_var.errors import (
    InterruptedCampaignError,
    RunsFailedError,
    StoreDamagedError,
    StoreRefusedError,
    UsageError,
)
from airbench_var.execution import MakeTrain, Stop, process_pool
from airbench_var.recipe import Recipe
from airbench_var.recipes import find_recipe
from airbench_var.store import Outcome, RunSpec, Store, repair
from airbench_var.training import RecipeOnData, Settings
from tests.execution.fake_runs import OftenRight
from tests.test_campaign import digest


class Fake:
    """An executor of two arms: `round_of` runs are under way at a time, and the last of them comes first."""

    def __init__(
        self,
        labels_N: np.ndarray,
        chances: tuple[float, float],
        *,
        fails: Iterable[tuple[int, int]] = (),
        signals_at: tuple[int, int] | None = None,
        round_of: int = 1,
    ) -> None:
        self.runs = [OftenRight(labels_N, chance) for chance in chances]
        self.fails, self.signals_at, self.round_of = set(fails), signals_at, round_of
        self.ran: list[tuple[int, int]] = []

    def __call__(
        self, arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop
    ) -> Iterator[Outcome | None]:
        queue = list(specs)
        while queue and not stop():
            under_way, queue = queue[: self.round_of], queue[self.round_of :]
            for spec in reversed(under_way):
                if (spec.run_id, spec.arm) == self.signals_at:
                    signal.raise_signal(signal.SIGTERM)
                self.ran.append((spec.run_id, spec.arm))
                if (spec.run_id, spec.arm) in self.fails:
                    yield Outcome(spec=spec, worker=0, failure="its worker died 3 times (signal SIGKILL)")
                else:
                    yield Outcome(spec=spec, worker=0, result=self.runs[spec.arm](spec.seeds))


@pytest.fixture(autouse=True)
def _every_run_is_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow runs are committed one by one; so are these."""
    monkeypatch.setattr("airbench_var.campaign.BATCH_ROWS", 1)


@pytest.fixture
def contest(small_data: Dataset, tmp_path: Path) -> Contest:
    recipe = find_recipe("tiny")
    a, b = (on(small_data, recipe), on(small_data, recipe.with_values({"epochs": 9})))
    return Contest(
        subjects=(a, b),
        out=tmp_path / "ab",
        rule=TMixture(margin=0.02, max_runs=100),
    )


def on(data: Dataset, recipe: Recipe) -> RecipeOnData:
    return RecipeOnData(recipe=recipe, data=data, settings=Settings())


def changed(subject: Subject, **values: object) -> RecipeOnData:
    assert isinstance(subject, RecipeOnData)
    return replace(subject, recipe=subject.recipe.with_values(values))


def fake(contest: Contest, chances: tuple[float, float] = (0.9, 0.8), **options: object) -> Fake:
    return Fake(contest.subjects[0].labels["small"], chances, **options)  # type: ignore[arg-type]


def matrices(contest: Contest) -> dict[str, np.ndarray]:
    return {f"{arm.out.name}": Store.open(arm.out).correct_RN("small") for arm in contest.arms}


def test_it_stops_when_one_is_better_and_the_same_command_trains_nothing(contest: Contest) -> None:
    first = fake(contest)
    standing = run_contest(contest, execute=first)
    assert standing.decision == "A is better"
    assert standing.pairs < 30
    assert first.ran == [(i, arm) for i in range(standing.pairs) for arm in (0, 1)]
    before = digest(contest.out)
    again = fake(contest)
    assert run_contest(contest, execute=again) == standing
    assert standing_of(contest) == standing
    assert again.ran == []
    assert digest(contest.out) == before


@pytest.mark.parametrize(
    ("chances", "options", "decision"),
    [
        ((0.8, 0.9), {}, "B is better"),
        ((0.9, 0.9), {"margin": 0.05}, "equivalent"),
        ((0.9, 0.9), {"margin": 0.001, "max_runs": 12}, "undecided"),
    ],
)
def test_decisions(
    contest: Contest, chances: tuple[float, float], options: dict[str, object], decision: str
) -> None:
    contest = replace(contest, rule=replace(contest.rule, **options))  # type: ignore[type-var]
    execute = fake(contest, chances)
    standing = run_contest(contest, execute=execute)
    assert standing.decision == decision
    assert standing.pairs == len(execute.ran) / 2 <= contest.rule.max_runs
    if decision == "undecided":
        assert standing.pairs == 12


def test_planned_looks(contest: Contest) -> None:
    contest = replace(contest, rule=OBrienFleming(margin=0.02, max_runs=40, looks=4))
    standing = run_contest(contest, execute=fake(contest))
    assert standing.decision == "A is better"
    assert standing.pairs in (10, 20, 30)
    assert standing.path["pairs"] == [10, 20, 30][: standing.pairs // 10]


def test_the_order_of_arrival_does_not_decide(contest: Contest, tmp_path: Path) -> None:
    """Five at a time, the last first: more is trained, and the decision is the same to the last bit."""
    one = run_contest(contest, execute=fake(contest, (0.87, 0.84)))
    other = replace(contest, out=tmp_path / "other")
    five = run_contest(other, execute=fake(other, (0.87, 0.84), round_of=5))
    assert repr(five.path) == repr(one.path)
    assert (five.decision, five.look, five.pairs) == (one.decision, one.look, one.pairs)
    assert one.beyond == 0
    assert five.beyond == sum(five.runs) - 2 * five.pairs >= 1


def test_arms_are_campaigns_of_their_own(contest: Contest, tmp_path: Path) -> None:
    """Seeds 2 S and 2 S + 1: a plain campaign gives the same runs, and no run of A has a twin in B."""
    contest = replace(contest, seed=3)
    standing = run_contest(contest, execute=fake(contest))
    a, b = (Store.open(arm.out) for arm in contest.arms)
    assert (a.manifest.identity["seed"], b.manifest.identity["seed"]) == (6, 7)
    seeds = [set(store.records(store.committed_ids())["init_seed"].tolist()) for store in (a, b)]
    assert not seeds[0] & seeds[1]
    assert analyze(a).runs == analyze(b).runs == standing.pairs
    assert set(compare(a, b)) == {"small"}

    plain = Campaign(subject=contest.subjects[1], out=b.path, runs=100, seed=7)
    more = fake(contest)
    run_campaign(plain, execute=more)
    assert more.ran == [(i, 0) for i in range(standing.pairs, 100)]
    later = run_contest(contest, execute=fake(contest))  # runs beyond the decision change nothing of it
    assert (later.decision, later.pairs, later.path) == (standing.decision, standing.pairs, standing.path)


def test_a_signal_ends_in_order_and_the_same_command_goes_on(contest: Contest, tmp_path: Path) -> None:
    chances = (0.87, 0.84)
    with pytest.raises(
        InterruptedCampaignError, match="SIGTERM after 5 pairs, with nothing decided"
    ) as caught:
        run_contest(contest, execute=fake(contest, chances, signals_at=(5, 0)))
    assert caught.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    so_far = standing_of(contest)
    assert (so_far.decision, so_far.pairs, so_far.runs) == (None, 5, (6, 5))

    rest = fake(contest, chances)
    resumed = run_contest(contest, execute=rest)
    assert rest.ran[0] == (5, 1)
    whole = replace(contest, out=tmp_path / "whole")
    uncut = run_contest(whole, execute=fake(whole, chances))
    assert resumed == uncut
    assert repr(resumed.path) == repr(uncut.path)
    for name, correct_RN in matrices(whole).items():
        assert np.array_equal(matrices(contest)[name], correct_RN)


def test_a_signal_after_the_decision_is_no_interruption(contest: Contest) -> None:
    pairs = run_contest(replace(contest, out=contest.out / "first"), execute=fake(contest)).pairs
    execute = fake(contest, signals_at=(pairs - 1, 1))  # comes while the deciding run is trained
    assert run_contest(contest, execute=execute).decision is not None


def test_a_kill_between_the_commits_of_a_pair_loses_nothing(contest: Contest) -> None:
    """The executor raises as if the process had died: A's run of the pair is there, B's is not."""

    def dies(arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop) -> Iterator[Outcome | None]:
        yield from fake(contest, (0.87, 0.84))(arms, list(specs)[:7], stop)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_contest(contest, execute=dies)
    assert standing_of(contest).runs == (4, 3)
    rest = fake(contest, (0.87, 0.84))
    run_contest(contest, execute=rest)
    assert rest.ran[:3] == [(3, 1), (4, 0), (4, 1)]


def test_a_failed_run_leaves_its_pair_out_for_good(contest: Contest) -> None:
    execute = fake(contest, fails=[(2, 1), (4, 0), (4, 1)])
    standing = run_contest(contest, execute=execute)
    assert (standing.decision, standing.left_out) == ("A is better", 2)
    assert standing.last_run_id == standing.pairs + 1
    events = (contest.out / "b" / "events.jsonl").read_text().splitlines()
    assert [json.loads(line).get("run_id") for line in events if '"failed"' in line] == [2, 4]
    again = fake(contest)
    assert run_contest(contest, execute=again) == standing
    assert again.ran == []  # a second try would move the pairs that were looked at


def test_a_failed_run_is_not_tried_again_while_nothing_is_decided(contest: Contest) -> None:
    chances = (0.87, 0.84)
    with pytest.raises(InterruptedCampaignError):
        run_contest(contest, execute=fake(contest, chances, fails=[(1, 0)], signals_at=(4, 0)))
    rest = fake(contest, chances)
    assert run_contest(contest, execute=rest).left_out == 1
    assert rest.ran[0] == (4, 1)


def test_when_everything_fails_nothing_is_compared(contest: Contest) -> None:
    contest = replace(contest, rule=TMixture(margin=0.02, max_runs=4))
    with pytest.raises(RunsFailedError, match="4 of 4 pairs lack a run"):
        run_contest(contest, execute=fake(contest, fails=[(i, 0) for i in range(4)]))


def test_a_damaged_run_is_trained_again_and_the_decision_stays(contest: Contest) -> None:
    standing = run_contest(contest, execute=fake(contest))
    with (contest.out / "a" / "small" / "correct.npy").open("r+b") as file:
        file.seek(512 + 26 * 1)
        file.write(b"\x00\xff\x00")
    with pytest.raises(StoreDamagedError, match="run 1"):
        run_contest(contest, execute=fake(contest))
    repair(contest.out / "a")
    again = fake(contest)
    assert run_contest(contest, execute=again) == standing
    assert again.ran == [(1, 0)]


def test_the_rule_is_on_the_disk_before_the_first_run(contest: Contest) -> None:
    def looks(arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop) -> Iterator[Outcome | None]:
        seen.append(json.loads((contest.out / "comparison.json").read_text()))
        yield from fake(contest)(arms, specs, stop)

    seen: list[dict[str, object]] = []
    run_contest(contest, execute=looks)
    assert seen == [
        {
            "format": "airbench_var comparison",
            "format_version": 1,
            "test_set": "small",
            "rule": "t-mixture",
            "margin": 0.02,
            "max_runs": 100,
            "g": [0.001, 0.01, 0.1, 1.0],
            "alpha": 0.05,
        }
    ]


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        (TMixture(margin=0.03, max_runs=200), "margin: 0.02 there, 0.03 now"),
        (TMixture(margin=0.02, max_runs=100, alpha=0.01), "alpha: 0.05 there, 0.01 now"),
        (TMixture(margin=0.02, max_runs=100, g=(0.5,)), "g: [0.001, 0.01, 0.1, 1.0] there, [0.5] now"),
        (TMixture(margin=0.02, max_runs=99), "max_runs: 100 there, 99 now"),
        (OBrienFleming(margin=0.02, max_runs=100, looks=5), 'rule: "t-mixture" there, "obrien-fleming" now'),
    ],
)
def test_another_rule_is_refused_untouched(contest: Contest, rule: TMixture, what: str) -> None:
    run_contest(contest, execute=fake(contest))
    before = digest(contest.out)
    with pytest.raises(StoreRefusedError) as caught:
        run_contest(replace(contest, rule=rule), execute=fake(contest))
    assert what in str(caught.value)
    assert digest(contest.out) == before


def test_more_runs_are_welcome_after_every_pair_but_not_for_planned_looks(contest: Contest) -> None:
    small = replace(contest, rule=TMixture(margin=0.001, max_runs=6))
    assert run_contest(small, execute=fake(contest, (0.9, 0.9))).decision == "undecided"
    more = fake(contest, (0.9, 0.9))
    larger = replace(contest, rule=TMixture(margin=0.001, max_runs=9))
    assert run_contest(larger, execute=more).pairs == 9
    assert more.ran == [(i, arm) for i in (6, 7, 8) for arm in (0, 1)]
    assert json.loads((contest.out / "comparison.json").read_text())["max_runs"] == 9

    planned = replace(
        contest, out=contest.out / "planned", rule=OBrienFleming(margin=0.02, max_runs=40, looks=2)
    )
    run_contest(planned, execute=fake(contest))
    rule = OBrienFleming(margin=0.02, max_runs=50, looks=2)
    with pytest.raises(StoreRefusedError, match="max_runs: 40 there, 50 now"):
        run_contest(replace(planned, rule=rule), execute=fake(contest))


def test_other_recipes_and_seeds_are_refused_by_the_stores(contest: Contest) -> None:
    run_contest(contest, execute=fake(contest))
    a, b = contest.subjects
    before = digest(contest.out)
    for change, what in (
        ({"subjects": (b, a)}, "recipe.epochs: 3.0 in the store, 9.0 now"),
        ({"seed": 1}, "seed: 0 in the store, 2 now"),
    ):
        with pytest.raises(StoreRefusedError, match=what):
            run_contest(replace(contest, **change), execute=fake(contest))  # type: ignore[arg-type]
    assert digest(contest.out) == before


def test_runs_without_a_rule_are_refused(contest: Contest) -> None:
    run_contest(contest, execute=fake(contest))
    (contest.out / "comparison.json").unlink()
    with pytest.raises(StoreRefusedError, match=r"has runs but no comparison\.json"):
        run_contest(contest, execute=fake(contest))


@pytest.mark.parametrize("text", ["", "[]", '{"format": "airbench_var comparison"}'])
def test_half_a_rule_is_damage(contest: Contest, text: str) -> None:
    run_contest(contest, execute=fake(contest))
    (contest.out / "comparison.json").write_text(text)
    with pytest.raises(StoreDamagedError, match="is not whole"):
        run_contest(contest, execute=fake(contest))


def test_a_newer_format_is_refused(contest: Contest) -> None:
    run_contest(contest, execute=fake(contest))
    path = contest.out / "comparison.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(StoreRefusedError, match="version 2, which is not known here"):
        run_contest(contest, execute=fake(contest))


def test_a_store_is_no_folder_for_two(contest: Contest) -> None:
    run_contest(contest, execute=fake(contest))
    with pytest.raises(StoreRefusedError, match="is a store, not a folder for two"):
        run_contest(replace(contest, out=contest.out / "a"), execute=fake(contest))


def test_a_test_set_that_only_one_recipe_has(contest: Contest) -> None:
    tta = changed(contest.subjects[0], tta="true")
    with pytest.raises(UsageError, match="no test set 'small-tta' in common; they have small"):
        run_contest(replace(contest, subjects=(tta, contest.subjects[1]), test_set="small-tta"))
    assert not contest.out.exists()


def test_a_recipe_that_does_not_fit_leaves_no_folder(contest: Contest) -> None:
    large = changed(contest.subjects[1], batch_size=100_000)
    with pytest.raises(UsageError, match="batch_size"):
        run_contest(replace(contest, subjects=(contest.subjects[0], large)))
    assert not contest.out.exists()


def test_compare_says_that_the_number_of_runs_was_not_fixed(contest: Contest) -> None:
    run_contest(contest, execute=fake(contest))
    [comparison] = compare(contest.out / "a", contest.out / "b").values()
    assert any("was not fixed beforehand" in warning for warning in comparison.warnings)


def test_progress_is_shown_and_what_is_not_varied_is_named(
    contest: Contest, capsys: pytest.CaptureFixture[str]
) -> None:
    run_contest(replace(contest, vary=("init",)), "json", execute=fake(contest))
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert "what is not varied has one value in all runs of A" in lines[0]["text"]
    assert lines[-1]["event"] == "progress"
    assert lines[-1]["decision"] == "A is better"


def test_two_workers_train_both_arms(contest: Contest) -> None:
    """Real processes; the executor's own arms are replaced by fake ones."""

    def pool(arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop) -> Iterator[Outcome | None]:
        fakes = [partial(OftenRight, contest.subjects[0].labels["small"], chance) for chance in (0.9, 0.8)]
        yield from process_pool(fakes, specs, stop, workers=2)

    standing = run_contest(contest, execute=pool)
    assert repr(standing.path) == repr(
        run_contest(replace(contest, out=contest.out / "x"), execute=fake(contest)).path
    )
    statistics = LiveStatistics.of_store(Store.open(contest.out / "a"))
    assert standing.pairs <= statistics.counts["small"].R
