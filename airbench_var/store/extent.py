"""How far the files of a store reach, and what is wrong with them as wholes."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from airbench_var.store.damage import Fault, before_another_look
from airbench_var.store.disk import storage_errors
from airbench_var.store.layout import RowLayout
from airbench_var.store.manifest import Manifest
from airbench_var.store.npy import HEADER_BYTES
from airbench_var.store.records import RECORDS_PER_BLOCK, open_records, row_layouts, runs_layout

MISSING = "the file is missing"


class Extent(NamedTuple):
    """What one file of rows says of its length, and how long it is."""

    promised: int | None  #: rows by its header; None when the header is not one of ours
    size_bytes: int | None  #: None when the file is missing


class StoreExtent(NamedTuple):
    """The capacity of a store, and which of its files are damaged as wholes."""

    capacity: int  #: rows; where runs.npy is damaged, the number that the files together speak for
    faults: list[Fault]


def extent_of(store: Path, layout: RowLayout) -> Extent:
    """Read header and size of a file."""
    path = store / layout.file
    with storage_errors(path, "reading"):
        try:
            promised = layout.rows_promised(_read_header(path))
            return Extent(promised, path.stat().st_size)  # in this order: a file grows before its header does
        except FileNotFoundError:
            return Extent(None, None)


def fault_of(layout: RowLayout, extent: Extent) -> Fault | None:
    """Return what is wrong with a file, taken by itself.

    A file longer than its header says is a growth that was cut short, or is going on now: no fault.
    """
    if extent.size_bytes is None:
        return Fault(layout.file, None, MISSING)
    if extent.promised is None:
        shape = ", ".join(["rows", *map(str, layout.row_shape)])
        kind = "records of this store" if layout.dtype.names else str(layout.dtype)
        return Fault(layout.file, None, f"its header does not say {kind}, shape ({shape})")
    missing = layout.offset(extent.promised) - extent.size_bytes
    return Fault(layout.file, None, f"{missing} bytes are missing at its end") if missing > 0 else None


def measure(store: Path, manifest: Manifest) -> StoreExtent:
    """Return the capacity of a store and the faults of its files as wholes; no row is looked at."""
    # The writer lengthens runs.npy last, so the matrices looked at after it have at least its rows.
    runs, *others = row_layouts(manifest)
    runs_extent = extent_of(store, runs)
    matrices = {layout: extent_of(store, layout) for layout in others}
    fault = fault_of(runs, runs_extent)
    if fault is None and runs_extent.promised:
        capacity, looks = runs_extent.promised, 1
        while not only_undone_beyond(store, manifest, capacity):
            if (extent_of(store, runs).promised or 0) > capacity:  # it grew, and runs were committed there
                return measure(store, manifest)
            if looks == 2:
                fault = Fault(runs.file, None, f"there are records beyond the {capacity} of its header")
                break
            before_another_look()  # an open record may be half written
            looks += 1
    if fault is not None:
        capacity = _likely_capacity(runs, runs_extent, matrices)
    faults = [fault] if fault else []
    for layout, extent in matrices.items():
        fault = fault_of(layout, extent)
        if fault is None and extent.promised is not None and extent.promised < capacity:
            fault = Fault(layout.file, None, f"{extent.promised} rows, but runs.npy has {capacity}")
        faults += [fault] if fault else []
    return StoreExtent(capacity, faults)


def _likely_capacity(runs: RowLayout, extent: Extent, matrices: Mapping[RowLayout, Extent]) -> int:
    """Return the capacity of a store whose runs.npy is damaged.

    An undamaged matrix has as many rows, or more after a growth that was cut short; a damaged runs.npy says
    at least the true number by its header or by its size, unless both are gone. So the true number is at
    most what is returned, and rows too many are open runs.
    """
    by_runs = max(extent.promised or 0, runs.rows_in(extent.size_bytes or 0))
    by_matrices = max(
        (e.promised or 0 for layout, e in matrices.items() if fault_of(layout, e) is None), default=0
    )
    by_size = max(layout.rows_in(e.size_bytes or 0) for layout, e in matrices.items())
    known = by_matrices or by_size
    return max(1, min(by_runs, known) if by_runs and known else by_runs or known)


def _read_header(path: Path) -> bytes:
    """Read the header until two readings agree: a growing writer may be rewriting it."""
    last = b""
    while True:
        with path.open("rb", buffering=0) as file:
            header = file.read(HEADER_BYTES)
        if header == last:
            return header
        last = header
        time.sleep(1e-4)


def only_undone_beyond(store: Path, manifest: Manifest, capacity: int) -> bool:
    """Return whether runs.npy holds no more, beyond its rows, than a growth that was cut short leaves there.

    That is open records and zeros. (Zeros among the rows are damage.)
    """
    runs, first = runs_layout(manifest), capacity
    path = store / runs.file
    with storage_errors(path, "reading"), path.open("rb") as file:
        file.seek(runs.offset(capacity))
        while piece := file.read(RECORDS_PER_BLOCK * runs.row_bytes):
            n, rest = divmod(len(piece), runs.row_bytes)
            there = np.frombuffer(piece, np.uint8, n * runs.row_bytes).reshape(n, runs.row_bytes)
            undone = open_records(manifest, np.arange(first, first + n)).view(np.uint8).reshape(there.shape)
            if not np.all((there == undone).all(axis=1) | ~there.any(axis=1)) or any(
                piece[len(piece) - rest :]
            ):
                return False
            first += n
    return True
