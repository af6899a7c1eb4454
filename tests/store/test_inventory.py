import json
import os
from pathlib import Path

import pytest

from airbench_var.errors import StoreDamagedError, StoreRefusedError, UsageError
from airbench_var.store import info
from airbench_var.store.lock import LOCK, lock_holder

from .fake_campaign import failure, open_writer, outcome, run_campaign
from .test_create import everything_in
from .test_verification import change_row


def test_what_a_store_is_of_and_how_far_it_is(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with open_writer(store, 10) as writer:
        writer.commit([outcome(0), outcome(3), failure(7)])
        writer.event("start", runs=10)
        writer.event("failed", run_id=7)
        found = info(store)
        assert found.writer == os.getpid()
    assert (found.capacity, found.committed, found.failed, found.open) == (10, 2, 1, 7)
    assert found.last_event is not None
    assert (found.last_event["kind"], found.last_event["run_id"]) == ("failed", 7)
    assert found.disk_bytes >= (store / "runs.npy").stat().st_size
    before = everything_in(store)
    after = info(store)
    assert after.writer is None
    assert everything_in(store) == before
    values = json.loads(json.dumps(after.to_json()))
    assert values["identity"]["recipe"] == {"name": "fake", "epochs": 8.0}
    assert values["provenance"]["device"] == "none"


def test_a_line_that_was_cut_off_is_no_event_and_no_obstacle(tmp_path: Path) -> None:
    with open_writer(tmp_path, 2) as writer:
        assert info(tmp_path).last_event is None
        writer.event("start", runs=2)
    log = tmp_path / "events.jsonl"
    with log.open("ab") as file:
        file.write(b'{"time": "2026-')
    found = info(tmp_path).last_event
    assert found is not None
    assert found["kind"] == "start"
    with open_writer(tmp_path, 2) as writer:
        writer.event("stop")
    assert [line[:9] for line in log.read_text().splitlines()] == ['{"time": '] * 3
    found = info(tmp_path).last_event
    assert found is not None
    assert found["kind"] == "stop"


def test_a_damaged_store_is_named(tmp_path: Path) -> None:
    run_campaign(tmp_path, 3)
    change_row(tmp_path, "runs.npy", 2)
    with pytest.raises(StoreDamagedError, match=r"runs\.npy: run 2"):
        info(tmp_path)


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such store"):
        info(tmp_path / "nowhere")
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(StoreRefusedError, match="is no store"):
        info(tmp_path)


def test_a_lock_that_is_not_held_has_no_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lock_holder(tmp_path) is None
    (tmp_path / LOCK).touch()
    assert lock_holder(tmp_path) is None
    monkeypatch.setattr("airbench_var.store.lock.LOCKS", tmp_path / "nowhere")
    assert lock_holder(tmp_path) is None
