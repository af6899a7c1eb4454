"""Networks per hour and the time left, with a clock of our own."""

import pytest

from airbench_var.report.rate import Rate


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def rate_after(done: int, commits: list[tuple[float, int]]) -> tuple[Rate, Clock]:
    """Return a rate that began with `done` runs and saw commits, given as (seconds later, runs now)."""
    clock = Clock()
    rate = Rate(done, clock)
    for seconds, runs in commits:
        clock.now_s += seconds
        rate.record(runs)
    return rate, clock


def test_who_looks_on_counts_from_the_first_run_that_comes_in() -> None:
    clock = Clock()
    rate = Rate(7, clock, begun=True)
    clock.now_s += 1  # it was under way for long
    rate.record(8)
    assert rate.per_hour is None
    clock.now_s += 10
    rate.record(9)
    assert rate.per_hour == pytest.approx(360)


def test_the_start_of_the_workers_does_not_count() -> None:
    rate, clock = rate_after(3, [])
    clock.now_s += 50  # imports and compiling
    rate.begins()
    clock.now_s += 10
    rate.record(4)
    assert rate.per_hour == pytest.approx(360)
    rate.begins()  # another worker, later: runs have come in
    clock.now_s += 10
    rate.record(5)
    assert rate.per_hour == pytest.approx(360)


def test_nothing_is_known_before_the_first_commit() -> None:
    rate, clock = rate_after(7, [(5, 7)])
    clock.now_s += 60
    assert rate.per_hour is None
    assert rate.remaining_s(10) is None


def test_runs_of_an_earlier_session_do_not_count() -> None:
    rate, _ = rate_after(5000, [(10, 5001), (10, 5002)])
    assert rate.per_hour == pytest.approx(360)
    assert rate.remaining_s(5010) == pytest.approx(80)


def test_a_slow_start_is_forgotten() -> None:
    rate, _ = rate_after(0, [(600, 1), *((1, run) for run in range(2, 200))])
    assert rate.per_hour == pytest.approx(3600)


def test_slow_runs_are_averaged_over_many_commits_not_over_a_minute() -> None:
    alternating = [(100.0 if run % 2 else 300.0, run) for run in range(1, 60)]
    rate, _ = rate_after(0, alternating)
    assert rate.per_hour == pytest.approx(3600 / 200, rel=0.06)


def test_fast_bursts_are_averaged_over_a_minute() -> None:
    bursts = [(0.01 if run % 64 else 8.0, run) for run in range(1, 64 * 20)]
    rate, _ = rate_after(0, bursts)
    assert rate.per_hour == pytest.approx(3600 * 64 / 8.63, rel=0.15)


def test_time_left_runs_on_between_commits_and_stops_at_0() -> None:
    rate, clock = rate_after(0, [(10, 1), (10, 2)])
    clock.now_s += 4
    assert rate.remaining_s(4) == pytest.approx(16)
    clock.now_s += 100
    assert rate.remaining_s(4) == 0
    assert rate.per_hour == pytest.approx(360)


def test_updates_without_a_new_run_change_nothing() -> None:
    rate, _ = rate_after(0, [(10, 1), (500, 1), (500, 1)])
    assert rate.per_hour == pytest.approx(360)
