"""The contract of every executor, and what only a pool can do."""

import multiprocessing
from functools import partial
from pathlib import Path

import pytest

from airbench_var.errors import DeviceError
from airbench_var.execution import Executor, in_process, process_pool
from airbench_var.execution.pool import WorkerError
from airbench_var.seeds import seeds_of_run
from airbench_var.store import Outcome, RunSpec
from tests.execution.fake_runs import (
    FakeRun,
    KillsItsWorker,
    Raises,
    dies_while_preparing,
    lacks_its_device,
    raises_while_preparing,
)

POOL = partial(process_pool, workers=2)
EXECUTORS = pytest.mark.parametrize("execute", [in_process, POOL], ids=["in_process", "pool"])


def specs(n: int) -> list[RunSpec]:
    return [RunSpec(run_id=i, seeds=seeds_of_run(0, i)) for i in range(n)]


def never() -> bool:
    return False


def outcomes(execute: Executor, make_train: object, n: int) -> list[Outcome]:
    return [o for o in execute(make_train, specs(n), never) if o is not None]  # type: ignore[arg-type]


@EXECUTORS
def test_every_spec_once_with_the_result_of_its_seeds(execute: Executor) -> None:
    done = outcomes(execute, FakeRun, 9)
    assert sorted(o.spec.run_id for o in done) == list(range(9))
    for outcome in done:
        assert outcome.spec == specs(9)[outcome.spec.run_id]
        assert outcome.result is not None
        expected = FakeRun()(outcome.spec.seeds).predictions["small"].correct
        assert outcome.result.predictions["small"].correct.tobytes() == expected.tobytes()
    assert multiprocessing.active_children() == []


@EXECUTORS
def test_no_specs_no_work(execute: Executor) -> None:
    assert outcomes(execute, raises_while_preparing if execute is POOL else FakeRun, 0) == []


@EXECUTORS
def test_stop_takes_no_new_spec_and_finishes_those_under_way(execute: Executor) -> None:
    done: list[Outcome] = []
    for outcome in execute(FakeRun, specs(50), lambda: len(done) >= 3):
        if outcome is not None:
            done.append(outcome)
    assert 3 <= len(done) <= 4  # one each of the two workers may have been under way
    assert all(outcome.result is not None for outcome in done)
    assert multiprocessing.active_children() == []


@EXECUTORS
def test_an_exception_in_a_run_is_raised_here(execute: Executor) -> None:
    make_train = partial(Raises, specs(3)[1].seeds.init)
    with pytest.raises((ZeroDivisionError, WorkerError), match="the run itself is wrong"):
        outcomes(execute, make_train, 3)
    assert multiprocessing.active_children() == []


@EXECUTORS
def test_leaving_early_leaves_nothing_behind(execute: Executor) -> None:
    for outcome in execute(FakeRun, specs(50), never):
        if outcome is not None:
            break
    del outcome
    assert multiprocessing.active_children() == []


def test_a_dead_worker_costs_only_its_run_which_is_tried_again(tmp_path: Path) -> None:
    make_train = partial(KillsItsWorker, specs(6)[2].seeds.init, 2, tmp_path)
    done = outcomes(POOL, make_train, 6)
    assert {o.spec.run_id: o.spec.attempt for o in done} == {0: 1, 1: 1, 2: 3, 3: 1, 4: 1, 5: 1}
    assert all(o.result is not None for o in done)


def test_a_run_that_kills_three_workers_is_given_up(tmp_path: Path) -> None:
    make_train = partial(KillsItsWorker, specs(4)[1].seeds.init, 99, tmp_path)
    done = {o.spec.run_id: o for o in outcomes(POOL, make_train, 4)}
    assert sorted(done) == [0, 1, 2, 3]
    assert done[1].result is None
    assert done[1].failure == "its worker died 3 times (signal SIGKILL)"
    assert len(list(tmp_path.iterdir())) == 3
    assert all(done[i].result is not None for i in (0, 2, 3))


def test_workers_that_die_before_their_first_run_are_not_replaced_for_ever() -> None:
    with pytest.raises(WorkerError, match=r"before their first run \(signal SIGKILL\)"):
        outcomes(POOL, dies_while_preparing, 4)
    assert multiprocessing.active_children() == []


def test_preparation_that_raises_is_told_with_its_traceback() -> None:
    with pytest.raises(WorkerError, match="preparation is wrong"):
        outcomes(POOL, raises_while_preparing, 4)


@EXECUTORS
def test_a_mistake_of_the_user_keeps_its_message_and_exit_code(execute: Executor) -> None:
    with pytest.raises(DeviceError, match=r"^no such device here$"):
        outcomes(execute, lacks_its_device, 4)
