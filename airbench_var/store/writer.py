"""Write a store: one process, rows committed in batches, nothing acknowledged that is not on the disk."""

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from airbench_var.errors import StorageError, StoreRefusedError
from airbench_var.store.create import create_store, refuse_impossible, refuse_strangers, writable_folder
from airbench_var.store.disk import RowFile, storage_errors
from airbench_var.store.encoding import Row, encode_outcome
from airbench_var.store.lock import WriterLock
from airbench_var.store.manifest import MANIFEST, Manifest
from airbench_var.store.reader import Store
from airbench_var.store.records import COMMITTED, FAILED, OPEN, RUNS, SEEDS, Bytes, record_dtype
from airbench_var.store.rows import Outcome

EVENTS = "events.jsonl"


class StoreWriter:
    """The one writer of a store; a context manager. `store` reads what it has written."""

    def __init__(self, path: Path, manifest: Manifest, lock: WriterLock) -> None:
        self.path, self.manifest = path, manifest
        with ExitStack() as opened, storage_errors(path, "opening for writing"):
            opened.callback(lock.release)
            self.store = Store(path, manifest)
            self._labels = {name: self.store.labels(name) for name in self.store.test_sets}
            self._matrices = [
                opened.enter_context(closing(RowFile.open(path / m.file, np.dtype(np.uint8), (m.width,))))
                for m in manifest.matrices
            ]
            self._runs = opened.enter_context(closing(RowFile.open(path / RUNS, record_dtype(manifest), ())))
            # A killed writer may have left records that are on no disk yet; their payload is.
            self._runs.sync()
            self._events = os.open(path / EVENTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            opened.callback(os.close, self._events)
            self._opened: ExitStack | None = opened.pop_all()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        identity: Mapping[str, Any],
        labels: Mapping[str, Bytes],
        provenance: Mapping[str, Any],
        capacity: int,
    ) -> Self:
        """Make the store, or reopen it when its identity is the same, with room for `capacity` runs.

        identity: what must match on resume (see `Manifest`); labels: uint8 (n,) by test set name.

        Raises: StoreRefusedError for another identity, another writer, or a folder of something else;
        StoreDamagedError; StorageError when the disk is full, read-only, or failing.
        """
        store = Path(path)
        refuse_strangers(store)
        wanted = Manifest.new(identity, provenance)
        if (store / MANIFEST).exists():  # a manifest never changes: look before taking the lock
            Manifest.load(store).refuse_other_identity(store, identity)
        refuse_impossible(wanted, labels, capacity)
        with writable_folder(store) as lock:
            if not (store / MANIFEST).exists():
                create_store(store, wanted, labels, capacity)
            manifest = Manifest.load(store)
            manifest.refuse_other_identity(store, identity)
        writer = cls(store, manifest, lock)
        try:
            writer.ensure_capacity(capacity)
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
            with storage_errors(self.path, "closing"):
                opened.close()

    @property
    def capacity(self) -> int:
        """Rows there is room for: run ids 0 ... capacity - 1."""
        return self.store.capacity

    @property
    def committed_count(self) -> int:
        """Number of committed runs."""
        return int(np.count_nonzero(self.store.runs["state"] == COMMITTED))

    def open_ids(self, n_runs: int) -> list[int]:
        """Return the ids among 0 ... n_runs - 1 without a record, ascending: the work still to be done.

        Raises: StoreDamagedError when any record is not what was written.
        """
        self._refuse_unknown(range(n_runs)[-1:])
        return np.flatnonzero(self.store.verified_records()["state"][:n_runs] == OPEN).tolist()

    def ensure_capacity(self, capacity: int) -> None:
        """Make room for at least this many runs; never shrink.

        Raises: StorageError; the writer is then closed, and the store as it was.
        """
        # Readers take the capacity from runs.npy, so its header is the last.
        growing = [file for file in (*self._matrices, self._runs) if file.capacity < capacity]
        with self._all_or_closed("making room for more runs"):
            try:
                for file in growing:
                    file.reserve(capacity)
            except OSError:
                for file in growing:
                    file.release()
                raise
            for file in growing:
                file.promise(capacity)
            self.store.refresh()

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
        batch: dict[int, Row] = {}
        for outcome in outcomes:
            row = encode_outcome(self.manifest, self._labels, outcome)
            if self._is_news(row, batch.get(row.run_id)):
                batch[row.run_id] = row
        if not batch:
            return
        with self._all_or_closed("committing runs"):
            for row in batch.values():
                for file, data in zip(self._matrices, row.payload, strict=True):
                    file.write_row(row.run_id, data.tobytes())
            for file in self._matrices:
                file.sync()
            # From here on the payload is on the disk, so a record may vouch for it.
            for row in batch.values():
                self._runs.write_row(row.run_id, row.record.tobytes())
            self._runs.sync()

    def event(self, kind: str, **fields: Any) -> None:
        """Append one line to events.jsonl: for people, never read back, not synced."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "kind": kind, **fields}
        text = json.dumps(line).encode() + b"\n"
        with self._all_or_closed("writing an event"):
            if os.write(self._events, text) < len(text):
                raise OSError(errno.ENOSPC, "only a part of the line was written")

    def _is_news(self, row: Row, earlier: Row | None) -> bool:
        """Return whether a row is to be written over what the batch or the disk has of its run."""
        old_record = self.store.runs[row.run_id] if earlier is None else earlier.record
        if old_record["state"] == OPEN:
            return True
        if row.record["state"] == FAILED:
            return False
        if old_record["state"] == FAILED:
            return True
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
            with storage_errors(self.path, doing):
                yield
        except BaseException:
            self.close()
            raise
