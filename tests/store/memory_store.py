"""A store in memory, for tests: the contract in its plainest form, with a dictionary for a disk."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from airbench_var.errors import StorageError, StoreRefusedError, UsageError
from airbench_var.store import COMMITTED, FAILED, OPEN, Block, Manifest, Outcome
from airbench_var.store.create import refuse_impossible
from airbench_var.store.encoding import Row, encode_outcome
from airbench_var.store.manifest import SEEDS
from airbench_var.store.records import Bytes, Records, RunIds, open_records


class MemoryPlace:
    """Where one store is, once a writer has made it."""

    def __init__(self) -> None:
        self.manifest: Manifest | None = None
        self.labels: dict[str, Bytes] = {}
        self.rows: dict[int, Row] = {}
        self.capacity = 0
        self.events: list[dict[str, Any]] = []
        self.locked = False

    def reader(self) -> "MemoryReader":
        if self.manifest is None:
            raise UsageError("there is no such store")
        return MemoryReader(self, self.manifest)

    def writer(
        self,
        *,
        identity: Mapping[str, Any],
        labels: Mapping[str, Bytes],
        provenance: Mapping[str, Any],
        capacity: int,
    ) -> "MemoryWriter":
        wanted = Manifest.new(identity, provenance)
        refuse_impossible(wanted, labels, capacity)
        if self.manifest is None:
            self.manifest, self.labels = wanted, {name: labels[name].copy() for name in labels}
        self.manifest.refuse_other_identity(Path("memory"), identity)
        if self.locked:
            raise StoreRefusedError("another campaign is writing")
        self.locked = True
        self.capacity = max(self.capacity, capacity)
        return MemoryWriter(self, self.manifest)


class MemoryReader:
    """Looks at a MemoryPlace; what it hands out are copies."""

    def __init__(self, place: MemoryPlace, manifest: Manifest) -> None:
        self._place, self.manifest = place, manifest
        self.refresh()

    @property
    def test_sets(self) -> tuple[str, ...]:
        return tuple(test_set.name for test_set in self.manifest.test_sets)

    def refresh(self) -> None:
        self.capacity = self._place.capacity

    def labels(self, test_set: str) -> Bytes:
        self._column(test_set, "correct")
        return self._place.labels[test_set]

    def records(self, run_ids: Iterable[int] | RunIds | None = None) -> Records:
        ids = self._known(range(self.capacity) if run_ids is None else run_ids)
        records = open_records(self.manifest, np.array(ids, np.int64))
        for i, run_id in enumerate(ids):
            if run_id in self._place.rows:
                records[i] = self._place.rows[run_id].record
        return records

    def committed_ids(self) -> RunIds:
        return np.flatnonzero(self.records()["state"] == COMMITTED)

    def failed_ids(self) -> RunIds:
        return np.flatnonzero(self.records()["state"] == FAILED)

    def payload(self, run_id: int) -> list[Bytes]:
        self._committed([run_id])
        return [row.copy() for row in self._place.rows[run_id].payload]

    def blocks(
        self,
        test_set: str,
        run_ids: Iterable[int] | RunIds | None = None,
        rows_per_block: int = 256,
        column: str = "correct",
    ) -> Iterator[Block]:
        at = self._column(test_set, column)
        ids = self._committed(self.committed_ids() if run_ids is None else run_ids)
        for start in range(0, len(ids), rows_per_block):
            batch = ids[start : start + rows_per_block]
            rows = np.stack([self._place.rows[run_id].payload[at] for run_id in batch])
            yield Block(np.array(batch), self.records(batch), rows)

    def correct_RN(self, test_set: str, run_ids: Iterable[int] | RunIds | None = None) -> Bytes:
        n = len(self.labels(test_set))
        rows = [block.rows_Rb for block in self.blocks(test_set, run_ids)]
        packed = np.concatenate(rows) if rows else np.zeros((0, (n + 7) // 8), np.uint8)
        return np.unpackbits(packed, axis=1, count=n, bitorder="little")

    def _column(self, test_set: str, column: str) -> int:
        if test_set not in self.test_sets:
            raise UsageError(f"memory has no test set {test_set!r}; it has {', '.join(self.test_sets)}.")
        return [(m.test_set, m.column) for m in self.manifest.matrices].index((test_set, column))

    def _known(self, run_ids: Iterable[int] | RunIds) -> list[int]:
        ids = [int(run_id) for run_id in run_ids]
        for run_id in ids:
            if not 0 <= run_id < self.capacity:
                raise UsageError(f"memory has no run {run_id}: its run ids end at {self.capacity - 1}.")
        return ids

    def _committed(self, run_ids: Iterable[int] | RunIds) -> list[int]:
        ids = self._known(run_ids)
        for run_id in ids:
            if run_id not in self._place.rows or self._place.rows[run_id].record["state"] != COMMITTED:
                raise UsageError(f"memory: run {run_id} is not committed.")
        return ids


class MemoryWriter:
    """The one writer of a MemoryPlace."""

    def __init__(self, place: MemoryPlace, manifest: Manifest) -> None:
        self._place, self.manifest, self._closed = place, manifest, False

    @property
    def store(self) -> MemoryReader:
        return self._place.reader()

    @property
    def capacity(self) -> int:
        return self._place.capacity

    @property
    def committed_count(self) -> int:
        return len(self.committed_ids())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._place.locked = False

    def committed_ids(self) -> list[int]:
        return self._ids(self.capacity, COMMITTED)

    def open_ids(self, n_runs: int) -> list[int]:
        return self._ids(n_runs, OPEN)

    def failed_ids(self, n_runs: int) -> list[int]:
        return self._ids(n_runs, FAILED)

    def ensure_capacity(self, capacity: int) -> None:
        self._refuse_closed()
        self._place.capacity = max(capacity, self._place.capacity)

    def commit(self, outcomes: Sequence[Outcome]) -> None:
        self._refuse_closed()
        for outcome in outcomes:
            self._refuse_unknown(outcome.spec.run_id)
        rows = dict(self._place.rows)
        for outcome in outcomes:
            row = encode_outcome(self.manifest, self._place.labels, outcome)
            old = rows.get(row.run_id)
            if old is None or (old.record["state"] == FAILED and row.record["state"] == COMMITTED):
                rows[row.run_id] = row
            elif row.record["state"] == COMMITTED and _differ(old, row):
                raise StoreRefusedError(
                    f"memory: run {row.run_id} is committed with other predictions or seeds"
                )
        self._place.rows = rows

    def event(self, kind: str, **fields: Any) -> None:
        self._refuse_closed()
        self._place.events.append({"kind": kind, **fields})

    def _ids(self, n_runs: int, state: int) -> list[int]:
        if n_runs:
            self._refuse_unknown(n_runs - 1)
        return np.flatnonzero(self.store.records(range(n_runs))["state"] == state).tolist()

    def _refuse_unknown(self, run_id: int) -> None:
        if not 0 <= run_id < self.capacity:
            raise StoreRefusedError(
                f"there is no run {run_id}; the store has room for runs 0 to {self.capacity - 1}"
            )

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StorageError("the writer is closed")


def _differ(old: Row, new: Row) -> bool:
    same = all(map(np.array_equal, old.payload, new.payload))
    return not same or any(old.record[seed] != new.record[seed] for seed in SEEDS)
