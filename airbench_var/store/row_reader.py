"""Copy rows out of a file of a store, with an error where a memory map would end the process."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from airbench_var.store.damage import MISSING, Fault, damaged
from airbench_var.store.disk import storage_errors
from airbench_var.store.layout import RowLayout
from airbench_var.store.records import RunIds


class RowReader:
    """Reads rows with `pread`.

    Not through a memory map: there, a file that is cut short or a disk that fails ends the process with
    SIGBUS, and on a network filesystem old pages may be shown for long. The file is opened for every read,
    which takes microseconds, keeps no descriptor, and makes a network filesystem look again.
    """

    def __init__(self, store: Path, layout: RowLayout, *, missing_as_zeros: bool = False) -> None:
        self._store, self._layout, self._missing_as_zeros = store, layout, missing_as_zeros

    def read(self, ids: RunIds) -> npt.NDArray[Any]:
        """Return copies of these rows, dtype (R, *row_shape).

        Raises: StoreDamagedError when the file ends before them, unless missing rows are to be zeros.
        """
        layout = self._layout
        rows = np.zeros((len(ids), *layout.row_shape), layout.dtype)
        data = rows.reshape(-1).view(np.uint8).data
        path = self._store / layout.file
        with storage_errors(path, "reading"):
            try:
                fd = os.open(path, os.O_RDONLY)
            except FileNotFoundError as error:
                if self._missing_as_zeros:
                    return rows
                raise damaged(self._store, Fault(layout.file, None, MISSING)) from error
            try:
                for first, last in _stretches(ids):
                    target = data[first * layout.row_bytes : last * layout.row_bytes]
                    missing = len(target) - self._pread(fd, target, layout.offset(int(ids[first])))
                    if missing and not self._missing_as_zeros:
                        raise damaged(
                            self._store, Fault(layout.file, None, f"{missing} bytes are missing at its end")
                        )
            finally:
                os.close(fd)
        return rows

    def _pread(self, fd: int, target: memoryview, offset: int) -> int:
        """Fill the target; where missing rows may be zeros, so may rows that the disk cannot read."""
        try:
            return _pread(fd, target, offset)
        except OSError:
            if not self._missing_as_zeros:
                raise
        row_bytes = self._layout.row_bytes
        for start in range(0, len(target), row_bytes):
            row = target[start : start + row_bytes]
            try:
                _pread(fd, row, offset + start)
            except OSError:
                row[:] = bytes(row_bytes)
        return len(target)


def _stretches(ids: RunIds) -> Iterator[tuple[int, int]]:
    """Yield the parts [first, last) of the ids that follow one another."""
    if len(ids):
        breaks = np.flatnonzero(np.diff(ids) != 1) + 1
        yield from zip([0, *breaks.tolist()], [*breaks.tolist(), len(ids)], strict=True)


def _pread(fd: int, target: memoryview, offset: int) -> int:
    """Fill the target from the file and return how many bytes there were."""
    done = 0
    while done < len(target) and (got := os.preadv(fd, [target[done:]], offset + done)):
        done += got
    return done
