"""Simulated slots keep the contract of executors, and a simulation counts what the driver acknowledged."""

import time
from pathlib import Path

import pytest

from airbench_var.seeds import seeds_of_run
from airbench_var.store import RunSpec, verify
from bench.scale.runs import DistinctRuns
from bench.scale.slots import Slots, quantiles_ms, simulate

RUNS = DistinctRuns(43)


class Clock:
    """Time passes when somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now_s)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def specs(count: int) -> list[RunSpec]:
    return [RunSpec(run_id=i, seeds=seeds_of_run(0, i)) for i in range(count)]


def test_each_spec_is_yielded_once_as_its_slot_finishes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    executor = Slots(runs=RUNS, slots=3, seconds=60, run_s=1.0)
    found = [(clock.now_s, outcome) for outcome in executor([], specs(20), lambda: False)]
    done = [(at_s, outcome) for at_s, outcome in found if outcome]
    assert sorted(outcome.spec.run_id for _, outcome in done) == list(range(20))
    assert {outcome.worker for _, outcome in done} == {0, 1, 2}
    assert [outcome.spec.run_id for _, outcome in done] != list(range(20)), "durations are spread"
    assert found[0][1] is None, "a sign of life while all are busy"
    for at_s, outcome in done:
        assert at_s == pytest.approx(executor.finished_s[outcome.spec.run_id])
    assert 20 / 3 * 0.8 <= clock.now_s - 100 <= 20 / 3 * 1.2 + 1


def test_a_slot_waits_while_the_driver_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    executor = Slots(runs=RUNS, slots=10, seconds=60, run_s=1.0)
    for outcome in executor([], specs(10), lambda: False):
        if outcome:
            clock.now_s += 5
    waited_s = sorted(executor.waited_s)
    assert waited_s[0] == pytest.approx(0, abs=1e-9)
    assert waited_s[1] == pytest.approx(5, abs=0.4)
    assert waited_s[9] == pytest.approx(45, abs=0.4)


@pytest.mark.parametrize("ends", ["stop", "time"])
def test_at_the_end_runs_under_way_are_finished_and_no_more_are_taken(
    monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    clock = Clock(monkeypatch)
    executor = Slots(runs=RUNS, slots=4, seconds=3.1 if ends == "time" else 1e9)
    done = [
        outcome
        for outcome in executor([], specs(1000), lambda: ends == "stop" and clock.now_s > 103.1)
        if outcome
    ]
    assert 4 * 3 <= len(done) <= 4 * 5
    assert sorted(outcome.spec.run_id for outcome in done) == list(range(len(done)))


def test_a_simulation_tells_of_all_that_was_committed(tmp_path: Path) -> None:
    found = simulate(RUNS, tmp_path / "store", slots=20, seconds=0.3, run_s=0.05)
    assert verify(tmp_path / "store").committed == found.runs > 20
    assert (found.slots, found.ideal) == (20, 400)
    assert 0 < found.latency_ms[0] <= found.latency_ms[1] <= found.latency_ms[2]
    assert 0 < found.waited_ms[0] <= found.waited_ms[2]
    assert 1 <= found.batch[1] <= found.batch[0] <= found.batch[2]
    assert found.updates >= 1
    assert 0 < found.cpu_share < 1.5


def test_quantiles_are_in_milliseconds() -> None:
    assert quantiles_ms([0.001] * 99 + [0.5]) == pytest.approx((1, 1, 500))
