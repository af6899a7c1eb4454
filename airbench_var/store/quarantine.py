"""Mend a store without losing anything: what is damaged is copied aside, then its runs are open again."""

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from airbench_var.store.damage import Fault
from airbench_var.store.disk import (
    RowFile,
    copy_new_file,
    replace_file,
    storage_errors,
    sync_folder,
    write_new_file,
)
from airbench_var.store.events import EventLog
from airbench_var.store.layout import RowLayout
from airbench_var.store.lock import WriterLock
from airbench_var.store.manifest import MANIFEST, MANIFEST_COPY, QUARANTINE
from airbench_var.store.reader import ROWS_PER_BLOCK
from airbench_var.store.records import RUNS, open_records, row_layouts
from airbench_var.store.row_reader import RowReader
from airbench_var.store.verification import Verification, verify

INSTEAD = "repair a copy of the store"


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What was found in a store, and what was done about it."""

    store: Path
    faults: tuple[Fault, ...]  #: that were found
    reopened: tuple[int, ...]  #: runs that are open again, ascending
    quarantine: Path | None  #: what was damaged, as it was found; None when nothing was written
    labels_missing: tuple[str, ...]  #: files that the command that made the store will write again

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON values."""
        return {
            "store": str(self.store),
            "faults": [fault._asdict() for fault in self.faults],
            "reopened": list(self.reopened),
            "quarantine": None if self.quarantine is None else str(self.quarantine),
            "labels_missing": list(self.labels_missing),
        }


def repair(path: str | os.PathLike[str]) -> Repair:
    """Set damage aside and open the damaged runs again; nothing else is changed.

    The manifest, and header and length of a file, follow from the rest of the store and are restored. Labels
    do not: they are set aside, and the command that made the store writes them again. Killed at any point, it
    can be repeated.

    Raises: as `verify`; StoreRefusedError when a campaign is writing; StorageError when the disk fails.
    """
    store = Path(path)
    found = verify(store)
    if not any(_can_be_mended(store, fault) for fault in found.faults):
        return _what_was_done(found, None)
    lock = WriterLock.take(store, instead=INSTEAD)
    with closing(lock), storage_errors(store, "repairing", instead=INSTEAD):
        lock.sign()
        found = verify(store)  # once more, now that nobody else writes
        return _mend(found) if found.faults else _what_was_done(found, None)


def _mend(found: Verification) -> Repair:
    store, manifest = found.store, found.manifest
    box = _new_box(store)
    filling = box.with_name(f"{box.name}.filling")
    if filling.exists():  # of a repair that did not get further
        shutil.rmtree(filling)
    filling.mkdir()
    _fill(filling, found)
    for folder in (*(path for path in filling.iterdir() if path.is_dir()), filling):
        sync_folder(folder)
    filling.rename(box)
    sync_folder(box.parent)
    sync_folder(store)
    # From here on the quarantine is on the disk, so what it holds may be changed.
    layouts = {layout.file: layout for layout in row_layouts(manifest)}
    for file in _damaged_files(found):
        if file in layouts:
            _mend_row_file(store, layouts[file], found.capacity)
        elif file in (MANIFEST, MANIFEST_COPY):
            replace_file(store / file, manifest.encode())
        elif (store / file).exists():  # labels
            (store / file).unlink()
            sync_folder((store / file).parent)
    reopened = np.array(_damaged_runs(found), np.int64)
    with closing(RowFile.open(store, layouts[RUNS], found.capacity)) as runs:
        for run_id, record in zip(reopened, open_records(manifest, reopened), strict=True):
            runs.write(run_id, record.tobytes())
        runs.sync()
    with closing(EventLog(store)) as events:
        events.append("repair", faults=len(found.faults), reopened=len(reopened), quarantine=box.name)
    return _what_was_done(found, box)


def _fill(box: Path, found: Verification) -> None:
    """Copy to the quarantine, under the same names, all that is about to be changed."""
    store, manifest = found.store, found.manifest
    write_new_file(box / "faults.json", json.dumps(found.to_json(), indent=2).encode())
    layouts = {layout.file: layout for layout in row_layouts(manifest)}
    run_ids = _damaged_runs(found)
    if run_ids:
        ids = RowLayout("run_ids.npy", np.dtype("<i8"))
        write_new_file(box / ids.file, ids.header(len(run_ids)) + np.array(run_ids, ids.dtype).tobytes())
        for layout in layouts.values():
            _copy_rows(store, box, layout, run_ids)
    for file in _damaged_files(found):
        source, target = store / file, box / file
        if not source.exists():
            continue
        target.parent.mkdir(exist_ok=True)
        if file not in layouts:
            copy_new_file(source, target)
            continue
        end = layouts[file].offset(found.capacity)
        copy_new_file(source, target.with_name(target.name + ".header"), 0, layouts[file].offset(0))
        if source.stat().st_size > end:
            copy_new_file(source, target.with_name(target.name + ".tail"), end)


def _copy_rows(store: Path, box: Path, layout: RowLayout, run_ids: Sequence[int]) -> None:
    """Copy rows, as they are, to a file of the same name in the quarantine, in the order of the ids."""
    (box / layout.file).parent.mkdir(exist_ok=True)
    source = RowReader(store, layout, missing_as_zeros=True)
    with closing(RowFile.create(box, layout, len(run_ids))) as copy:
        for first in range(0, len(run_ids), ROWS_PER_BLOCK):
            rows = source.read(np.array(run_ids[first : first + ROWS_PER_BLOCK]))
            copy.write(first, rows.tobytes())
        copy.sync()


def _mend_row_file(store: Path, layout: RowLayout, capacity: int) -> None:
    """Give a file its header and its length; rows that were missing are zeros."""
    path = store / layout.file
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        write_new_file(path, b"")
    with closing(RowFile.open(store, layout, capacity)) as rows:
        rows.release()  # what lies beyond is in the quarantine, or zeros
        rows.reserve(capacity, range(layout.rows_in(path.stat().st_size), capacity))
        rows.promise(capacity)
    sync_folder(path.parent)
    sync_folder(store)


def _what_was_done(found: Verification, box: Path | None) -> Repair:
    labels = [test_set.labels_file for test_set in found.manifest.test_sets]
    return Repair(
        store=found.store,
        faults=found.faults,
        reopened=tuple(_damaged_runs(found)) if box else (),
        quarantine=box,
        labels_missing=tuple(file for file in labels if not (found.store / file).exists()),
    )


def _damaged_runs(found: Verification) -> list[int]:
    return sorted({fault.run_id for fault in found.faults if fault.run_id is not None})


def _damaged_files(found: Verification) -> list[str]:
    return [fault.file for fault in found.faults if fault.run_id is None]


def _can_be_mended(store: Path, fault: Fault) -> bool:
    """Whether there is anything to do: labels that are set aside already wait for the training command."""
    return not fault.file.endswith("/labels.npy") or (store / fault.file).exists()


def _new_box(store: Path) -> Path:
    """Return STORE/quarantine/K, with the first K from 1 on that is free."""
    shelf = store / QUARANTINE
    shelf.mkdir(exist_ok=True)
    return next(shelf / str(k) for k in count(1) if not (shelf / str(k)).exists())
