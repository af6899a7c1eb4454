"""Read a .npy file that somebody else made: some rows at a time, and nothing taken on trust."""

import math
import os
import stat
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from airbench_var.errors import DataError

Array = npt.NDArray[Any]

#: What is read at a time, if a row is not larger: the bytes bound the memory, the rows the bookkeeping.
BLOCK_BYTES, BLOCK_ROWS = 1 << 24, 1 << 10

_READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
#: What NumPy's header reader raises for bytes that are no header.
_NO_HEADER = (ValueError, SyntaxError, tokenize.TokenError, RecursionError, MemoryError)


@dataclass(frozen=True, kw_only=True)
class NpyFile:
    """An open .npy file; a row is one index of the first axis.

    It is read with `readinto` and not through a memory map: the pages of a map count as memory of the
    process, and a file that is cut short under a map ends the process with SIGBUS.
    """

    path: Path
    file: BufferedReader
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    header: bytes  #: all that comes before the array

    @property
    def row_bytes(self) -> int:
        """The size of a row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def blocks(self) -> list[range]:
        """The rows in the pieces to be read at a time: at least one row each."""
        rows = max(1, min(BLOCK_ROWS, BLOCK_BYTES // self.row_bytes))
        return [range(first, min(first + rows, self.shape[0])) for first in range(0, self.shape[0], rows)]

    def read(self, rows: range) -> Array:
        """Return a copy of some rows, (len(rows), *shape[1:]), in the byte order of the file.

        Raises: DataError when they cannot be read, or the file has become shorter.
        """
        data = bytearray(len(rows) * self.row_bytes)
        with _reading(self.path):
            self.file.seek(len(self.header) + rows.start * self.row_bytes)
            if self.file.readinto(data) < len(data):
                raise DataError(f"{self.path} became shorter while it was read. Wait until it is whole.")
        return np.frombuffer(data, self.dtype).reshape(len(rows), *self.shape[1:])


@contextmanager
def open_npy(path: Path) -> Iterator[NpyFile]:
    """Yield a .npy file after a look at its header; nothing in it is ever unpickled.

    Raises: DataError when it cannot be read, is no .npy file, holds objects, is not as long as its header
    says, is empty, or has columns instead of rows one after the other (Fortran order).
    """
    with _reading(path):
        if not stat.S_ISREG(path.stat().st_mode):  # it is read twice, and a pipe might never be opened
            raise DataError(f"{path} is not a file. Give the path of a .npy file.")
        file = path.open("rb")
    with file:
        yield _look_at(path, file)


def _look_at(path: Path, file: BufferedReader) -> NpyFile:
    with _reading(path):
        size = os.fstat(file.fileno()).st_size
        try:
            version = np.lib.format.read_magic(file)
            if version not in _READ_HEADER:
                raise ValueError(f"its format has version {version}")
            shape, is_fortran, dtype = _READ_HEADER[version](file)
        except _NO_HEADER as error:
            raise DataError(
                f"{path} is not a .npy file that can be read: {error}. Write the array with numpy.save."
            ) from error
        length = file.tell()
        file.seek(0)
        header = file.read(length)
    if dtype.hasobject:
        raise DataError(
            f"{path} holds Python objects, which are never loaded: they can run any code. Make an array of "
            "numbers of them, and write it with numpy.save."
        )
    if min(shape, default=1) < 1 or dtype.itemsize == 0:
        raise DataError(
            f"{path} is empty: its shape is {shape}. At least one run and one example are needed."
        )
    if is_fortran and len(shape) > 1:
        raise DataError(
            f"{path} is in Fortran order, where a run is spread over the whole file. Write it once more: "
            "numpy.save(PATH, numpy.ascontiguousarray(numpy.load(PATH)))."
        )
    expected = length + math.prod(shape) * dtype.itemsize
    if size != expected:
        what = "is cut short" if size < expected else "goes on after its array"
        raise DataError(
            f"{path} {what}: {dtype} {shape} takes {expected:,} bytes, the file has {size:,}. Copy it, or "
            "write it, once more."
        )
    return NpyFile(path=path, file=file, dtype=dtype, shape=shape, header=header)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}. Check the path.") from error
