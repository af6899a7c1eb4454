"""The format, read by a reader that was written from store/README.md alone."""

import hashlib
import json
import os
import uuid
import zlib
from pathlib import Path

import numpy as np
import pytest

from airbench_var.store import Store, verify

from .fake_campaign import CLASSES, LABELS, MATRICES, SIZES, failure, open_writer, outcome, predictions_of


def read_with_numpy_alone(store: Path) -> tuple[list[int], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return committed ids, and for each test set the correct (R, N) and predicted (R, N) arrays."""
    manifest = json.loads((store / "manifest.json").read_text())
    digest = manifest.pop("sha256")
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(canonical.encode()).hexdigest() == digest
    assert (manifest["format"], manifest["format_version"]) == ("airbench_var store", 1)
    test_sets, columns = manifest["identity"]["test_sets"], manifest["identity"]["columns"]

    runs = np.load(store / "runs.npy", mmap_mode="r")
    committed = [int(row) for row in np.flatnonzero(runs["state"] == 1)]
    for row in committed:
        record = runs[row : row + 1].copy()
        record["crc"] = 0
        crc = zlib.crc32(uuid.UUID(manifest["uuid"]).bytes + record.tobytes())
        assert (int(runs["crc"][row]), int(runs["run_id"][row])) == (crc, row)

    correct, predicted = {}, {}
    for t, test_set in enumerate(test_sets):
        folder, n = store / test_set["name"], test_set["n"]
        labels = np.load(folder / "labels.npy", mmap_mode="r")
        assert hashlib.sha256(labels.tobytes()).hexdigest() == test_set["labels_sha256"]
        rows = {}
        for m, column in enumerate(columns):
            matrix = np.load(folder / f"{column}.npy", mmap_mode="r")
            rows[column] = np.array([matrix[row] for row in committed], np.uint8).reshape(-1, matrix.shape[1])
            crcs = [zlib.crc32(row.tobytes()) for row in rows[column]]
            assert crcs == runs["payload_crc"][committed, t, m].tolist()
        correct[test_set["name"]] = np.unpackbits(rows["correct"], axis=1, count=n, bitorder="little")
        predicted[test_set["name"]] = rows["predicted"]
        assert correct[test_set["name"]].sum(axis=1).tolist() == runs["correct"][committed, t].tolist()
    return committed, correct, predicted


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    with open_writer(path, 6) as writer:
        writer.commit([outcome(4, attempt=2, worker=9), outcome(0), failure(3), outcome(2)])
    return path


def test_what_was_committed_is_read_back_by_numpy_alone(store: Path) -> None:
    committed, correct, predicted = read_with_numpy_alone(store)
    assert committed == [0, 2, 4]
    for name, labels in LABELS.items():
        expected = np.stack([predictions_of(run_id)[name].predicted for run_id in committed])
        np.testing.assert_array_equal(predicted[name], expected)
        np.testing.assert_array_equal(correct[name], expected == labels)


def test_shapes_dtypes_and_the_state_field_are_the_published_ones(store: Path) -> None:
    runs = np.load(store / "runs.npy", mmap_mode="r")
    assert runs.shape == (6,)
    assert runs["state"].dtype == np.uint8
    assert runs["state"].tolist() == [1, 0, 1, 2, 1, 0]
    assert runs["correct"].dtype == np.uint32
    for name, n in SIZES.items():
        correct = np.load(store / name / "correct.npy", mmap_mode="r")
        predicted = np.load(store / name / "predicted.npy", mmap_mode="r")
        assert (correct.shape, correct.dtype) == ((6, (n + 7) // 8), np.uint8)
        assert (predicted.shape, predicted.dtype) == ((6, n), np.uint8)
        assert not np.unpackbits(correct, axis=1, bitorder="little")[:, n:].any()


def test_a_record_holds_what_the_run_said(store: Path) -> None:
    record = np.load(store / "runs.npy", mmap_mode="r")[4]
    seeds = outcome(4).spec.seeds
    assert (record["attempt"], record["worker"], record["run_id"]) == (2, 9, 4)
    assert (record["init_seed"], record["order_seed"], record["aug_seed"]) == (
        seeds.init,
        seeds.order,
        seeds.aug,
    )
    assert (record["loss"], record["train_s"], record["diverged"]) == (0.1, 1.5, 0)
    assert np.load(store / "runs.npy", mmap_mode="r")[2]["diverged"] == 1


def test_header_and_records_keep_to_disk_sectors(store: Path) -> None:
    for file in ("runs.npy", "alpha/correct.npy", "alpha/labels.npy"):
        array = np.load(store / file, mmap_mode="r")
        assert array.offset == 512
        assert (store / file).stat().st_size == 512 + array.nbytes
    assert 512 % np.load(store / "runs.npy", mmap_mode="r").itemsize == 0


def test_space_is_reserved_when_the_store_is_made(tmp_path: Path) -> None:
    open_writer(tmp_path / "store", 10_000).close()
    status = (tmp_path / "store/alpha/predicted.npy").stat()
    assert status.st_blocks * 512 >= status.st_size


def test_a_shard_takes_space_for_its_own_rows(tmp_path: Path) -> None:
    """And keeps all the promises of a store; what it does not train are holes until somebody does."""
    runs, part = 20_000, range(5, 20_000, 400)
    open_writer(tmp_path / "whole", runs).close()

    def space(matrix: str, store: str = "shard") -> int:
        return (tmp_path / store / matrix).stat().st_blocks * 512

    large = "beta-tta/predicted.npy"  # rows of 600 bytes, 50 of them the shard's, at most 2 blocks each
    with open_writer(tmp_path / "shard", runs, own=part) as writer:
        assert 50 * 600 <= space(large) <= 50 * 2 * 4096 + 4096
        assert 20 * space(large) < space(large, "whole")
        before = space(large)
        writer.commit([outcome(run_id) for run_id in part])
        os.sync()
        assert space(large) == before  # reserved to the last byte
    for file in ("runs.npy", *MATRICES):
        assert (tmp_path / "shard" / file).stat().st_size == (tmp_path / "whole" / file).stat().st_size
    assert verify(tmp_path / "shard").faults == ()
    assert Store.open(tmp_path / "shard").committed_ids().tolist() == list(part)

    with open_writer(tmp_path / "shard", runs, own=range(6, runs, 400)) as writer:  # another shard
        both = space(large)
        assert before < both <= 2 * before
        writer.commit([outcome(run_id) for run_id in range(6, runs, 400)])
        os.sync()
        assert space(large) == both
    open_writer(tmp_path / "shard", runs + 1000, own=range(5, runs + 1000, 400)).close()
    assert both <= space(large) <= both + 3 * 2 * 4096
    open_writer(tmp_path / "shard", runs + 2000).close()
    assert space(large) >= space(large, "whole")  # it grew without a shard: the space of all rows


def test_classes_have_names(store: Path) -> None:
    manifest = json.loads((store / "manifest.json").read_text())
    assert manifest["identity"]["test_sets"][0]["classes"] == list(CLASSES)
