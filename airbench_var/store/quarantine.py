"""Mend a store without losing anything: what is damaged is copied aside, then its runs are open again."""

import json
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from airbench_var.store.damage import Fault
from airbench_var.store.disk import RowFile, storage_errors, sync_folder, write_new_file
from airbench_var.store.events import EventLog
from airbench_var.store.extent import extent_of
from airbench_var.store.layout import RowLayout
from airbench_var.store.lock import WriterLock
from airbench_var.store.manifest import MANIFEST, MANIFEST_COPY, Manifest
from airbench_var.store.reader import ROWS_PER_BLOCK
from airbench_var.store.records import RUNS, row_layouts
from airbench_var.store.row_reader import RowReader
from airbench_var.store.verification import Verification, verify

QUARANTINE = "quarantine"


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What was found in a store, and what was done about it."""

    store: Path
    faults: tuple[Fault, ...]  #: that were found
    reopened: tuple[int, ...]  #: runs that are open again, ascending
    quarantine: Path | None  #: what was damaged, as it was found; None when nothing was written
    labels_missing: tuple[str, ...]  #: files that the training command will write again

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
    do not: they are set aside, and the training command writes them again. Killed at any point, it can be
    repeated.

    Raises: as `verify`; StoreRefusedError when a campaign is writing; StorageError when the disk fails.
    """
    store = Path(path)
    found = verify(store)
    if not any(_can_be_mended(store, fault) for fault in found.faults):
        return _what_was_done(found, None)
    lock = WriterLock.take(store)
    with closing(lock), storage_errors(store, "repairing"):
        lock.sign()
        found = verify(store)  # once more, now that nobody else writes
        return _mend(found) if found.faults else _what_was_done(found, None)


def _mend(found: Verification) -> Repair:
    store, manifest = found.store, found.manifest
    box = _new_box(store)
    write_new_file(box / "faults.json", json.dumps(found.to_json(), indent=2).encode())
    layouts = {layout.file: layout for layout in row_layouts(manifest)}
    labels = {test_set.labels_file for test_set in manifest.test_sets}
    for fault in found.faults:
        if fault.run_id is not None:
            continue
        if fault.file in layouts:
            _mend_row_file(store, box, layouts[fault.file], found.capacity)
        elif fault.file in labels:
            _set_aside(store, box, fault.file)
        else:
            _restore_manifest(store, box, fault.file, manifest)
    reopened = _damaged_runs(found)
    if reopened:
        for layout in layouts.values():
            _copy_rows(store, box, layout, reopened)
        ids = RowLayout("run_ids.npy", np.dtype("<i8"))
        write_new_file(box / ids.file, ids.header(len(reopened)) + np.array(reopened, ids.dtype).tobytes())
    for folder in (*(path for path in box.iterdir() if path.is_dir()), box, box.parent, store):
        sync_folder(folder)
    # From here on the quarantine is on the disk, so the records may go.
    with closing(RowFile.open(store, layouts[RUNS], found.capacity)) as runs:
        for run_id in reopened:
            runs.write(run_id, bytes(layouts[RUNS].row_bytes))
        runs.sync()
    with closing(EventLog(store)) as events:
        events.append("repair", faults=len(found.faults), reopened=len(reopened), quarantine=box.name)
    return _what_was_done(found, box)


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


def _can_be_mended(store: Path, fault: Fault) -> bool:
    """Whether there is anything to do: labels that are set aside already wait for the training command."""
    return not fault.file.endswith("/labels.npy") or (store / fault.file).exists()


def _new_box(store: Path) -> Path:
    """Make STORE/quarantine/K, with the first K from 1 on that is free."""
    shelf = store / QUARANTINE
    shelf.mkdir(exist_ok=True)
    taken = {path.name for path in shelf.iterdir()}
    box = shelf / next(name for name in map(str, range(1, len(taken) + 2)) if name not in taken)
    box.mkdir()
    return box


def _box_path(box: Path, file: str) -> Path:
    """Return where a file of the store, or a part of it, lies in the quarantine, with its folder made."""
    (box / file).parent.mkdir(exist_ok=True)
    return box / file


def _set_aside(store: Path, box: Path, file: str) -> None:
    """Move a whole file to the quarantine, when it is there."""
    if (store / file).exists():
        (store / file).rename(_box_path(box, file))
        sync_folder((store / file).parent)


def _restore_manifest(store: Path, box: Path, file: str, manifest: Manifest) -> None:
    """Write a damaged manifest, or copy of it, anew from the other."""
    assert file in (MANIFEST, MANIFEST_COPY)
    if (store / file).exists():
        write_new_file(_box_path(box, file), (store / file).read_bytes())
    new = store / f"{file}.mended"
    new.unlink(missing_ok=True)
    write_new_file(new, manifest.encode())
    new.rename(store / file)
    sync_folder(store)


def _mend_row_file(store: Path, box: Path, layout: RowLayout, capacity: int) -> None:
    """Give a file the header and at least the length that it must have; rows that were missing are zeros."""
    path = store / layout.file
    if path.exists():
        with path.open("rb") as file:
            write_new_file(_box_path(box, layout.file + ".header"), file.read(layout.offset(0)))
    else:
        path.parent.mkdir(exist_ok=True)
        path.touch(exist_ok=False)
    with closing(RowFile.open(store, layout, capacity)) as rows:
        if layout.file == RUNS and (extent_of(store, layout).size_bytes or 0) > layout.offset(capacity):
            _copy_tail(path, _box_path(box, layout.file + ".tail"), layout.offset(capacity))
            rows.release()
        rows.reserve(capacity)
        rows.promise(capacity)
    sync_folder(path.parent)


def _copy_tail(path: Path, target: Path, offset: int) -> None:
    with path.open("rb") as file, target.open("xb") as copy:
        file.seek(offset)
        while piece := file.read(1 << 20):
            copy.write(piece)
        copy.flush()
        os.fsync(copy.fileno())


def _copy_rows(store: Path, box: Path, layout: RowLayout, run_ids: Sequence[int]) -> None:
    """Copy rows to a file of the same name in the quarantine, as they are, in the order of the ids."""
    _box_path(box, layout.file)
    source = RowReader(store, layout)
    with closing(RowFile.create(box, layout, len(run_ids))) as copy:
        for first in range(0, len(run_ids), ROWS_PER_BLOCK):
            rows = source.read(np.array(run_ids[first : first + ROWS_PER_BLOCK]))
            copy.write(first, rows.tobytes())
        copy.sync()
