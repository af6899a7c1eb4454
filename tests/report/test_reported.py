"""Sessions of a store, from its log."""

from airbench_var.report.reported import sessions_of


def start(time: str, committed: int) -> dict[str, object]:
    return {"time": f"2026-01-01T{time}+00:00", "kind": "start", "committed": committed, "workers": 2}


def test_runs_per_hour_are_those_between_start_and_stop() -> None:
    stop = {"time": "2026-01-01T10:30:00.000+00:00", "kind": "stop", "committed": 70, "signal": "SIGTERM"}
    [one] = sessions_of([{"kind": "ready"}, start("10:00:00.000", 20), {"kind": "death"}, stop])
    assert (one.runs, one.per_hour, one.workers, one.stopped_by) == (50, 100, 2, "SIGTERM")


def test_a_session_that_was_killed_has_no_end() -> None:
    killed, last = sessions_of([start("10:00:00.000", 0), start("11:00:00.000", 5)])
    assert (killed.stop, killed.runs, killed.per_hour) == (None, None, None)
    assert last.start.startswith("2026-01-01T11")
    assert sessions_of([]) == ()


def test_a_session_that_did_nothing_has_no_rate() -> None:
    stop = {"time": "2026-01-01T10:00:01.000+00:00", "kind": "stop", "committed": 5, "signal": None}
    [one] = sessions_of([start("10:00:00.000", 5), stop])
    assert (one.runs, one.per_hour) == (0, None)
