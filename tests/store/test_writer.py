import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airbench_var.errors import StoreDamagedError, StoreRefusedError
from airbench_var.seeds import Seeds
from airbench_var.store import Outcome, Store, verify

from .fake_campaign import (
    IDENTITY,
    MATRICES,
    failure,
    matrix_bytes,
    open_writer,
    outcome,
    predictions_of,
    run_campaign,
)

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")


def test_open_ids_are_the_work_left(tmp_path: Path) -> None:
    with open_writer(tmp_path, 6) as writer:
        assert writer.open_ids(6) == [0, 1, 2, 3, 4, 5]
        writer.commit([outcome(4), failure(1), outcome(0)])
        assert writer.open_ids(6) == [2, 3, 5]
        assert writer.open_ids(3) == [2]
        assert writer.open_ids(0) == []
        assert writer.committed_count == 2
        assert writer.store.runs["attempt"].tolist() == [1, 3, 0, 0, 1, 0]
        assert writer.store.failed_ids().tolist() == [1]
    with open_writer(tmp_path, 6) as writer:
        assert writer.open_ids(6) == [2, 3, 5]


def test_the_capacity_grows_and_never_shrinks(tmp_path: Path) -> None:
    run_campaign(tmp_path, 3)
    old_reader = Store.open(tmp_path)
    with open_writer(tmp_path, 7) as writer:
        assert writer.capacity == 7
        assert writer.open_ids(7) == [3, 4, 5, 6]
        writer.commit([outcome(6)])
        writer.ensure_capacity(5)
        assert writer.capacity == 7
    with open_writer(tmp_path, 2) as writer:
        assert writer.capacity == 7
    assert old_reader.committed_ids().tolist() == [0, 1, 2]  # a map of before the growth still reads
    old_reader.refresh()
    assert old_reader.committed_ids().tolist() == [0, 1, 2, 6]


def test_a_store_that_grew_equals_one_made_large(tmp_path: Path) -> None:
    for n_runs in (1, 4, 9):
        run_campaign(tmp_path / "grown", n_runs)
    run_campaign(tmp_path / "large", 9)
    assert matrix_bytes(tmp_path / "grown") == matrix_bytes(tmp_path / "large")


def test_a_run_that_comes_twice_is_passed_over(tmp_path: Path) -> None:
    with open_writer(tmp_path, 3) as writer:
        writer.commit([outcome(1), outcome(1, worker=5), outcome(0)])
        before = (tmp_path / "runs.npy").read_bytes()
        writer.commit([outcome(1, attempt=2, worker=7), outcome(0)])
        assert writer.committed_count == 2
    assert (tmp_path / "runs.npy").read_bytes() == before


def with_other_predictions(run_id: int) -> Outcome:
    given = outcome(run_id)
    assert given.result is not None
    return replace(given, result=replace(given.result, predictions=predictions_of(run_id + 1)))


def with_other_seeds(run_id: int) -> Outcome:
    given = outcome(run_id)
    return replace(given, spec=replace(given.spec, seeds=Seeds(init=1, order=2, aug=3)))


@pytest.mark.parametrize("change", [with_other_predictions, with_other_seeds])
@pytest.mark.parametrize("same_batch", [True, False])
def test_a_run_that_comes_twice_and_differs_is_refused(
    tmp_path: Path, change: Callable[[int], Outcome], same_batch: bool
) -> None:
    with open_writer(tmp_path, 3) as writer:
        batches = [[outcome(1), change(1)]] if same_batch else [[outcome(1)], [outcome(2), change(1)]]
        for batch in batches[:-1]:
            writer.commit(batch)
        before = matrix_bytes(tmp_path, ["runs.npy", *matrix_bytes(tmp_path)])
        with pytest.raises(StoreRefusedError, match="run 1 is committed with other predictions or seeds"):
            writer.commit(batches[-1])
        assert matrix_bytes(tmp_path, before) == before  # run 2 of the batch neither
        writer.commit([outcome(2)])  # the writer goes on


@pytest.mark.parametrize("run_id", [-1, 3, 2**40])
def test_an_unknown_run_is_refused(tmp_path: Path, run_id: int) -> None:
    with open_writer(tmp_path, 3) as writer:
        with pytest.raises(
            StoreRefusedError, match=f"there is no run {run_id}; the store has room for runs 0 to 2"
        ):
            writer.commit([outcome(0), replace(outcome(0), spec=replace(outcome(0).spec, run_id=run_id))])
        assert writer.open_ids(3) == [0, 1, 2]
        with pytest.raises(StoreRefusedError, match="there is no run 3"):
            writer.open_ids(4)


def test_a_result_replaces_a_failure_and_never_the_other_way_round(tmp_path: Path) -> None:
    with open_writer(tmp_path, 4) as writer:
        writer.commit([failure(0), failure(1), outcome(2), failure(2)])
        writer.commit([outcome(0), failure(1)])
        writer.commit([failure(0)])
        assert writer.store.committed_ids().tolist() == [0, 2]
        assert writer.store.failed_ids().tolist() == [1]
    assert verify(tmp_path).faults == ()


def test_a_failed_run_leaves_zeros(tmp_path: Path) -> None:
    # As after a kill between payload and record, followed by a failure for good.
    run_campaign(tmp_path / "store", 1)
    runs = (tmp_path / "store" / "runs.npy").read_bytes()
    (tmp_path / "store" / "runs.npy").write_bytes(runs[:512] + bytes(len(runs) - 512))
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
    last = 2**32 // 600 + 2
    with open_writer(tmp_path, last + 1) as writer:
        writer.commit([outcome(0), outcome(last)])
        for run_id in (0, last):
            writer.store.payload(run_id)
    predicted = np.load(tmp_path / "beta-tta" / "predicted.npy", mmap_mode="r")
    assert predicted.offset + last * 600 > 2**32
    np.testing.assert_array_equal(predicted[last], predictions_of(last)["beta-tta"].predicted)
    np.testing.assert_array_equal(predicted[0], predictions_of(0)["beta-tta"].predicted)


N_RUNS = 8


@st.composite
def histories(draw: st.DrawFn) -> list[list[list[int]]]:
    """Draw sessions of batches of run ids: every id at least once, in any order, some more than once.

    A negative number -1 - i says that run i failed, before or after its result.
    """
    arrivals = draw(
        st.permutations([*range(N_RUNS), *draw(st.lists(st.integers(-N_RUNS, N_RUNS - 1), max_size=6))])
    )
    cuts = sorted(draw(st.sets(st.integers(1, len(arrivals) - 1), max_size=5)))
    batches = [arrivals[start:end] for start, end in zip([0, *cuts], [*cuts, len(arrivals)], strict=True)]
    resume = draw(st.integers(0, len(batches)))
    return [batches[:resume], batches[resume:]]


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("in_order")
    run_campaign(path, N_RUNS, batch=N_RUNS)
    return matrix_bytes(path)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(histories())
def test_order_batches_repeats_and_resumes_do_not_change_the_bytes(
    in_order: dict[str, bytes], history: list[list[list[int]]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for session in history:
            with open_writer(Path(folder), N_RUNS) as writer:
                for batch in session:
                    writer.commit([outcome(i, worker=abs(i)) if i >= 0 else failure(-1 - i) for i in batch])
        assert Store.open(folder).committed_ids().tolist() == list(range(N_RUNS))
        assert matrix_bytes(Path(folder)) == in_order
