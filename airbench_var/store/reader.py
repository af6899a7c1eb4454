"""Read a store, without a lock, also while a campaign is writing it."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from airbench_var.errors import StoreRefusedError, UsageError
from airbench_var.store.checked import CheckedRows
from airbench_var.store.damage import MISSING, Fault, damaged
from airbench_var.store.disk import storage_errors
from airbench_var.store.extent import measure
from airbench_var.store.layout import RowLayout
from airbench_var.store.manifest import (
    MANIFEST,
    Manifest,
    Matrix,
    TestSet,
    describe_test_set,
    lost_its_manifest,
)
from airbench_var.store.records import (
    COMMITTED,
    FAILED,
    RECORDS_PER_BLOCK,
    Bytes,
    Records,
    RunIds,
    runs_layout,
)
from airbench_var.store.view import CorrectView

#: Rows of predictions that are read and checked at a time.
ROWS_PER_BLOCK = 256


class Block(NamedTuple):
    """Verified copies of some committed rows of one matrix."""

    run_ids: RunIds  #: (R,)
    records: Records  #: (R,)
    rows_Rb: Bytes  #: (R, width): packed bits, or classes


class Rows(NamedTuple):
    """Verified copies of some committed rows of every matrix of a store."""

    run_ids: RunIds  #: (R,)
    records: Records  #: (R,)
    rows: Mapping[tuple[str, str], Bytes]  #: (R, width) by test set and column, in manifest order


class Store:
    """A store opened for reading: verified copies of its rows, and memory maps of its files as they are."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest
        self._labels = {t.name: read_labels(path, t) for t in manifest.test_sets}
        self._rows = CheckedRows(path, manifest)
        self.refresh()

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a store, reading manifest, headers and labels; no row is verified yet.

        Raises: UsageError when there is none, StoreRefusedError for a newer format or another's folder,
        StoreDamagedError when a file is missing, short, or of another shape.
        """
        store = Path(path)
        refuse_what_is_no_store(store)
        return cls(store, Manifest.load(store))

    def __repr__(self) -> str:
        """Return where it is, and of what size."""
        return f"<Store {self.path}: room for {self.capacity:,} runs on {', '.join(self.test_sets)}>"

    def refresh(self) -> None:
        """Look at the headers again, for the rows that a writer made room for since.

        Raises: StoreDamagedError when a file is missing, short, or of another shape.
        """
        extent = measure(self.path, self.manifest)
        if extent.faults:
            raise damaged(self.path, extent.faults[0])
        self.capacity: int = extent.capacity  #: rows there is room for: run ids 0 ... capacity - 1

    @property
    def test_sets(self) -> tuple[str, ...]:
        """The names of the test sets, in the order of the counts in a record."""
        return tuple(test_set.name for test_set in self.manifest.test_sets)

    def labels(self, test_set: str) -> Bytes:
        """Labels (n,), verified when the store was opened; read-only."""
        self._matrix(test_set, "correct")
        return self._labels[test_set]

    def records(self, run_ids: Iterable[int] | RunIds | None = None) -> Records:
        """Return verified copies of records (R,), by default of all; an open run has but its id.

        Raises: StoreDamagedError when any is not what was written, UsageError when there is no such run.
        """
        blocks = self._blocks_of(np.arange(self.capacity) if run_ids is None else run_ids, RECORDS_PER_BLOCK)
        records = [self._verified(ids)[0] for ids in blocks]
        return np.concatenate(records) if records else np.empty(0, self.manifest.record_dtype)

    def committed_ids(self) -> RunIds:
        """Return the ids of the committed runs, ascending, int64 (R,).

        Raises: StoreDamagedError when any record is not what was written.
        """
        return np.flatnonzero(self.records()["state"] == COMMITTED)

    def failed_ids(self) -> RunIds:
        """Return the ids of the runs that failed for good, ascending; raises as `committed_ids`."""
        return np.flatnonzero(self.records()["state"] == FAILED)

    def payload(self, run_id: int) -> list[Bytes]:
        """Return verified copies of a run's row in every matrix, in manifest order; raises as `blocks`."""
        [ids] = self._blocks_of([run_id], 1)
        _, matrices = self._verified_committed(ids, self.manifest.matrices)
        return [rows_Rb[0] for rows_Rb in matrices]

    def blocks(
        self,
        test_set: str,
        run_ids: Iterable[int] | RunIds | None = None,
        rows_per_block: int = ROWS_PER_BLOCK,
        column: str = "correct",
    ) -> Iterator[Block]:
        """Yield verified copies of committed rows, by default of all of them.

        Raises: StoreDamagedError that names file and run; UsageError when a run is not committed.
        """
        matrix = self._matrix(test_set, column)
        for ids in self._blocks_of(self.committed_ids() if run_ids is None else run_ids, rows_per_block):
            records, (rows_Rb,) = self._verified_committed(ids, (matrix,))
            yield Block(ids, records, rows_Rb)

    def all_blocks(
        self, run_ids: Iterable[int] | RunIds, rows_per_block: int = ROWS_PER_BLOCK
    ) -> Iterator[Rows]:
        """Yield verified copies of committed rows of all matrices at once; raises as `blocks`."""
        matrices = self.manifest.matrices
        for ids in self._blocks_of(run_ids, rows_per_block):
            records, rows = self._verified_committed(ids, matrices)
            names = [(matrix.test_set, matrix.column) for matrix in matrices]
            yield Rows(ids, records, dict(zip(names, rows, strict=True)))

    def view(self, test_set: str, run_ids: Iterable[int] | RunIds | None = None) -> CorrectView:
        """Return correctness (R, N) of committed runs, by default of all, to be read where it is looked at.

        Raises: UsageError when there is no such test set, or no ids; reading raises as `blocks`.
        """
        return CorrectView(self, test_set, _as_ids(self.committed_ids() if run_ids is None else run_ids))

    def correct_RN(self, test_set: str, run_ids: Iterable[int] | RunIds | None = None) -> Bytes:
        """Return verified correctness as zeros and ones, uint8 (R, N); raises as `blocks`."""
        return np.asarray(self.view(test_set, run_ids))

    @property
    def runs(self) -> Records:
        """A memory map of the records (capacity,) as they are on disk, unverified; read-only."""
        return self._map(runs_layout(self.manifest))

    def correct_packed(self, test_set: str) -> Bytes:
        """A memory map of the correctness bits (capacity, ceil(n/8)), unverified; read-only."""
        return self._map(self._matrix(test_set, "correct").layout)

    def predicted(self, test_set: str) -> Bytes:
        """A memory map of the predicted classes (capacity, n), unverified; read-only.

        Raises: UsageError when the store was made without them.
        """
        return self._map(self._matrix(test_set, "predicted").layout)

    def _map(self, layout: RowLayout) -> npt.NDArray[Any]:
        path, shape = self.path / layout.file, (self.capacity, *layout.row_shape)
        with storage_errors(path, "mapping"):
            return np.asarray(np.memmap(path, layout.dtype, "r", layout.offset(0), shape))

    def _matrix(self, test_set: str, column: str) -> Matrix:
        if test_set not in self.test_sets:
            raise UsageError(f"{self.path} has no test set {test_set!r}; it has {', '.join(self.test_sets)}.")
        for matrix in self.manifest.matrices:
            if (matrix.test_set, matrix.column) == (test_set, column):
                return matrix
        raise UsageError(f"{self.path} was made without the column {column!r}.")

    def _blocks_of(self, run_ids: Iterable[int] | RunIds, size: int) -> Iterator[RunIds]:
        ids = _as_ids(run_ids)
        outside = ids[(ids < 0) | (ids >= self.capacity)]
        if len(outside):
            raise UsageError(f"{self.path} has no run {outside[0]}: its run ids end at {self.capacity - 1}.")
        for start in range(0, len(ids), size):
            yield ids[start : start + size]

    def _verified(self, ids: RunIds, matrices: Sequence[Matrix] = ()) -> tuple[Records, list[Bytes]]:
        records, rows, faults = self._rows.read(ids, matrices)
        if faults:
            raise damaged(self.path, faults[0])
        return records, rows

    def _verified_committed(self, ids: RunIds, matrices: Sequence[Matrix]) -> tuple[Records, list[Bytes]]:
        records, rows = self._verified(ids, matrices)
        others = ids[records["state"] != COMMITTED]
        if len(others):
            raise UsageError(f"{self.path}: run {others[0]} is not committed.")
        return records, rows


