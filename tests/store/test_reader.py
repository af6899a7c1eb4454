"""What a reader vouches for, and what it says of damage."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from airbench_var.errors import StoreDamagedError, UsageError
from airbench_var.store import Manifest, Store, damage
from airbench_var.store.npy import encode_header
from airbench_var.store.records import open_records

from .fake_campaign import (
    IDENTITY,
    LABELS,
    MATRICES,
    failure,
    open_writer,
    outcome,
    overwrite,
    predictions_of,
)

N_RUNS = 3
FILES = ("runs.npy", "alpha/labels.npy", "beta-tta/labels.npy", *MATRICES)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with open_writer(tmp_path, N_RUNS) as writer:
        writer.commit([outcome(run_id) for run_id in range(N_RUNS)])
    return tmp_path


@pytest.fixture
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second look at a damaged row comes at once: these tests look thousands of times."""
    monkeypatch.setattr(damage, "RECHECK_S", 0)


def read_all(path: Path) -> None:
    store = Store.open(path)
    assert store.committed_ids().tolist() == list(range(N_RUNS))
    for run_id in range(N_RUNS):
        store.payload(run_id)


def test_what_a_store_says_of_itself(path: Path) -> None:
    store = Store.open(str(path))
    assert store.test_sets == ("alpha", "beta-tta")
    assert store.capacity == N_RUNS
    assert store.manifest.identity["recipe"] == IDENTITY["recipe"]
    assert store.runs["diverged"].tolist() == [0, 0, 1]
    np.testing.assert_array_equal(store.labels("alpha"), LABELS["alpha"])
    np.testing.assert_array_equal(store.predicted("alpha")[2], predictions_of(2)["alpha"].predicted)


def test_nothing_can_be_written_through_a_reader(path: Path) -> None:
    store = Store.open(path)
    for array in (store.runs, store.labels("alpha"), store.correct_packed("alpha"), store.predicted("alpha")):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize("rows_per_block", [1, 2, 256])
def test_blocks_yield_the_committed_rows_in_the_order_asked_for(path: Path, rows_per_block: int) -> None:
    store = Store.open(path)
    blocks = list(store.blocks("beta-tta", [2, 0, 1], rows_per_block, column="predicted"))
    assert [len(block.run_ids) for block in blocks] == {1: [1, 1, 1], 2: [2, 1], 256: [3]}[rows_per_block]
    assert np.concatenate([block.run_ids for block in blocks]).tolist() == [2, 0, 1]
    assert np.concatenate([block.records for block in blocks])["run_id"].tolist() == [2, 0, 1]
    expected = [predictions_of(run_id)["beta-tta"].predicted for run_id in (2, 0, 1)]
    np.testing.assert_array_equal(np.concatenate([block.rows_Rb for block in blocks]), expected)


def test_correctness_is_unpacked_for_committed_runs(tmp_path: Path) -> None:
    with open_writer(tmp_path, 4) as writer:
        store = writer.store
        assert store.correct_RN("alpha").shape == (0, 13)
        writer.commit([outcome(3), failure(0), outcome(1)])
        expected = [predictions_of(run_id)["alpha"].predicted == LABELS["alpha"] for run_id in (1, 3)]
        np.testing.assert_array_equal(store.correct_RN("alpha"), expected)
        np.testing.assert_array_equal(store.correct_RN("alpha", [3]), expected[1:])


def test_a_wrong_question_is_answered(tmp_path: Path) -> None:
    with open_writer(tmp_path, 4, identity=IDENTITY | {"columns": ["correct"]}) as writer:
        writer.commit([outcome(1), failure(2)])
    store = Store.open(tmp_path)
    with pytest.raises(UsageError, match="has no test set 'gamma'; it has alpha, beta-tta"):
        store.labels("gamma")
    with pytest.raises(UsageError, match="was made without the column 'predicted'"):
        store.predicted("alpha")
    with pytest.raises(UsageError, match="run 2 is not committed"):
        store.payload(2)
    for outside in (-1, 4):
        with pytest.raises(UsageError, match=f"has no run {outside}: its run ids end at 3"):
            store.records([1, outside])
    with pytest.raises(UsageError, match="there is no such store"):
        Store.open(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    "no_ids", [np.array([True, False, True]), [True, False], [0.9, 1.7], [[0], [1]], np.array(1), ["1"]]
)
def test_what_are_no_run_ids(path: Path, no_ids: list[int]) -> None:
    store = Store.open(path)
    for ask in (store.records, partial(store.view, "alpha"), partial(store.correct_RN, "alpha")):
        with pytest.raises(UsageError, match=r"run ids are integers \(R,\).*numpy\.flatnonzero\(mask\)"):
            ask(no_ids)


def test_run_ids_of_any_width_are_copied(path: Path) -> None:
    store, ids = Store.open(path), np.array([2, 0])
    view = store.view("alpha", ids)
    ids[:] = 1
    assert view.run_ids_R.tolist() == [2, 0]
    assert len(store.records([])) == 0
    for dtype in (np.uint8, np.uint64):
        assert store.records(np.array([2], dtype))["run_id"].tolist() == [2]


