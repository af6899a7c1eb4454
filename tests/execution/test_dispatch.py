"""Order, retries, giving up, time limits and suspects, with a crew that does what a test says."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from typing import Any

import numpy as np
import pytest

from airbench_var.errors import DeviceError
from airbench_var.execution import MAX_ATTEMPTS, Notice, Report, WorkerError, WorkerStartError
from airbench_var.execution.dispatch import (
    ENDED_BEFORE,
    LEAST_S,
    Died,
    Raised,
    dispatch,
)
from airbench_var.store import Outcome, RunSpec
from tests.execution.fake_crew import DIES, HANGS, KILLED, RESULT, Chaos, FakeCrew, Plan, spec, specs


def reports(
    crew: FakeCrew,
    given: Iterable[RunSpec],
    stop: Callable[[], bool] = lambda: False,
    limit_s: float | None = None,
) -> Iterator[Report]:
    return dispatch(crew, given, stop, run_limit_s=limit_s, clock=crew.clock)


def outcomes(crew: FakeCrew, given: Iterable[RunSpec], **options: Any) -> dict[int, Outcome]:
    """Run all of it, and return the outcomes by run id, in order of completion."""
    found = [report for report in reports(crew, given, **options) if isinstance(report, Outcome)]
    assert len({o.spec.run_id for o in found}) == len(found)
    assert crew.closed == 1
    return {o.spec.run_id: o for o in found}


def notices(crew: FakeCrew, given: Iterable[RunSpec], kind: str, **options: Any) -> list[Notice]:
    return [r for r in reports(crew, given, **options) if isinstance(r, Notice) and r.kind == kind]


def attempts(done: dict[int, Outcome]) -> dict[int, int]:
    return {run_id: outcome.spec.attempt for run_id, outcome in done.items()}


def test_specs_are_begun_in_their_order_and_yielded_as_they_end() -> None:
    crew = FakeCrew(workers=2, runs={0: [Plan(10)]})
    assert list(outcomes(crew, specs(5))) == [1, 2, 3, 4, 0]
    assert [run_id for run_id, *_ in crew.begun] == [0, 1, 2, 3, 4]


def test_a_run_that_lost_its_worker_comes_before_all_others() -> None:
    crew = FakeCrew(workers=2, runs={0: [DIES]})
    done = outcomes(crew, specs(6))
    assert attempts(done) == {0: 2, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1}
    begun = [(run_id, attempt) for run_id, attempt, *_ in crew.begun]
    assert begun.index((0, 2)) < begun.index((3, 1))


def test_no_more_workers_are_started_than_there_are_runs() -> None:
    crew = FakeCrew(workers=8, lanes=2)
    assert len(outcomes(crew, specs(3))) == 3
    assert crew.most_workers == 2


def test_specs_are_taken_when_a_lane_is_free_for_them() -> None:
    taken = 0

    def endless() -> Iterator[RunSpec]:
        nonlocal taken
        for run_id in count():
            taken += 1
            yield spec(run_id)

    crew, done = FakeCrew(workers=5, lanes=3), 0
    for report in reports(crew, endless()):
        done += isinstance(report, Outcome)
        assert taken <= done + 2 * 5 * 3  # under way, and ended in the same turn
        if done == 100:
            break
    assert taken >= 100


def test_a_free_worker_has_its_next_run_before_anyone_looks_at_the_last_one() -> None:
    """Whoever takes an outcome may write to a disk for a while; no worker waits for that."""
    crew = FakeCrew()
    for report in reports(crew, specs(3)):
        if isinstance(report, Outcome) and report.spec.run_id < 2:
            assert [run_id for run_id, *_ in crew.begun] == list(range(report.spec.run_id + 2))


def test_all_processes_may_be_stopped_and_go_on() -> None:
    """Ctrl-Z and an hour later `fg`: every clock went on, and no run did."""
    crew, stopped = FakeCrew(workers=2, runs={i: [Plan(4)] for i in range(8)}), 0
    for report in reports(crew, specs(8), limit_s=5):
        if report is None and crew.begun and stopped < 3:
            stopped += 1
            crew.now_s += 3600
            crew.coming = [(at_s + 3600, order, event) for at_s, order, event in crew.coming]
    assert stopped == 3
    assert crew.killed == []


def test_time_that_was_spent_elsewhere_is_held_against_no_worker() -> None:
    """Its run ended while nobody listened, for longer than the limit."""
    crew = FakeCrew(lanes=2, runs={i: [Plan(1 + i % 2)] for i in range(40)})
    for report in reports(crew, specs(40), limit_s=5):
        if isinstance(report, Outcome):
            crew.now_s += 50
    assert crew.killed == []


def test_a_run_that_was_stopped_with_everything_else_is_not_taken_to_hang() -> None:
    """Ctrl-Z for 50 s while it was under way: it ends 59 s after the other, 9 of them in a limit of 20."""
    crew = FakeCrew(lanes=2, runs={0: [Plan(60)], 1: [Plan(1)]})
    for report in reports(crew, specs(2), limit_s=20):
        if isinstance(report, Outcome) and report.spec.run_id == 1:
            crew.now_s += 50
    assert crew.killed == []


def test_stop_takes_no_new_spec_and_finishes_those_under_way() -> None:
    crew, done = FakeCrew(workers=3), list[int]()
    begun_when_stopped = 0
    for report in reports(crew, map(spec, count()), lambda: len(done) >= 4):
        if isinstance(report, Outcome):
            done.append(report.spec.run_id)
            begun_when_stopped = begun_when_stopped or (len(crew.begun) if len(done) == 4 else 0)
    assert len(crew.begun) == begun_when_stopped == len(done) > 4
    assert crew.closed == 1


def test_stop_before_the_first_spec_starts_nobody() -> None:
    crew = FakeCrew()
    assert list(reports(crew, specs(3), lambda: True)) == []
    assert (crew.started, crew.closed) == ([], 1)


def test_a_run_that_lost_its_worker_is_not_tried_again_once_asked_to_stop() -> None:
    crew = FakeCrew(runs={0: [DIES]})
    found = list(reports(crew, specs(3), lambda: bool(crew.begun)))
    assert not any(isinstance(report, Outcome) for report in found)
    assert crew.started == [0]


def test_the_third_death_of_a_run_is_the_last() -> None:
    done = outcomes(FakeCrew(workers=2, runs={1: [DIES] * 9}), specs(4))
    assert attempts(done) == {0: 1, 1: MAX_ATTEMPTS, 2: 1, 3: 1}
    assert done[1].result is None
    assert done[1].failure == f"its worker died 3 times ({KILLED})"
    assert all(done[i].result is RESULT for i in (0, 2, 3))


def test_a_run_that_hangs_is_killed_after_what_was_asked_for_and_tried_again() -> None:
    crew = FakeCrew(workers=2, runs={0: [HANGS], 1: [Plan(7.9)] * 9})
    done = outcomes(crew, specs(2), limit_s=8)
    assert attempts(done) == {0: 2, 1: 1}
    [(number, killed_s)] = crew.killed
    begun_s = next(when for run_id, _, when, _ in crew.begun if run_id == 0)
    assert number == 0
    assert 8 < killed_s - begun_s < 8.5


def test_a_run_that_hangs_beside_others_that_end_is_killed_too() -> None:
    crew = FakeCrew(lanes=2, runs={0: [HANGS]})
    assert attempts(outcomes(crew, specs(20), limit_s=5))[0] == 2
    assert crew.killed[0][1] < 7


def test_a_run_that_hangs_three_times_is_given_up_with_the_reason() -> None:
    done = outcomes(FakeCrew(runs={1: [HANGS] * 9}), specs(3), limit_s=8)
    assert done[1].failure == "its worker died 3 times (hung: no result after 8 s)"
    assert attempts(done) == {0: 1, 1: 3, 2: 1}


@pytest.mark.parametrize(("longest_s", "limit_s"), [(1, LEAST_S), (6.1, 61), (50, 500)])
def test_without_a_limit_much_longer_than_all_others_is_too_long(longest_s: float, limit_s: float) -> None:
    fine = {i: [Plan(longest_s)] for i in range(ENDED_BEFORE)}
    crew = FakeCrew(runs=fine | {ENDED_BEFORE: [HANGS], ENDED_BEFORE + 1: [Plan(limit_s - 1)]})
    done = outcomes(crew, specs(ENDED_BEFORE + 2))
    assert attempts(done)[ENDED_BEFORE] == 2
    assert attempts(done)[ENDED_BEFORE + 1] == 1
    begun_s = next(when for run_id, _, when, _ in crew.begun if run_id == ENDED_BEFORE)
    [(_, killed_s)] = crew.killed
    assert limit_s < killed_s - begun_s < limit_s + 0.5


def test_without_a_limit_nothing_hangs_before_three_have_ended() -> None:
    plans = {i: [Plan(1)] for i in range(ENDED_BEFORE - 1)} | {ENDED_BEFORE - 1: [Plan(50_000)]}
    crew = FakeCrew(runs=plans)
    assert len(outcomes(crew, specs(ENDED_BEFORE))) == ENDED_BEFORE
    assert crew.killed == []


def test_a_worker_that_hangs_while_it_prepares_is_replaced() -> None:
    crew = FakeCrew(workers=5, starts={4: [HANGS]}, runs={i: [Plan(300)] for i in range(20)})
    assert len(outcomes(crew, specs(20))) == 20
    assert [number for number, _ in crew.killed] == [4]
    assert crew.started == [0, 1, 2, 3, 4, 4]


def test_a_machine_that_compiles_what_others_found_compiled_is_waited_for() -> None:
    crew = FakeCrew(workers=5, starts={4: [Plan(300)]}, runs={i: [Plan(100)] for i in range(20)})
    assert len(outcomes(crew, specs(20))) == 20
    assert (crew.killed, crew.started) == ([], [0, 1, 2, 3, 4])


def test_preparing_is_not_measured_by_the_limit_of_a_run() -> None:
    crew = FakeCrew(workers=5, starts={i: [Plan(40)] for i in range(5)})
    assert len(outcomes(crew, specs(9), limit_s=2)) == 9
    assert crew.killed == []


def test_who_is_not_up_yet_has_no_limit() -> None:
    """An actor may wait for hours until its cluster has room."""
    crew = FakeCrew(workers=5, starts={4: [Plan(1, up_s=50_000)]}, runs={8: [Plan(60_000)]})
    assert len(outcomes(crew, specs(9), limit_s=70_000)) == 9
    assert crew.killed == []


START_FAILS = Plan(event=Died, how=KILLED)


def test_workers_that_all_die_at_the_start_are_an_error() -> None:
    crew = FakeCrew(workers=2, starts={0: [START_FAILS] * 9, 1: [START_FAILS] * 9})
    with pytest.raises(WorkerStartError, match=r"3 times in a row before its first run \(signal SIGKILL\)"):
        list(reports(crew, specs(3)))
    assert crew.closed == 1


def test_a_worker_that_dies_at_the_start_is_left_out_when_others_train() -> None:
    crew = FakeCrew(workers=3, starts={1: [START_FAILS] * 99})
    [notice] = notices(crew, specs(30), "left-out")
    assert notice.text.startswith("worker 1 died 3 times in a row before its first run")
    assert "goes on without it, in 2 workers" in notice.text
    assert crew.started == [0, 1, 2, 1, 1]


def test_deaths_at_the_start_are_counted_anew_after_one_got_ready() -> None:
    plans = {run_id: [DIES] for run_id in range(10)}
    twice_each = [START_FAILS, START_FAILS, Plan()] * 11
    crew = FakeCrew(workers=1, starts={0: twice_each}, runs=plans)
    assert set(attempts(outcomes(crew, specs(10))).values()) == {2}


def test_the_death_of_a_machine_says_nothing_of_the_start() -> None:
    gone = Plan(event=Died, how="its node left", with_its_machine=True)
    crew = FakeCrew(workers=1, starts={0: [gone] * 10})
    assert len(outcomes(crew, specs(3))) == 3


def test_who_was_left_out_has_another_chance_when_machines_come_or_go() -> None:
    """A number stands for no machine: the one that was no good may have been replaced."""
    crew = FakeCrew(workers=2, starts={1: [START_FAILS] * 3})
    for report in reports(crew, specs(60)):
        if isinstance(report, Outcome) and report.spec.run_id == 20:
            crew.workers = 3
    assert crew.started == [0, 1, 1, 1, 1, 2]


def test_the_crew_grows_and_shrinks_during_a_campaign() -> None:
    crew = FakeCrew(workers=1)
    done = []
    for report in reports(crew, specs(100)):
        if not isinstance(report, Outcome):
            continue
        done.append(report.spec.run_id)
        if len(done) == 10:
            crew.workers = 4
        if len(done) == 50:  # two machines leave, with all that is on them
            crew.workers = 2
            for worker in [worker for worker in crew.alive if worker.number in (1, 3)]:
                crew.later(0, Died(worker, "its node left", with_its_machine=True))
    assert sorted(done) == list(range(100))
    assert crew.most_workers == 4
    assert crew.started == [0, 1, 2, 3]  # nobody takes the place of who left with its machine
    assert len(crew.alive) == 2


def test_a_campaign_without_a_machine_waits_for_one() -> None:
    crew = FakeCrew(workers=0)
    found = reports(crew, specs(3))
    assert [next(found) for _ in range(50)] == [None] * 50
    crew.workers = 1
    assert sum(isinstance(report, Outcome) for report in found) == 3


def test_the_death_of_a_worker_puts_back_all_its_runs_which_then_run_alone() -> None:
    crew = FakeCrew(lanes=3, runs={1: [Plan(0.5, Died, how=KILLED)]})
    [notice] = notices(crew, specs(6), "worker-died")
    assert notice.fields == {"worker": 0, "how": KILLED, "again": [0, 1, 2]}
    assert "run 0, 1, 2 again" in notice.text
    second = [entry for entry in crew.begun if entry[1] == 2]
    assert [run_id for run_id, *_ in second] == [0, 1, 2]
    assert [company for *_, company in second] == [0, 0, 0]
    for run_id, _, when, _ in second:  # and nobody joins it
        assert [e[0] for e in crew.begun if when <= e[2] < when + 1] == [run_id]


def test_an_innocent_companion_never_fails_with_the_killer() -> None:
    crew = FakeCrew(workers=2, lanes=4, runs={5: [Plan(0.5, Died, how=KILLED)] * 9})
    done = outcomes(crew, specs(40))
    assert {run_id for run_id, o in done.items() if o.result is None} == {5}
    assert max(o.spec.attempt for run_id, o in done.items() if run_id != 5) == 2


def test_lanes_are_filled_again_after_the_suspects() -> None:
    crew = FakeCrew(lanes=3, runs={1: [Plan(0.5, Died, how=KILLED)]})
    outcomes(crew, specs(30))
    fresh = [company for run_id, _, _, company in crew.begun if run_id >= 6]
    assert Counter(fresh) == {0: 8, 1: 8, 2: 8}


def test_a_suspect_waits_for_one_worker_and_the_others_stay_full() -> None:
    long = {i: [Plan(9)] for i in (2, 3)}
    crew = FakeCrew(workers=3, lanes=2, runs=long | {0: [Plan(0.5, Died, how=KILLED)]})
    done = outcomes(crew, specs(60))
    assert len(done) == 60
    assert crew.now_s < 60 / 6 + 12


def test_a_suspect_goes_to_the_worker_that_is_free_first() -> None:
    """Worker 0 has room, but also a run that takes long; worker 1, the new one, has nothing to do."""
    crew = FakeCrew(workers=2, lanes=2, runs={0: [Plan(50)], 2: [Plan(0.5, Died, how=KILLED)]})
    outcomes(crew, specs(20))
    assert [when for _, attempt, when, _ in crew.begun if attempt == 2] == pytest.approx([2.5, 3.5])


def test_each_lane_is_a_slot_of_its_own() -> None:
    done = outcomes(FakeCrew(workers=2, lanes=3), specs(60))
    assert {o.worker for o in done.values()} == set(range(6))


def test_a_named_error_is_raised_as_it_is_and_of_others_the_traceback() -> None:
    named = DeviceError("no such device here")
    with pytest.raises(DeviceError) as caught:
        list(reports(FakeCrew(runs={0: [Plan(event=Raised, error=named)]}), specs(1)))
    assert caught.value is named
    text = "Traceback: ZeroDivisionError"
    with pytest.raises(WorkerError, match=f"worker 0 raised an exception:\n{text}"):
        list(reports(FakeCrew(starts={0: [Plan(event=Raised, error=text)]}), specs(1)))


def test_what_ended_before_an_error_is_not_lost_with_it() -> None:
    """Both came in one go; the second is raised when the first is safe."""
    found: list[Report] = []
    crew = FakeCrew(workers=2, runs={1: [Plan(event=Raised, error="wrong")]})
    with pytest.raises(WorkerError):
        found.extend(reports(crew, specs(2)))
    assert [o.spec.run_id for o in found if isinstance(o, Outcome)] == [0]


@pytest.mark.parametrize("way", ["end", "error", "left", "thrown", "specs raise"])
def test_the_crew_is_closed_in_every_way_of_leaving(way: str) -> None:
    crew = FakeCrew(runs={2: [Plan(event=Raised, error="wrong")]} if way == "error" else {})

    def breaking() -> Iterator[RunSpec]:
        yield from specs(2)
        raise KeyError("no more")

    found = reports(crew, breaking() if way == "specs raise" else specs(4))
    next(found)
    if way == "left":
        found.close()  # type: ignore[attr-defined]
    elif way == "thrown":
        with pytest.raises(KeyboardInterrupt):
            found.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    elif way == "end":
        list(found)
    else:
        with pytest.raises((WorkerError, KeyError)):
            list(found)
    assert crew.closed == 1


@pytest.mark.parametrize("block", range(4))
def test_whatever_happens_each_spec_has_one_outcome(block: int) -> None:
    """That no run is under way twice, and no lane given twice, `FakeCrew.give` looks after."""
    failed = 0
    for seed in range(100 * block, 100 * block + 100):
        crew, n = Chaos(seed), np.random.default_rng(seed).integers(0, 60)
        done = outcomes(crew, islice(map(spec, count()), n), limit_s=10)
        assert sorted(done) == list(range(n))
        tried = Counter(run_id for run_id, *_ in crew.begun)
        for run_id, outcome in done.items():
            assert outcome.spec.attempt == tried[run_id] <= MAX_ATTEMPTS
            assert (outcome.result is None) <= (tried[run_id] == MAX_ATTEMPTS)
        for _, attempt, _, company in crew.begun:
            assert attempt == 1 or company == 0  # a suspect begins alone
        failed += sum(outcome.result is None for outcome in done.values())
    assert failed > 0
