"""How far the files of a store reach, and what is wrong with them as wholes."""

import errno
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from airbench_var.store.damage import MISSING, Fault, before_another_look
from airbench_var.store.disk import storage_errors
from airbench_var.store.layout import RowLayout
from airbench_var.store.manifest import Manifest
from airbench_var.store.npy import HEADER_BYTES
from airbench_var.store.records import RUNS, open_records, row_layouts

_PIECE_BYTES = 1 << 23


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
    runs, *matrices = row_layouts(manifest)
    extents = {layout: extent_of(store, layout) for layout in (runs, *matrices)}
    faults: dict[RowLayout, Fault] = {}
    for layout, extent in extents.items():
        fault = fault_of(layout, extent) or _fault_beyond(store, manifest, layout, extent)
        if fault:
            if (extent_of(store, layout).promised or 0) > (extent.promised or 0):  # it grew just now
                return measure(store, manifest)
            faults[layout] = fault
    capacity = extents[runs].promised or 0
    if runs in faults:
        capacity = _likely_capacity(extents, [m for m in matrices if m not in faults])
    for layout in matrices:
        rows = extents[layout].promised or 0
        if layout not in faults and rows < capacity:
            faults[layout] = Fault(layout.file, None, f"{rows} rows, but runs.npy has {capacity}")
    return StoreExtent(capacity, list(faults.values()))


def _fault_beyond(store: Path, manifest: Manifest, layout: RowLayout, extent: Extent) -> Fault | None:
    """Return what is wrong with the bytes after the last row; two looks, as a writer may be making more."""
    rows = extent.promised or 0
    if extent.size_bytes == layout.offset(rows) or _only_undone_beyond(store, manifest, layout, rows):
        return None
    before_another_look()
    if _only_undone_beyond(store, manifest, layout, rows):
        return None
    return Fault(layout.file, None, f"there are bytes beyond the {rows} rows of its header")


def _likely_capacity(extents: Mapping[RowLayout, Extent], whole: Sequence[RowLayout]) -> int:
    """Return the capacity of a store whose runs.npy is damaged, and these of its matrices are whole.

    A whole matrix has as many rows, or more after a growth that was cut short. Without one the longest file
    tells. Rows too many become open runs; too few would lose runs without naming them.
    """
    promised = max((extents[layout].promised or 0 for layout in whole), default=0)
    longest = max(layout.rows_in(extent.size_bytes or 0) for layout, extent in extents.items())
    return promised or max(1, longest)


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


def _only_undone_beyond(store: Path, manifest: Manifest, layout: RowLayout, rows: int) -> bool:
    """Return whether a file holds no more, after so many rows, than a growth that was cut short leaves."""
    path, most_bytes = store / layout.file, max(1, _PIECE_BYTES // layout.row_bytes) * layout.row_bytes
    with storage_errors(path, "reading"), path.open("rb", buffering=0) as file:
        offset = _next_data(file.fileno(), layout.offset(rows))
        while offset is not None:
            first = layout.rows_in(offset)
            piece = os.pread(file.fileno(), most_bytes, layout.offset(first))
            if not _is_undone(piece, manifest, layout, first):
                return False
            offset = _next_data(file.fileno(), layout.offset(first) + len(piece))
    return True


def _is_undone(piece: bytes, manifest: Manifest, layout: RowLayout, first: int) -> bool:
    """Return whether rows are zeros, or in runs.npy open records. (Among its rows, zeros are damage.)"""
    if piece.count(0) == len(piece):
        return True
    n = len(piece) // layout.row_bytes
    if layout.file != RUNS or any(piece[n * layout.row_bytes :]):
        return False
    there = np.frombuffer(piece, np.uint8, n * layout.row_bytes).reshape(n, layout.row_bytes)
    undone = open_records(manifest, np.arange(first, first + n)).view(np.uint8).reshape(there.shape)
    return bool(np.all((there == undone).all(axis=1) | ~there.any(axis=1)))


def _next_data(fd: int, offset: int) -> int | None:
    """Return where the next bytes are that may not be zeros; reserved space is skipped, however long."""
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None
