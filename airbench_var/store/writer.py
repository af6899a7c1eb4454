"""Write a store: one process, rows committed in batches, nothing acknowledged that is not on the disk."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from airbench_var.errors import StorageError, StoreRefusedError
from airbench_var.store.create import (
    create_store,
    encode_labels,
    has_manifest,
    refuse_impossible,
    refuse_strangers,
    writable_folder,
    write_open_records,
)
from airbench_var.store.disk import RowFile, replace_file, storage_errors, sync_folder
from airbench_var.store.encoding import Row, carry_over, encode_outcome
from airbench_var.store.events import EventLog
from airbench_var.store.extent import extent_of
from airbench_var.store.layout import RowLayout
from airbench_var.store.lock import WriterLock
from airbench_var.store.manifest import SEEDS, Manifest
from airbench_var.store.reader import Store
from airbench_var.store.records import COMMITTED, FAILED, OPEN, Bytes, Records, runs_layout
from airbench_var.store.rows import Outcome

SAFE = "Every run acknowledged before is safe in the store."


class StoreWriter:
    """The one writer of a store; a context manager. `store` reads what it has written."""

    def __init__(self, path: Path, manifest: Manifest, lock: WriterLock) -> None:
        self.path, self.manifest = path, manifest
        with ExitStack() as opened, storage_errors(path, "opening for writing", safe=SAFE):
            opened.callback(lock.close)
            self.store = Store(path, manifest)
            records = self.store.records()
            self._states_R = records["state"].copy()
            self._labels = {name: self.store.labels(name) for name in self.store.test_sets}
            self._matrices = [self._open_file(opened, m.layout) for m in manifest.matrices]
            self._runs = self._open_file(opened, runs_layout(manifest))
            self._vouch_again(records)
            self._events = opened.enter_context(closing(EventLog(path)))
            self._opened: ExitStack | None = opened.pop_all()

    def _open_file(self, opened: ExitStack, layout: RowLayout) -> RowFile:
        promised = extent_of(self.path, layout).promised
        assert promised, "the store was measured just now"
        return opened.enter_context(closing(RowFile.open(self.path, layout, promised)))

    def _vouch_again(self, records: Records) -> None:
        """Write once more what is about to count, as it was read, and sync the names of the files.

        A writer before may have been killed with names or records on no disk yet. And after a sync that
        failed, Linux shows what no disk holds, and does not write it again by itself (Rebello et al., "Can
        applications recover from fsync failures?", USENIX ATC 2020). The payload was on the disk before its
        record.
        """
        folders = {(self.path / m.file).parent for m in self.manifest.matrices}
        for folder in (*sorted(folders), self.path, self.path.absolute().parent):
            sync_folder(folder)
        for file in (*self._matrices, self._runs):
            file.release()  # what a growth that was cut short had reserved
            file.promise(file.capacity)
        self._runs.write(0, records.tobytes())
        self._runs.sync()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        identity: Mapping[str, Any],
        labels: Mapping[str, Bytes],
        provenance: Mapping[str, Any],
        capacity: int,
        own: range | None = None,
    ) -> Self:
        """Make the store, or reopen it when its identity is the same, with room for `capacity` runs.

        identity: what must match on resume (see `Manifest`); labels: uint8 (n,) by test set name; own: the
        runs that this writer means to commit, so that no disk space is set aside for others; by default all.

        Raises: StoreRefusedError for another identity, another writer, or a folder of something else;
        StoreDamagedError when any record or whole file is; StorageError when the disk is full, read-only, or
        failing.
        """
        store = Path(path)
        refuse_strangers(store)
        wanted = Manifest.new(identity, provenance)
        if has_manifest(store):  # a manifest never changes: look before taking the lock
            Manifest.load(store).refuse_other_identity(store, identity)
        refuse_impossible(wanted, labels, capacity)
        with writable_folder(store) as lock:
            refuse_strangers(store)
            if not has_manifest(store):
                create_store(store, wanted, labels, capacity, own)
            manifest = Manifest.load(store)
            manifest.refuse_other_identity(store, identity)
            _restore_labels(store, manifest, labels)
        writer = cls(store, manifest, lock)
        try:
            writer.ensure_capacity(capacity, own)
        except BaseException:
            writer.close()
            raise
        return writer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files and let the next writer in; a second time does nothing."""
        if self._opened is not None:
            opened, self._opened = self._opened, None
            with storage_errors(self.path, "closing", safe=SAFE):
                opened.close()

    @property
    def capacity(self) -> int:
        """Rows there is room for: run ids 0 ... capacity - 1."""
        return self.store.capacity

    @property
    def committed_count(self) -> int:
        """Number of committed runs."""
        return len(self.committed_ids())

    def committed_ids(self) -> list[int]:
        """Return the ids of the committed runs, ascending."""
        return np.flatnonzero(self._states_R == COMMITTED).tolist()

    def open_ids(self, n_runs: int) -> list[int]:
        """Return the ids among 0 ... n_runs - 1 without a record, ascending: the work still to be done."""
        return self._ids_among(n_runs, OPEN)

    def failed_ids(self, n_runs: int) -> list[int]:
        """Return the ids among 0 ... n_runs - 1 that failed for good, ascending."""
        return self._ids_among(n_runs, FAILED)

    def _ids_among(self, n_runs: int, state: int) -> list[int]:
        self._refuse_unknown(range(n_runs)[-1:])
        return np.flatnonzero(self._states_R[:n_runs] == state).tolist()

    def ensure_capacity(self, capacity: int, own: range | None = None) -> None:
        """Make room for at least this many runs; never shrink.

        Space is set aside for the runs in `own`, also where the store has room for them and a writer of
        others left holes; by default for all, where the store grows.

        Raises: StorageError; the writer is then closed, and the store as it was.
        """
        # Readers take the capacity from runs.npy, so its header is the last.
        growing = [file for file in (*self._matrices, self._runs) if file.capacity < capacity]
        with self._all_or_closed("making room for more runs"):
            try:
                for file in self._matrices:
                    if file in growing or own is not None:
                        file.reserve(max(capacity, file.capacity), own)
                if self._runs in growing:
                    self._runs.reserve(capacity)  # without holes: an open run has a record
            except OSError:
                for file in growing:
                    file.release()
                raise
            if self._runs in growing:
                write_open_records(self._runs, self.manifest, self._runs.capacity, capacity)
            for file in growing:
                file.promise(capacity)
            self.store.refresh()
            self._states_R = np.pad(self._states_R, (0, self.capacity - len(self._states_R)))

    def commit(self, outcomes: Sequence[Outcome]) -> None:
        """Write the rows of these runs; at return they survive a kill and a power cut.

        A run that is committed already and has the same bytes is passed over, and so is the failure of a run
        that has a record. A result replaces an earlier failure.

        Raises: StoreRefusedError, with nothing of the batch written, when a run id is unknown, a run is
        committed already with other bytes, or a row does not fit. StorageError when the disk fails: the
        writer is then closed, as what a failed sync left behind is unknown (Rebello et al., "Can
        applications recover from fsync failures?", USENIX ATC 2020).
        """
        self._refuse_closed("committing runs")
        self._refuse_unknown(outcome.spec.run_id for outcome in outcomes)
        self._commit(encode_outcome(self.manifest, self._labels, outcome) for outcome in outcomes)

    def commit_records(self, records: Records, rows: Sequence[Bytes]) -> None:
        """Commit runs of another store of the same campaign, byte for byte, as `commit` does.

        records: (R,), committed or failed, and rows: (R, width) of every matrix in manifest order, both
        verified. The caller has compared the identities.

        Raises: as `commit`.
        """
        self._refuse_closed("committing runs")
        self._refuse_unknown(records["run_id"].tolist())
        self._commit(carry_over(self.manifest, records, rows))

    def _commit(self, rows: Iterable[Row]) -> None:
        batch: dict[int, Row] = {}
        for row in rows:
            if self._is_news(row, batch.get(row.run_id)):
                batch[row.run_id] = row
        if not batch:
            return
        with self._all_or_closed("committing runs"):
            for row in batch.values():
                for file, data in zip(self._matrices, row.payload, strict=True):
                    file.write(row.run_id, data.data)
            for file in self._matrices:
                file.sync()
            # From here on the payload is on the disk, so a record may vouch for it.
            for row in batch.values():
                self._runs.write(row.run_id, row.record.tobytes())
            self._runs.sync()
        self._states_R[list(batch)] = [row.record["state"] for row in batch.values()]

    def event(self, kind: str, **fields: Any) -> None:
        """Append one line to events.jsonl: for people, never read back, not synced."""
        with self._all_or_closed("writing an event"):
            self._events.append(kind, **fields)

    def _is_news(self, row: Row, earlier: Row | None) -> bool:
        """Return whether a row is to be written over what the batch or the disk has of its run."""
        state = self._states_R[row.run_id] if earlier is None else earlier.record["state"]
        if state == OPEN:
            return True
        if row.record["state"] == FAILED:
            return False
        if state == FAILED:
            return True
        old_record = self.store.records([row.run_id])[0] if earlier is None else earlier.record
        old_payload = self.store.payload(row.run_id) if earlier is None else earlier.payload
        same = all(map(np.array_equal, row.payload, old_payload))
        if not same or any(row.record[seed] != old_record[seed] for seed in SEEDS):
            raise StoreRefusedError(
                f"{self.path}: run {row.run_id} is committed with other predictions or seeds; the store "
                "keeps what it has. The same run gave two results: look for a change of code or device."
            )
        return False

    def _refuse_unknown(self, run_ids: Iterable[int]) -> None:
        for run_id in run_ids:
            if not 0 <= run_id < self.capacity:
                raise StoreRefusedError(
                    f"{self.path}: there is no run {run_id}; the store has room for runs 0 to "
                    f"{self.capacity - 1}. Nothing was written. Make room with ensure_capacity first."
                )

    def _refuse_closed(self, doing: str) -> None:
        if self._opened is None:
            raise StorageError(
                f"{self.path}: {doing} is not possible, the writer is closed. What was acknowledged is in "
                "the store; open it again to go on."
            )

    @contextmanager
    def _all_or_closed(self, doing: str) -> Iterator[None]:
        """Close the writer when the step does not run to its end: what it left behind is unknown."""
        self._refuse_closed(doing)
        try:
            with storage_errors(self.path, doing, safe=SAFE):
                yield
        except BaseException:
            self.close()
            raise


def _restore_labels(store: Path, manifest: Manifest, labels: Mapping[str, Bytes]) -> None:
    """Write labels that `repair` has set aside; they are those of the manifest, or the store was refused."""
    for test_set in manifest.test_sets:
        path = store / test_set.labels_file
        with storage_errors(path, "writing", safe=SAFE):
            if path.parent.is_dir() and not path.exists():
                replace_file(path, encode_labels(test_set, labels[test_set.name]))
