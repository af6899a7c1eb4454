"""Read a store, without a lock, also while a campaign is writing it."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from airbench_var.errors import StoreDamagedError, StoreRefusedError, UsageError
from airbench_var.store.disk import count_rows, map_rows, only_zeros_after, storage_errors
from airbench_var.store.manifest import MANIFEST, Manifest, Matrix, describe_test_set
from airbench_var.store.records import (
    COMMITTED,
    FAILED,
    RUNS,
    Bytes,
    Records,
    damaged_records,
    payload_crcs,
    record_dtype,
)

#: A row that fails its checksum may be being committed: look once more after this pause.
RECHECK_S = 0.02

RunIds = npt.NDArray[np.int64]


class Block(NamedTuple):
    """Verified copies of some committed rows of one matrix."""

    run_ids: RunIds  #: (R,)
    records: Records  #: (R,)
    rows_Rb: Bytes  #: (R, width): packed bits, or classes


class Store:
    """A store opened for reading: memory maps, and checksums for what they hold."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest
        self._record_dtype = record_dtype(manifest)
        self._labels = {test_set.name: self._read_labels(test_set.name) for test_set in manifest.test_sets}
        self.refresh()

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a store, reading manifest, headers and labels; no row is verified yet.

        Raises: UsageError when there is none, StoreRefusedError for a newer format or another's folder,
        StoreDamagedError when a file is missing, short, or of another shape.
        """
        store = Path(path)
        with storage_errors(store, "opening"):
            try:
                store.stat()
            except (FileNotFoundError, NotADirectoryError) as error:
                raise UsageError(
                    f"{store}: there is no such store. Check the path, or train one with --out."
                ) from error
            if not (store / MANIFEST).exists():
                raise StoreRefusedError(f"{store} is no store, or one never finished: it has no {MANIFEST}.")
        return cls(store, Manifest.load(store))

    def refresh(self) -> None:
        """Map the files anew, with the rows that a writer made room for since; older maps stay valid."""
        # The writer lengthens runs.npy last, so the matrices mapped after it have at least its rows.
        self._runs = self._map_runs()
        self._matrices = {matrix: self._map(matrix) for matrix in self.manifest.matrices}

    def _map_runs(self) -> Records:
        path = self.path / RUNS
        runs = map_rows(path, self._record_dtype, ())
        if only_zeros_after(path, runs):
            return runs
        if count_rows(path, self._record_dtype, ()) > len(runs):  # it grew just now
            return self._map_runs()
        raise StoreDamagedError(
            f"{path}: there are records beyond the {len(runs)} of its header. "
            "Restore the file from a copy of the store."
        )

    def _map(self, matrix: Matrix) -> Bytes:
        path = self.path / matrix.file
        rows_Rb = map_rows(path, np.dtype(np.uint8), (matrix.width,))
        if len(rows_Rb) < self.capacity:
            raise StoreDamagedError(
                f"{path}: {len(rows_Rb)} rows, but runs.npy has {self.capacity}. "
                "Restore the file from a copy of the store."
            )
        return rows_Rb[: self.capacity]

    @property
    def capacity(self) -> int:
        """Rows there is room for: run ids 0 ... capacity - 1."""
        return len(self._runs)

    @property
    def test_sets(self) -> tuple[str, ...]:
        """The names of the test sets, in the order of the counts in `runs`."""
        return tuple(test_set.name for test_set in self.manifest.test_sets)

    @property
    def runs(self) -> Records:
        """The records (capacity,) as they are on disk, unverified; read-only."""
        return self._runs

    def correct_packed(self, test_set: str) -> Bytes:
        """Correctness bits (capacity, ceil(n/8)) as they are on disk, unverified; read-only."""
        return self._matrices[self._matrix(test_set, "correct")]

    def predicted(self, test_set: str) -> Bytes:
        """Predicted classes (capacity, n) as they are on disk, unverified; read-only.

        Raises: UsageError when the store was made without them.
        """
        return self._matrices[self._matrix(test_set, "predicted")]

    def labels(self, test_set: str) -> Bytes:
        """Labels (n,), verified when the store was opened; read-only."""
        self._matrix(test_set, "correct")
        return self._labels[test_set]

    def payload(self, run_id: int) -> list[Bytes]:
        """Return verified copies of a run's row in every matrix, in manifest order; raises as `blocks`."""
        _, matrices = self._verified_committed(np.array([run_id]), self.manifest.matrices)
        return [rows_Rb[0] for rows_Rb in matrices]

    def committed_ids(self) -> RunIds:
        """Return the ids of the committed runs, ascending, int64 (R,).

        Raises: StoreDamagedError when any record is not what was written.
        """
        return np.flatnonzero(self.verified_records()["state"] == COMMITTED)

    def failed_ids(self) -> RunIds:
        """Return the ids of the runs that failed for good, ascending; raises as `committed_ids`."""
        return np.flatnonzero(self.verified_records()["state"] == FAILED)

    def verified_records(self) -> Records:
        """Return a copy of all records (capacity,), each all zeros or sealed.

        Raises: StoreDamagedError when any is neither.
        """
        return self._verified(np.arange(self.capacity), ())[0]

    def verify_rows(self, run_ids: Iterable[int] | RunIds, rows_per_block: int = 256) -> None:
        """Check the record of these committed runs and their row in every matrix.

        Raises: StoreDamagedError that names file and run.
        """
        for ids in self._blocks_of(run_ids, rows_per_block):
            self._verified_committed(ids, self.manifest.matrices)

    def blocks(
        self,
        test_set: str,
        run_ids: Iterable[int] | RunIds | None = None,
        rows_per_block: int = 256,
        column: str = "correct",
    ) -> Iterator[Block]:
        """Yield verified copies of committed rows, by default of all of them.

        Raises: StoreDamagedError that names file and run; UsageError when a run is not committed.
        """
        matrix = self._matrix(test_set, column)
        for ids in self._blocks_of(self.committed_ids() if run_ids is None else run_ids, rows_per_block):
            records, (rows_Rb,) = self._verified_committed(ids, (matrix,))
            yield Block(ids, records, rows_Rb)

    def correct_RN(self, test_set: str, run_ids: Iterable[int] | RunIds | None = None) -> Bytes:
        """Return verified correctness as zeros and ones, uint8 (R, N); raises as `blocks`."""
        n = len(self.labels(test_set))
        blocks = [
            np.unpackbits(block.rows_Rb, axis=1, count=n, bitorder="little")
            for block in self.blocks(test_set, run_ids)
        ]
        return np.concatenate(blocks) if blocks else np.zeros((0, n), np.uint8)

    def _read_labels(self, name: str) -> Bytes:
        path = self.path / name / "labels.npy"
        [test_set] = [t for t in self.manifest.test_sets if t.name == name]
        labels_N = map_rows(path, np.dtype(np.uint8), ())
        if describe_test_set(name, labels_N, ())["labels_sha256"] != test_set.labels_sha256:
            raise StoreDamagedError(
                f"{path}: the labels are not those of the manifest: their sha256 differs. "
                "Restore the file from a copy of the store."
            )
        return labels_N

    def _matrix(self, test_set: str, column: str) -> Matrix:
        if test_set not in self.test_sets:
            raise UsageError(f"{self.path} has no test set {test_set!r}; it has {', '.join(self.test_sets)}.")
        for matrix in self.manifest.matrices:
            if (matrix.test_set, matrix.column) == (test_set, column):
                return matrix
        raise UsageError(f"{self.path} was made without the column {column!r}.")

    def _blocks_of(self, run_ids: Iterable[int] | RunIds, size: int) -> Iterator[RunIds]:
        ids = np.asarray(run_ids if isinstance(run_ids, np.ndarray) else list(run_ids), np.int64)
        outside = ids[(ids < 0) | (ids >= self.capacity)]
        if len(outside):
            raise UsageError(f"{self.path} has no run {outside[0]}: its run ids end at {self.capacity - 1}.")
        for start in range(0, len(ids), size):
            yield ids[start : start + size]

    def _verified_committed(self, ids: RunIds, matrices: Sequence[Matrix]) -> tuple[Records, list[Bytes]]:
        records, rows = self._verified(ids, matrices)
        others = ids[records["state"] != COMMITTED]
        if len(others):
            raise UsageError(f"{self.path}: run {others[0]} is not committed.")
        return records, rows

    def _verified(self, ids: RunIds, matrices: Sequence[Matrix]) -> tuple[Records, list[Bytes]]:
        """Copy rows, then check the copies, so that what was checked is what is used."""
        before = None
        while True:
            records = self._runs[ids]
            rows = [self._matrices[matrix][ids] for matrix in matrices]
            fault = self._first_fault(ids, records, matrices, rows)
            if fault is None:
                return records, rows
            if fault == before:  # another fault than before is another row being committed
                break
            before = fault
            time.sleep(RECHECK_S)
        file, run_id = fault
        raise StoreDamagedError(
            f"{self.path / file}: run {run_id} is not what was committed: its checksum differs. "
            "Nothing was computed from it. Restore the file from a copy of the store."
        )

    def _first_fault(
        self, ids: RunIds, records: Records, matrices: Sequence[Matrix], rows: Sequence[Bytes]
    ) -> tuple[str, int] | None:
        damaged = damaged_records(ids, records, self.manifest.uuid)
        if damaged.any():
            return RUNS, int(ids[damaged.argmax()])
        sealed = records["state"] == COMMITTED
        promised = dict(zip(self.manifest.matrices, _columns_of(records["payload_crc"]), strict=True))
        for matrix, rows_Rb in zip(matrices, rows, strict=True):
            damaged = sealed & (payload_crcs(rows_Rb) != promised[matrix])
            if damaged.any():
                return matrix.file, int(ids[damaged.argmax()])
        return None


def _columns_of(crcs_RTM: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Return one row per matrix, in manifest order, from (R, T, M)."""
    return crcs_RTM.reshape(len(crcs_RTM), -1).T
