"""The event log is read as far as it is whole."""

from pathlib import Path

from airbench_var.store.events import EVENTS, EventLog, read_events


def test_lines_that_were_cut_off_are_left_out(tmp_path: Path) -> None:
    assert list(read_events(tmp_path)) == []
    for kind in ("start", "stop"):
        log = EventLog(tmp_path)
        log.append(kind, runs=3)
        log.close()
        with (tmp_path / EVENTS).open("ab") as file:
            file.write(b'{"kind": "cut o')
    assert [(event["kind"], event["runs"]) for event in read_events(tmp_path)] == [("start", 3), ("stop", 3)]
