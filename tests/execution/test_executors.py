"""The contract of every executor, and what only a pool can do."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from multiprocessing.context import SpawnProcess
from pathlib import Path

import numpy as np
import pytest

from airbench_var.errors import DeviceError
from airbench_var.execution import (
    Executor,
    Notice,
    Placement,
    Report,
    WorkerError,
    WorkerStartError,
    in_threads,
    process_pool,
)
from airbench_var.seeds import Seeds, seeds_of_run
from airbench_var.store import Outcome, RunResult, RunSpec
from tests.execution.every_executor import EVERY_EXECUTOR, EXECUTORS, ROBUST
from tests.execution.fake_runs import (
    PREPARING_S,
    DiesWhileSending,
    FakeRun,
    Hangs,
    KillsItsWorker,
    MeetsWorkers,
    N,
    Raises,
    dies_while_preparing,
    lacks_its_device,
    raises_while_preparing,
    sleeps_while_preparing,
)

POOL, THREADS, RAY = (EVERY_EXECUTOR[name] for name in ("pool", "threads", "ray"))
HANGS_AFTER_S = 100


def specs(n: int) -> list[RunSpec]:
    return [RunSpec(run_id=i, seeds=seeds_of_run(0, i)) for i in range(n)]


def never() -> bool:
    return False


def outcomes(execute: Executor, make_train: object, n: int) -> list[Outcome]:
    return only_outcomes(execute([make_train], specs(n), never))  # type: ignore[list-item]


def only_outcomes(reports: Iterable[Report]) -> list[Outcome]:
    return [report for report in reports if isinstance(report, Outcome)]


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
def test_each_spec_is_run_by_its_arm(execute: Executor) -> None:
    """Two recipes side by side: the labels of the fake runs tell which of them made a result."""
    arms = [partial(FakeRun, np.full(N, label, np.uint8)) for label in (3, 7)]
    both = [replace(spec, arm=arm) for spec in specs(5) for arm in (0, 1)]
    done = only_outcomes(execute(arms, both, never))
    assert sorted((o.spec.run_id, o.spec.arm) for o in done) == [(i, arm) for i in range(5) for arm in (0, 1)]
    for outcome in done:
        assert outcome.result is not None
        predicted_N = outcome.result.predictions["small"].predicted
        assert np.bincount(predicted_N).argmax() == (3, 7)[outcome.spec.arm]


@EXECUTORS
def test_a_worker_tells_once_how_long_it_took_to_get_ready_and_where_it_is(execute: Executor) -> None:
    reports = list(execute([sleeps_while_preparing], specs(9), never))
    ready = [report for report in reports if isinstance(report, Notice) and report.kind == "ready"]
    assert len({notice.fields["worker"] for notice in ready}) == len(ready) > 0
    for notice in ready:
        assert notice.fields["seconds"] >= PREPARING_S
        assert notice.fields["host"] == socket.gethostname()
        assert notice.text == ""  # so short is not worth a line


@EXECUTORS
def test_no_specs_no_work(execute: Executor) -> None:
    assert outcomes(execute, raises_while_preparing, 0) == []


@EXECUTORS
def test_stop_takes_no_new_spec_and_finishes_those_under_way(execute: Executor) -> None:
    done: list[Outcome] = []
    for report in execute([FakeRun], specs(50), lambda: len(done) >= 3):
        if isinstance(report, Outcome):
            done.append(report)
    # Two may have come before; then two at once, and by then two more were under way.
    assert 3 <= len(done) <= 6
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
    reports = execute([FakeRun], specs(50), never)
    assert any(isinstance(report, Outcome) for report in reports)
    del reports
    assert multiprocessing.active_children() == []


class MeetsAnother(FakeRun):
    """Ends only when another run is under way at the same time."""

    def __init__(self, barrier: threading.Barrier) -> None:
        super().__init__()
        self.barrier, self.thread = barrier, threading.get_ident()

    def __call__(self, seeds: Seeds) -> RunResult:
        assert threading.get_ident() != self.thread
        self.barrier.wait(timeout=HANGS_AFTER_S)
        return super().__call__(seeds)


def test_threads_train_at_the_same_time_each_with_its_own_function() -> None:
    made: list[MeetsAnother] = []
    barrier = threading.Barrier(2)

    def make_train() -> MeetsAnother:
        made.append(MeetsAnother(barrier))
        return made[-1]

    done = outcomes(THREADS, make_train, 6)
    assert {o.worker for o in done} == {0, 1}
    assert len(made) == 2


def test_threads_that_wait_say_so_and_end_their_runs_before_they_leave() -> None:
    """The campaign gets its turn while a run takes long; whoever leaves finds no run left under way."""
    begun, go = threading.Event(), threading.Event()

    def make_train() -> Callable[[Seeds], RunResult]:
        def train(seeds: Seeds) -> RunResult:
            begun.set()
            go.wait(timeout=HANGS_AFTER_S)
            return FakeRun()(seeds)

        return train

    pool = in_threads([make_train], specs(2), never, threads=1)
    assert isinstance(next(pool), Notice)  # that it is ready
    assert next(pool) is None
    assert begun.is_set()
    threading.Timer(0.1, go.set).start()
    pool.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("run")]


@ROBUST
def test_a_dead_worker_costs_only_its_run_which_is_tried_again(execute: Executor, tmp_path: Path) -> None:
    """In the company of others it may cost theirs once."""
    make_train = partial(KillsItsWorker, specs(6)[2].seeds.init, 2, tmp_path)
    done = outcomes(execute, make_train, 6)
    attempts = {o.spec.run_id: o.spec.attempt for o in done}
    assert attempts.pop(2) == 3
    companions = sum(attempt == 2 for attempt in attempts.values())
    assert companions <= (execute is not POOL)
    assert sorted(attempts) == [0, 1, 3, 4, 5]
    assert set(attempts.values()) <= {1, 2}
    assert all(o.result is not None for o in done)


@pytest.mark.parametrize("how", ["sleeps", "stops", "stops while sending"])
@ROBUST
def test_a_run_that_hangs_is_tried_again_elsewhere(execute: Executor, how: str, tmp_path: Path) -> None:
    """Also when its process stands still in the middle of a message: nobody waits for the rest."""
    if execute is RAY and how == "stops while sending":
        pytest.skip("its messages are Ray's business")
    hangs = partial(Hangs, specs(5)[1].seeds.init, tmp_path, how)
    found = list(execute([hangs], specs(5), never, run_limit_s=0.3))  # type: ignore[call-arg]
    done = {o.spec.run_id: o for o in only_outcomes(found)}
    assert sorted(done) == [0, 1, 2, 3, 4]
    assert done[1].spec.attempt == 2
    assert all(o.result is not None for o in done.values())
    [told] = [r for r in found if isinstance(r, Notice) and r.kind == "worker-died"]
    assert told.fields["how"] == "hung: no result after 0.3 s"
    [hung] = tmp_path.iterdir()
    deadline_s = time.monotonic() + (HANGS_AFTER_S if execute is RAY else 0)  # another process kills it
    while Path(f"/proc/{hung.name}").exists():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("placement", "seen"),
    [
        (Placement(executor="pool", workers=2, gpus=("7", "3")), {0: "7", 1: "3"}),
        (Placement(executor="pool", workers=4, gpus=("7", "3")), {0: "7", 1: "3", 2: "7", 3: "3"}),
        (Placement(executor="pool", workers=2, hides_gpus=True), {0: "", 1: ""}),
    ],
)
def test_workers_see_one_gpu_each_taken_in_turn_or_none(
    placement: Placement, seen: dict[int, str], tmp_path: Path
) -> None:
    make_train = partial(MeetsWorkers, placement.workers, tmp_path)
    reports = list(placement.execute([make_train], specs(placement.workers), never))
    ready = [r.fields for r in reports if isinstance(r, Notice) and r.kind == "ready"]
    assert {fields["worker"]: fields["device"] for fields in ready} == seen


def test_deaths_leave_no_descriptor_and_no_thread(tmp_path: Path) -> None:
    folders = [tmp_path / str(i) for i in range(2)]
    left = []
    for folder, deaths in zip(folders, (0, 2), strict=True):
        folder.mkdir()
        make_train = partial(KillsItsWorker, specs(6)[2].seeds.init, deaths, folder)
        assert len(outcomes(POOL, make_train, 6)) == 6
        left.append((len(os.listdir("/proc/self/fd")), threading.active_count()))  # noqa: PTH208
    assert left[0] == left[1]


def test_a_process_that_cannot_be_started_is_a_worker_that_died(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(process: SpawnProcess) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(SpawnProcess, "start", start)
    with pytest.raises(WorkerStartError, match="Resource temporarily unavailable"):
        outcomes(POOL, FakeRun, 4)


@EXECUTORS
def test_a_run_that_asks_to_exit_is_a_defect_too(execute: Executor) -> None:
    make_train = partial(Raises, specs(3)[1].seeds.init, SystemExit)
    with pytest.raises((SystemExit, WorkerError), match="the run itself is wrong"):
        outcomes(execute, make_train, 3)


def test_a_run_that_kills_three_workers_is_given_up(tmp_path: Path) -> None:
    make_train = partial(KillsItsWorker, specs(4)[1].seeds.init, 99, tmp_path)
    done = {o.spec.run_id: o for o in outcomes(POOL, make_train, 4)}
    assert sorted(done) == [0, 1, 2, 3]
    assert done[1].result is None
    assert done[1].failure == "its worker died 3 times (signal SIGKILL)"
    assert len(list(tmp_path.iterdir())) == 3
    assert all(done[i].result is not None for i in (0, 2, 3))


def test_a_worker_that_dies_in_the_middle_of_a_message_costs_only_its_run(tmp_path: Path) -> None:
    done = outcomes(POOL, partial(DiesWhileSending, specs(4)[1].seeds.init, tmp_path), 4)
    assert {o.spec.run_id: o.spec.attempt for o in done} == {0: 1, 1: 2, 2: 1, 3: 1}
    assert all(o.result is not None for o in done)


def test_a_dead_worker_is_not_replaced_once_asked_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    original = SpawnProcess.start

    def start(process: SpawnProcess) -> None:
        started.append(process.name)
        original(process)

    monkeypatch.setattr(SpawnProcess, "start", start)
    make_train = partial(KillsItsWorker, specs(3)[0].seeds.init, 99, tmp_path)
    done = process_pool([make_train], specs(3), lambda: any(tmp_path.iterdir()), workers=1)
    assert only_outcomes(done) == []
    assert started == ["worker-0"]


def test_an_end_of_file_in_a_run_is_not_taken_for_the_end_of_the_campaign() -> None:
    with pytest.raises(WorkerError, match="EOFError: the run itself is wrong"):
        outcomes(POOL, partial(Raises, specs(3)[1].seeds.init, EOFError), 3)


def test_workers_that_die_before_their_first_run_are_not_replaced_for_ever() -> None:
    with pytest.raises(WorkerStartError, match=r"3 times in a row before its first run \(signal SIGKILL\)"):
        outcomes(POOL, dies_while_preparing, 4)
    assert multiprocessing.active_children() == []


def test_preparation_that_raises_is_told_with_its_traceback() -> None:
    with pytest.raises(WorkerError, match="preparation is wrong"):
        outcomes(POOL, raises_while_preparing, 4)


@EXECUTORS
def test_a_mistake_of_the_user_keeps_its_message_and_exit_code(execute: Executor) -> None:
    with pytest.raises(DeviceError, match=r"^no such device here$"):
        outcomes(execute, lacks_its_device, 4)


START = [sys.executable, "-m", "tests.execution.starts"]
ROOT = Path(__file__).parents[2]


def test_much_data_for_a_worker_that_is_killed_before_it_reads() -> None:
    killed = subprocess.run(
        [*START, "killed"], cwd=ROOT, capture_output=True, text=True, timeout=HANGS_AFTER_S
    )
    assert "died 3 times in a row before its first run (signal SIGKILL)" in killed.stderr
    assert killed.returncode == DeviceError.exit_code


def test_a_pool_left_open_does_not_keep_the_program_from_ending() -> None:
    subprocess.run([*START, "abandoned"], cwd=ROOT, check=True, timeout=HANGS_AFTER_S)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_process_group_spares_workers_that_start(
    number: signal.Signals, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [*START, "held", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as campaign:
        try:
            while len(list(tmp_path.iterdir())) < 2 and campaign.poll() is None:
                time.sleep(0.01)
            os.killpg(campaign.pid, number)
            (tmp_path / "go").touch()
            out, err = campaign.communicate(timeout=HANGS_AFTER_S)
        finally:
            campaign.kill()
    assert (out, err, campaign.returncode) == ("4\n", "", 0)
    assert len([path for path in tmp_path.iterdir() if path.name != "go"]) == 2  # none was replaced
