"""Random sequences of operations on a store, each compared with the store in memory."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airbench_var.errors import StoreRefusedError
from airbench_var.store import COMMITTED, Outcome, Store, StoreWriter, repair, verify
from airbench_var.store.records import record_crcs
from tests.faults import inject as faults

from .fake_campaign import (
    IDENTITY,
    LABELS,
    MATRICES,
    PROVENANCE,
    failure,
    matrix_bytes,
    open_writer,
    outcome,
    run_campaign,
    with_other_predictions,
    with_other_seeds,
)
from .memory_store import MemoryPlace, MemoryWriter

MOST_RUNS = 12
KINDS = {
    "result": outcome,
    "repeat": lambda run_id: outcome(run_id, attempt=2, worker=3),
    "failure": failure,
    "other predictions": with_other_predictions,
    "other seeds": with_other_seeds,
}

batches = st.lists(
    st.tuples(st.integers(0, MOST_RUNS), st.sampled_from([*KINDS, "result", "result"])), max_size=6
)


class ProcessEnds(BaseException):
    """Raised by a system call in place of a kill."""


def process_ends(*_: object) -> None:
    raise ProcessEnds


class StoreMachine(RuleBasedStateMachine):
    """One store on disk and one in memory, which must never differ in what they show."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="store-machine-"))
        self.path, self.model = self.folder / "store", MemoryPlace()
        self.writer: StoreWriter | None = None
        self.model_writer: MemoryWriter | None = None

    @initialize(capacity=st.integers(1, MOST_RUNS))
    def create(self, capacity: int) -> None:
        self._open(capacity)

    @precondition(lambda self: self.writer is None)
    @rule(capacity=st.integers(1, MOST_RUNS))
    def resume(self, capacity: int) -> None:
        self._open(capacity)

    @precondition(lambda self: self.writer is not None)
    @rule()
    def close(self) -> None:
        assert self.writer is not None
        assert self.model_writer is not None
        self.writer.close()
        self.model_writer.close()
        self.writer = self.model_writer = None

    @precondition(lambda self: self.writer is not None)
    @rule(batch=batches)
    def commit(self, batch: list[tuple[int, str]]) -> None:
        assert self.model_writer is not None
        committed = self.model_writer.committed_ids()
        # A run has one result; another one is a defect to be refused, so it comes only where there is one.
        outcomes = [
            KINDS[kind](run_id)
            for run_id, kind in batch
            if run_id in committed or not kind.startswith("other")
        ]
        answers = []
        for writer in (self.writer, self.model_writer):
            assert writer is not None
            try:
                answers.append(writer.commit(outcomes))
            except StoreRefusedError as error:
                answers.append(type(error))
        assert answers[0] == answers[1]

    @precondition(lambda self: self.writer is not None)
    @rule(capacity=st.integers(1, MOST_RUNS))
    def grow(self, capacity: int) -> None:
        for writer in (self.writer, self.model_writer):
            assert writer is not None
            writer.ensure_capacity(capacity)

    @precondition(lambda self: self.writer is not None)
    @rule(at=st.integers(1, 30), run_ids=st.sets(st.integers(0, MOST_RUNS - 1), min_size=1, max_size=4))
    def be_killed_in_a_commit(self, at: int, run_ids: set[int]) -> None:
        assert self.writer is not None
        batch = [outcome(run_id) for run_id in run_ids if run_id < self.writer.capacity]
        try:
            with faults.counting(process_ends, at):
                self.writer.commit(batch)
        except ProcessEnds:
            self._come_back(batch)
        else:
            assert self.model_writer is not None
            self.model_writer.commit(batch)

    @precondition(lambda self: self.writer is not None)
    @rule(at=st.integers(1, 30), capacity=st.integers(1, MOST_RUNS))
    def be_killed_in_a_growth(self, at: int, capacity: int) -> None:
        assert self.writer is not None
        before = self.writer.capacity
        try:
            with faults.counting(process_ends, at):
                self.writer.ensure_capacity(capacity)
        except ProcessEnds:
            self._come_back([])
        else:
            assert self.model_writer is not None
            self.model_writer.ensure_capacity(capacity)
            assert self.writer.capacity >= before

    @precondition(lambda self: self.writer is None and len(self.model.rows) > 0)
    @rule(data=st.data())
    def be_damaged_and_repaired(self, data: st.DataObject) -> None:
        run_id = data.draw(st.sampled_from(sorted(self.model.rows)))
        committed = self.model.rows[run_id].record["state"] == COMMITTED
        file = data.draw(st.sampled_from(["runs.npy", *(MATRICES if committed else ())]))
        array = np.load(self.path / file, mmap_mode="r+")
        row = array[run_id : run_id + 1].view(np.uint8).reshape(-1)
        row[data.draw(st.integers(0, len(row) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        array.flush()
        assert [(fault.file, fault.run_id) for fault in verify(self.path).faults] == [(file, run_id)]
        assert repair(self.path).reopened == (run_id,)
        del self.model.rows[run_id]

    @invariant()
    def both_show_the_same(self) -> None:
        if self.model.manifest is None:
            return
        mine, model = Store.open(self.path), self.model.reader()
        assert mine.capacity == model.capacity
        assert mine.records().tobytes() == self._records_under_its_uuid(mine)
        for name in LABELS:
            np.testing.assert_array_equal(mine.correct_RN(name), model.correct_RN(name))
        for run_id in mine.committed_ids().tolist():
            assert all(map(np.array_equal, mine.payload(run_id), model.payload(run_id)))
        if self.writer is not None and self.model_writer is not None:
            for ids in ("open_ids", "failed_ids"):
                answers = {
                    tuple(getattr(writer, ids)(mine.capacity)) for writer in (self.writer, self.model_writer)
                }
                assert len(answers) == 1
            assert self.writer.committed_ids() == self.model_writer.committed_ids()

    def teardown(self) -> None:
        """End in order; what is finished has the bytes of a campaign without incidents."""
        if self.writer is not None:
            self.close()
        if self.model.manifest is not None:
            capacity = (
                MOST_RUNS  # a growth that was cut short and is not asked for again may leave a longer file
            )
            run_campaign(self.path, capacity)
            assert verify(self.path).faults == ()
            run_campaign(self.folder / "whole", capacity)
            assert matrix_bytes(self.path) == matrix_bytes(self.folder / "whole")
        shutil.rmtree(self.folder)

    def _open(self, capacity: int) -> None:
        self.writer = open_writer(self.path, capacity)
        self.model_writer = self.model.writer(
            identity=IDENTITY, labels=LABELS, provenance=PROVENANCE, capacity=capacity
        )

    def _come_back(self, batch: list[Outcome]) -> None:
        """Read what a killed process left: all that was acknowledged, and whole runs of its last batch."""
        assert self.writer is not None
        assert self.model_writer is not None
        self.writer.close()
        store = Store.open(self.path)
        arrived = set(store.committed_ids().tolist())
        assert set(self.model_writer.committed_ids()) <= arrived
        self.model.capacity = store.capacity
        self.model_writer.commit([outcome for outcome in batch if outcome.spec.run_id in arrived])
        assert set(self.model_writer.committed_ids()) == arrived
        self.model_writer.close()
        self.writer = self.model_writer = None

    def _records_under_its_uuid(self, store: Store) -> bytes:
        """Return the model's records as the store on disk seals them: the uuid enters every checksum."""
        records = self.model.reader().records()
        records["crc"] = record_crcs(records, store.manifest.uuid)
        return records.tobytes()
