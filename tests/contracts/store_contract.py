"""What every store promises, whatever it is made of: inherit `StoreContract` and say how one is opened."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, Self

import numpy as np
import pytest

from airbench_var.errors import StorageError, StoreRefusedError, UsageError
from airbench_var.seeds import Seeds
from airbench_var.store import Block, Outcome
from airbench_var.store.records import Bytes, Records, RunIds
from tests.store.fake_campaign import (
    IDENTITY,
    LABELS,
    PROVENANCE,
    SIZES,
    failure,
    outcome,
    predictions_of,
    with_other_predictions,
    with_other_seeds,
)


class Reader(Protocol):
    """The reading side: what analyses are computed from."""

    capacity: int

    @property
    def test_sets(self) -> tuple[str, ...]: ...
    def refresh(self) -> None: ...
    def labels(self, test_set: str) -> Bytes: ...
    def records(self, run_ids: Iterable[int] | RunIds | None = None) -> Records: ...
    def committed_ids(self) -> RunIds: ...
    def failed_ids(self) -> RunIds: ...
    def payload(self, run_id: int) -> list[Bytes]: ...
    def correct_RN(self, test_set: str, run_ids: Iterable[int] | RunIds | None = None) -> Bytes: ...
    def blocks(
        self, test_set: str, run_ids: Iterable[int] | RunIds | None = None, rows_per_block: int = 256,
        column: str = "correct",
    ) -> Iterable[Block]: ...  # fmt: skip


class Writer(Protocol):
    """The writing side: one at a time, closed by leaving its context."""

    @property
    def store(self) -> Reader: ...
    @property
    def capacity(self) -> int: ...
    @property
    def committed_count(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: Any) -> None: ...
    def close(self) -> None: ...
    def committed_ids(self) -> list[int]: ...
    def open_ids(self, n_runs: int) -> list[int]: ...
    def failed_ids(self, n_runs: int) -> list[int]: ...
    def ensure_capacity(self, capacity: int) -> None: ...
    def commit(self, outcomes: Sequence[Outcome]) -> None: ...
    def event(self, kind: str, **fields: Any) -> None: ...


class Place(Protocol):
    """Where one store is or will be; the two ways to open it."""

    def writer(self, *, identity: Mapping[str, Any], labels: Mapping[str, Bytes],
               provenance: Mapping[str, Any], capacity: int) -> Writer: ...  # fmt: skip
    def reader(self) -> Reader: ...


class StoreContract(ABC):
    """The tests; a subclass named Test... has a fixture `place` that gives a fresh Place."""

    @pytest.fixture
    @abstractmethod
    def place(self) -> Place:
        """Return where there is no store yet."""

    @staticmethod
    def open(place: Place, capacity: int, **changes: Any) -> Writer:
        options = {"identity": IDENTITY, "labels": LABELS, "provenance": PROVENANCE, "capacity": capacity}
        return place.writer(**(options | changes))

    def test_a_new_store_has_only_work_to_do(self, place: Place) -> None:
        with self.open(place, 3) as writer:
            assert (writer.capacity, writer.committed_count) == (3, 0)
            assert (writer.open_ids(3), writer.open_ids(0), writer.failed_ids(3)) == ([0, 1, 2], [], [])
        reader = place.reader()
        assert (reader.capacity, reader.test_sets) == (3, tuple(SIZES))
        assert (reader.committed_ids().tolist(), reader.failed_ids().tolist()) == ([], [])
        for name, labels_N in LABELS.items():
            np.testing.assert_array_equal(reader.labels(name), labels_N)
            assert reader.correct_RN(name).shape == (0, len(labels_N))

    def test_what_is_committed_is_read_back(self, place: Place) -> None:
        with self.open(place, 6) as writer:
            writer.commit([outcome(4, attempt=2, worker=9), outcome(0), failure(3)])
            writer.commit([outcome(2)])
            assert writer.committed_ids() == [0, 2, 4]
            assert (writer.open_ids(6), writer.failed_ids(6)) == ([1, 5], [3])
        reader = place.reader()
        assert (reader.committed_ids().tolist(), reader.failed_ids().tolist()) == ([0, 2, 4], [3])
        assert reader.records()["state"].tolist() == [1, 0, 1, 2, 1, 0]
        [record] = reader.records([4])
        seeds = outcome(4).spec.seeds
        assert (record["run_id"], record["attempt"], record["worker"], record["loss"]) == (4, 2, 9, 0.1)
        assert tuple(record[["init_seed", "order_seed", "aug_seed"]]) == (seeds.init, seeds.order, seeds.aug)
        for name, labels_N in LABELS.items():
            expected = np.stack([predictions_of(run_id)[name].predicted for run_id in (0, 2, 4)])
            np.testing.assert_array_equal(reader.correct_RN(name), expected == labels_N)
            np.testing.assert_array_equal(reader.correct_RN(name, [4]), expected[2:] == labels_N)
            blocks = list(reader.blocks(name, [4, 0], rows_per_block=1, column="predicted"))
            assert [block.run_ids.tolist() for block in blocks] == [[4], [0]]
            np.testing.assert_array_equal(blocks[0].rows_Rb[0], expected[2])

    def test_a_reader_sees_what_is_committed_later(self, place: Place) -> None:
        with self.open(place, 3) as writer:
            reader = place.reader()
            writer.commit([outcome(1)])
            assert reader.committed_ids().tolist() == [1]
            writer.ensure_capacity(5)
            writer.commit([outcome(4)])
            assert reader.committed_ids().tolist() == [1]  # as far as it knew
            reader.refresh()
            assert reader.committed_ids().tolist() == [1, 4]

    def test_resuming_finds_what_is_there(self, place: Place) -> None:
        with self.open(place, 4) as writer:
            writer.commit([outcome(3), failure(0)])
        with self.open(place, 6) as writer:
            assert (writer.capacity, writer.committed_ids()) == (6, [3])
            assert (writer.open_ids(6), writer.failed_ids(6)) == ([1, 2, 4, 5], [0])
            writer.commit([outcome(5)])
        with self.open(place, 2) as writer:  # the capacity never shrinks
            assert (writer.capacity, writer.committed_ids()) == (6, [3, 5])

    def test_a_run_that_comes_twice_counts_once(self, place: Place) -> None:
        with self.open(place, 3) as writer:
            writer.commit([outcome(1), outcome(1, worker=5)])
            writer.commit([outcome(1, attempt=2, worker=7), outcome(0)])
            assert writer.committed_ids() == [0, 1]
            assert writer.store.records()["worker"].tolist() == [0, 0, 0]

    def test_a_result_replaces_a_failure_and_never_the_other_way_round(self, place: Place) -> None:
        with self.open(place, 4) as writer:
            writer.commit([failure(0), failure(1), outcome(2), failure(2)])
            writer.commit([outcome(0), failure(1)])
            writer.commit([failure(0)])
            assert (writer.committed_ids(), writer.failed_ids(4)) == ([0, 2], [1])

    @pytest.mark.parametrize("change", [with_other_predictions, with_other_seeds])
    @pytest.mark.parametrize("same_batch", [True, False])
    def test_a_run_that_comes_twice_and_differs_is_refused(
        self, place: Place, change: Any, same_batch: bool
    ) -> None:
        with self.open(place, 3) as writer:
            if not same_batch:
                writer.commit([outcome(1)])
            batch = [outcome(1), change(1)] if same_batch else [outcome(2), change(1)]
            with pytest.raises(StoreRefusedError, match="run 1 is committed with other predictions or seeds"):
                writer.commit(batch)
            assert writer.committed_ids() == ([] if same_batch else [1])  # nothing of the batch was taken
            writer.commit([outcome(2)])  # the writer goes on
            assert writer.store.committed_ids()[-1] == 2

    @pytest.mark.parametrize("run_id", [-1, 3, 2**40])
    def test_an_unknown_run_is_refused(self, place: Place, run_id: int) -> None:
        unknown = replace(
            outcome(0), spec=replace(outcome(0).spec, run_id=run_id, seeds=Seeds(init=1, order=2, aug=3))
        )
        with self.open(place, 3) as writer:
            with pytest.raises(StoreRefusedError, match=f"there is no run {run_id}; the store has room for"):
                writer.commit([outcome(0), unknown])
            assert writer.open_ids(3) == [0, 1, 2]
            with pytest.raises(StoreRefusedError, match="there is no run 3"):
                writer.open_ids(4)

    def test_a_row_that_does_not_fit_is_refused_with_its_batch(self, place: Place) -> None:
        given = outcome(1)
        assert given.result is not None
        misfit = replace(
            given, result=replace(given.result, predictions={"alpha": predictions_of(1)["alpha"]})
        )
        with self.open(place, 3) as writer:
            with pytest.raises(StoreRefusedError, match="run 1 does not fit the store"):
                writer.commit([outcome(0), misfit])
            assert writer.committed_ids() == []

    def test_another_campaign_is_refused(self, place: Place) -> None:
        with self.open(place, 3) as writer:
            writer.commit([outcome(1)])
        for changes in (
            {"seed": 2},
            {"columns": ["correct"]},
            {"test_sets": IDENTITY["test_sets"][:1]},
            {"recipe": {"name": "fake", "epochs": 9.0}},
        ):
            with pytest.raises(StoreRefusedError, match="is the store of another campaign"):
                self.open(place, 3, identity=IDENTITY | changes)
        with self.open(place, 3, identity=json.loads(json.dumps(IDENTITY))) as writer:
            assert writer.committed_ids() == [1]

    def test_other_provenance_is_no_other_campaign(self, place: Place) -> None:
        self.open(place, 3).close()
        self.open(place, 3, provenance={"device": "another"}).close()

    def test_a_second_writer_is_refused_until_the_first_has_left(self, place: Place) -> None:
        with self.open(place, 3) as first:
            with pytest.raises(StoreRefusedError, match="another campaign is writing"):
                self.open(place, 3)
            first.commit([outcome(0)])
        with self.open(place, 3) as second:
            assert second.committed_ids() == [0]

    def test_a_closed_writer_takes_nothing(self, place: Place) -> None:
        with self.open(place, 3) as writer:
            writer.commit([outcome(0)])
        writer.close()
        for step in (
            lambda: writer.commit([outcome(1)]),
            lambda: writer.ensure_capacity(9),
            lambda: writer.event("late"),
        ):
            with pytest.raises(StorageError, match="the writer is closed"):
                step()
        assert place.reader().committed_ids().tolist() == [0]

    @pytest.mark.parametrize("capacity", [-1, 0, 10**22])
    def test_an_impossible_number_of_runs_is_refused(self, place: Place, capacity: int) -> None:
        with pytest.raises(UsageError, match=f"room for 1 to 1,000,000,000,000 runs, not {capacity}"):
            self.open(place, capacity)

    def test_a_wrong_question_is_answered(self, place: Place) -> None:
        with self.open(place, 4) as writer:
            writer.commit([outcome(1), failure(2)])
        reader = place.reader()
        with pytest.raises(UsageError, match="has no test set 'gamma'; it has alpha, beta-tta"):
            reader.labels("gamma")
        for run_id in (0, 2):
            with pytest.raises(UsageError, match=f"run {run_id} is not committed"):
                reader.payload(run_id)
        for outside in (-1, 4):
            with pytest.raises(UsageError, match=f"has no run {outside}: its run ids end at 3"):
                reader.records([outside])

    def test_what_was_read_is_the_readers_own(self, place: Place) -> None:
        with self.open(place, 2) as writer:
            writer.commit([outcome(0)])
        reader = place.reader()
        reader.records()["state"] = 0
        reader.payload(0)[0][:] = 0
        assert reader.committed_ids().tolist() == [0]
        assert reader.payload(0)[0].any()
