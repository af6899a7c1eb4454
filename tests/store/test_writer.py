import json
import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from airbench_var.errors import StoreDamagedError
from airbench_var.store import Outcome, Predictions, Store, describe_test_set, verify

from .fake_campaign import (
    CLASSES,
    IDENTITY,
    MATRICES,
    failure,
    matrix_bytes,
    open_writer,
    outcome,
    overwrite,
    predictions_of,
    run_campaign,
)

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")


def test_the_capacity_grows_and_never_shrinks(tmp_path: Path) -> None:
    run_campaign(tmp_path, 3)
    old_reader = Store.open(tmp_path)
    old_map = old_reader.runs
    with open_writer(tmp_path, 7) as writer:
        assert writer.capacity == 7
        assert writer.open_ids(7) == [3, 4, 5, 6]
        writer.commit([outcome(6)])
        writer.ensure_capacity(5)
        assert writer.capacity == 7
    with open_writer(tmp_path, 2) as writer:
        assert writer.capacity == 7
    assert old_map["run_id"].tolist() == [0, 1, 2]  # a map of before the growth still reads
    assert old_reader.committed_ids().tolist() == [0, 1, 2]
    old_reader.refresh()
    assert old_reader.committed_ids().tolist() == [0, 1, 2, 6]


def test_a_store_that_grew_equals_one_made_large(tmp_path: Path) -> None:
    for n_runs in (1, 4, 9):
        run_campaign(tmp_path / "grown", n_runs)
    run_campaign(tmp_path / "large", 9)
    assert matrix_bytes(tmp_path / "grown") == matrix_bytes(tmp_path / "large")


def test_a_failed_run_leaves_zeros(tmp_path: Path) -> None:
    # As after a kill between payload and record, followed by a failure for good.
    open_writer(tmp_path / "store", 1).close()
    no_record_yet = (tmp_path / "store" / "runs.npy").read_bytes()
    run_campaign(tmp_path / "store", 1)
    overwrite(tmp_path / "store" / "runs.npy", no_record_yet)
    with open_writer(tmp_path / "store", 1) as writer:
        writer.commit([failure(0)])
        assert not writer.store.predicted("beta-tta").any()
        assert not writer.store.correct_packed("alpha").any()
        assert np.isnan(writer.store.runs["loss"][0])


def test_a_damaged_record_is_no_open_work(tmp_path: Path) -> None:
    run_campaign(tmp_path, 3)
    runs = np.load(tmp_path / "runs.npy", mmap_mode="r+")
    runs["state"][1] = 0
    runs.flush()
    before = matrix_bytes(tmp_path, ["runs.npy", *MATRICES])
    with pytest.raises(StoreDamagedError, match=r"runs\.npy: run 1"):
        open_writer(tmp_path, 3)
    assert matrix_bytes(tmp_path, before) == before


def test_a_duplicate_of_a_damaged_row_does_not_count_as_equal(tmp_path: Path) -> None:
    run_campaign(tmp_path, 3)
    predicted = np.load(tmp_path / "alpha" / "predicted.npy", mmap_mode="r+")
    predicted[1, 0] ^= 1
    predicted.flush()
    with (
        open_writer(tmp_path, 3) as writer,
        pytest.raises(StoreDamagedError, match=r"alpha/predicted\.npy: run 1"),
    ):
        writer.commit([outcome(1)])


def test_one_column_is_enough(tmp_path: Path) -> None:
    with open_writer(tmp_path, 2, identity=IDENTITY | {"columns": ["correct"]}) as writer:
        writer.commit([outcome(1)])
    assert not (tmp_path / "alpha" / "predicted.npy").exists()
    store = Store.open(tmp_path)
    np.testing.assert_array_equal(store.correct_packed("alpha")[1], predictions_of(1)["alpha"].correct)


def test_events_are_one_line_each(tmp_path: Path) -> None:
    with open_writer(tmp_path, 2) as writer:
        writer.event("start", runs=2)
        writer.event("failed", run_id=1, why="ünknown\nreason")
    start, failed = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert (start["kind"], start["runs"]) == ("start", 2)
    assert (failed["run_id"], failed["why"]) == (1, "ünknown\nreason")
    assert datetime.fromisoformat(start["time"]) <= datetime.fromisoformat(failed["time"])


def test_offsets_beyond_four_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Sparse files instead of reserved space.
    monkeypatch.setattr(os, "posix_fallocate", lambda fd, offset, length: os.ftruncate(fd, offset + length))
    n = 10_000_000
    labels_N = np.zeros(n, np.uint8)
    identity = IDENTITY | {"test_sets": [describe_test_set("huge", labels_N, CLASSES)]}
    last = 2**32 // n + 1

    def huge(run_id: int) -> Outcome:
        predicted_N = np.random.default_rng(run_id).integers(0, len(CLASSES), n, np.uint8)
        correct = np.packbits(predicted_N == labels_N, bitorder="little")
        given = outcome(run_id)
        assert given.result is not None
        predictions = {"huge": Predictions(correct=correct, predicted=predicted_N)}
        return replace(given, result=replace(given.result, predictions=predictions))

    with open_writer(tmp_path, last + 1, identity=identity, labels={"huge": labels_N}) as writer:
        writer.commit([huge(0), huge(last)])
    predicted = np.load(tmp_path / "huge" / "predicted.npy", mmap_mode="r")
    assert predicted.offset + last * n > 2**32
    for run_id in (0, last):
        result = huge(run_id).result
        assert result is not None
        np.testing.assert_array_equal(predicted[run_id], result.predictions["huge"].predicted)
    assert verify(tmp_path).faults == ()