def _as_ids(run_ids: Iterable[int] | RunIds) -> RunIds:
    """Return a copy, int64 (R,); raise UsageError for what is no list of integers, such as a mask."""
    ids = np.asarray(run_ids if isinstance(run_ids, np.ndarray) else list(run_ids))
    if ids.ndim != 1 or (len(ids) and ids.dtype.kind not in "iu"):
        raise UsageError(
            f"run ids are integers (R,), and these are {ids.dtype} {ids.shape}. From a mask over all runs "
            "numpy.flatnonzero(mask) makes ids, and committed_ids()[mask] from one over the committed runs."
        )
    return ids.astype(np.int64)


_IMPORT = "Of predictions in files `import` makes one."


def refuse_what_is_no_store(store: Path) -> None:
    """Raise UsageError when nothing is there, StoreRefusedError when it is a file or was never a store.

    A folder that has lost its manifest but not the copy is a store: opening it names the damage.
    """
    with storage_errors(store, "opening"):
        try:
            names = {path.name for path in store.iterdir()}
        except (FileNotFoundError, NotADirectoryError) as error:
            if store.exists():
                raise StoreRefusedError(
                    f"{store} is no store: it is a file, and a store is a folder. {_IMPORT}"
                ) from error
            raise UsageError(
                f"{store}: there is no such store. Check the path, or train one with --out."
            ) from error
    if MANIFEST not in names and not lost_its_manifest(names):
        within = sorted(path.parent.name for path in store.glob(f"*/{MANIFEST}"))
        which = f"Stores in it: {', '.join(within[:10])}." if within else _IMPORT
        raise StoreRefusedError(f"{store} is no store, or one never finished: it has no {MANIFEST}. {which}")


def read_labels(store: Path, test_set: TestSet) -> Bytes:
    """Return the labels (n,) of a test set, read-only.

    Raises: StoreDamagedError when they are not those of the manifest.
    """
    layout = RowLayout(test_set.labels_file, test_set.label_dtype)
    path = store / layout.file
    with storage_errors(path, "reading"):
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            what = f"{MISSING}; training goes on with the labels of the data, and writes it again"
            raise damaged(store, Fault(layout.file, None, what)) from error
    labels_N = np.frombuffer(data[layout.offset(0) :], layout.dtype)
    if data[: layout.offset(0)] != layout.header(test_set.n):
        raise damaged(store, Fault(layout.file, None, f"its header does not say {test_set.n} labels"))
    if (
        describe_test_set(test_set.name, labels_N, test_set.classes)["labels_sha256"]
        != test_set.labels_sha256
    ):
        what = "the labels are not those of the manifest: their sha256 differs"
        raise damaged(store, Fault(layout.file, None, what))
    return labels_N