@pytest.mark.usefixtures("_no_pause")
@pytest.mark.parametrize("file", FILES)
def test_a_flipped_bit_anywhere_is_detected_and_its_file_named(path: Path, file: str) -> None:
    whole = (path / file).read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        overwrite(path / file, damaged)
        with pytest.raises(StoreDamagedError) as error:
            read_all(path)
        # A header that promises fewer rows than it had is found by comparison with the other files.
        assert str(error.value).startswith((f"{path / file}: ", f"{path / 'runs.npy'}: "))
    overwrite(path / file, whole)
    read_all(path)


@pytest.mark.usefixtures("_no_pause")
def test_every_bit_of_a_record_is_vouched_for(path: Path) -> None:
    store = Store.open(path)
    whole = (path / "runs.npy").read_bytes()
    size = (len(whole) - 512) // N_RUNS
    for bit in range(8 * size):
        damaged = bytearray(whole)
        damaged[512 + size + bit // 8] ^= 1 << bit % 8
        overwrite(path / "runs.npy", damaged)
        with pytest.raises(StoreDamagedError, match=r"runs\.npy: run 1 is not what was committed"):
            store.committed_ids()


@pytest.mark.parametrize("file", MATRICES)
def test_the_file_and_the_run_of_a_damaged_row_are_named(path: Path, file: str) -> None:
    array = np.load(path / file, mmap_mode="r+")
    array[1, -1] ^= 1
    array.flush()
    store = Store.open(path)
    assert store.committed_ids().tolist() == [0, 1, 2]
    with pytest.raises(StoreDamagedError, match=f"{file}: run 1 is not what was committed"):
        store.payload(1)
    test_set, column = file.removesuffix(".npy").split("/")
    blocks = store.blocks(test_set, rows_per_block=1, column=column)
    assert next(blocks).run_ids.tolist() == [0]
    with pytest.raises(StoreDamagedError, match=f"{file}: run 1"):
        next(blocks)


def test_a_row_in_the_place_of_another_is_detected(path: Path) -> None:
    for file in ("runs.npy", *MATRICES):
        array = np.load(path / file, mmap_mode="r+")
        array[0] = array[1]
        array.flush()
    with pytest.raises(StoreDamagedError, match=r"runs\.npy: run 0"):
        Store.open(path).committed_ids()


def test_a_row_of_another_store_is_detected(path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    with open_writer(other, N_RUNS) as writer:
        writer.commit([outcome(run_id) for run_id in range(N_RUNS)])
    (path / "runs.npy").write_bytes((other / "runs.npy").read_bytes())
    with pytest.raises(StoreDamagedError, match=r"runs\.npy: run 0"):
        Store.open(path).committed_ids()


@pytest.mark.parametrize("file", FILES)
def test_a_short_missing_or_empty_file_is_named(path: Path, file: str) -> None:
    whole = (path / file).read_bytes()
    for length in (0, 1, 511, 512, 513, len(whole) - 1):
        (path / file).write_bytes(whole[:length])
        with pytest.raises(StoreDamagedError, match=f"{file}: "):
            Store.open(path)
    (path / file).unlink()
    with pytest.raises(StoreDamagedError, match=f"{file}: the file is missing"):
        Store.open(path)


@pytest.mark.parametrize("file", MATRICES)
def test_a_matrix_of_another_shape_or_dtype_is_named(path: Path, file: str) -> None:
    array = np.load(path / file)
    for other in (array.astype(np.int8), array[:, 1:], array[:-1], array[0], array.T.copy()):
        np.save(path / file, other)
        with pytest.raises(StoreDamagedError, match=f"{file}: "):
            Store.open(path)


def test_a_matrix_with_fewer_rows_than_there_are_runs_is_named(path: Path) -> None:
    short = encode_header(np.dtype("u1"), (N_RUNS - 1, 2)) + (path / "alpha/correct.npy").read_bytes()[512:-2]
    (path / "alpha/correct.npy").write_bytes(short)
    with pytest.raises(StoreDamagedError, match=r"alpha/correct\.npy: 2 rows, but runs\.npy has 3"):
        Store.open(path)


def test_records_beyond_the_header_are_damage_but_a_growth_cut_short_is_not(path: Path) -> None:
    undone = open_records(Manifest.load(path), np.array([N_RUNS, N_RUNS + 1])).tobytes()
    with (path / "runs.npy").open("ab") as file:
        file.write(undone + bytes(1000))
    read_all(path)
    with (path / "runs.npy").open("ab") as file:
        file.write(b"\1")
    with pytest.raises(
        StoreDamagedError, match=r"runs\.npy: there are bytes beyond the 3 rows of its header"
    ):
        Store.open(path)


def test_a_row_that_is_whole_at_the_second_look_is_no_damage(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A commit that a reader catches halfway: it is finished during the pause.
    store = Store.open(path)
    runs = np.load(path / "runs.npy", mmap_mode="r+")
    whole = runs[1].copy()
    runs[1]["crc"] = 0

    def finish_the_commit(_: float) -> None:
        runs[1] = whole

    monkeypatch.setattr(damage.time, "sleep", finish_the_commit)
    assert store.committed_ids().tolist() == [0, 1, 2]
