"""Read a .npy file that somebody else made, or one inside a .npz file."""

import math
import os
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from airbench_var.errors import DataError
from airbench_var.importing.rows import Array, Contents, Held, Rows, reading, refuse_empty

_READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
#: Up to this size an array in Fortran order is turned in memory, twice of which it takes.
MOST_TURNED_BYTES = 1 << 29
#: What NumPy's header reader raises for bytes that are no header.
_NO_HEADER = (ValueError, SyntaxError, tokenize.TokenError, RecursionError, MemoryError)


@dataclass(frozen=True, kw_only=True)
class NpyFile(Rows):
    """An open .npy file.

    It is read with `readinto` and not through a memory map: the pages of a map count as memory of the
    process, and a file that is cut short under a map ends the process with SIGBUS.
    """

    name: str
    file: BufferedIOBase
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    own_header: bytes  #: all that comes before the array

    @property
    def header(self) -> bytes:
        """The header that the file has."""
        return self.own_header

    def read(self, rows: range) -> Array:
        """Return a copy of some rows, (len(rows), *shape[1:]), in the byte order of the file.

        Raises: DataError when they cannot be read, or the file has become shorter.
        """
        data = bytearray(len(rows) * self.row_bytes)
        with reading(self.name):
            self.file.seek(len(self.own_header) + rows.start * self.row_bytes)
            if self.file.readinto(data) < len(data):
                raise DataError(f"{self.name} became shorter while it was read. Wait until it is whole.")
        return np.frombuffer(data, self.dtype).reshape(len(rows), *self.shape[1:])


@contextmanager
def open_npy(path: Path) -> Iterator[Contents]:
    """Yield the array of a .npy file after a look at its header; nothing in it is ever unpickled.

    Raises: DataError when it cannot be read, is no .npy file, holds objects, is not as long as its header
    says, is empty, or is large and has columns in place of rows one after the other (Fortran order).
    """
    with reading(path):
        file = path.open("rb")
    with file:
        with reading(path):
            size = os.fstat(file.fileno()).st_size
        yield Contents(arrays={"": look_at(str(path), file, size)})


def look_at(name: str, file: BufferedIOBase, size: int) -> Rows:
    """Return the .npy file that begins where `file` is, `size` bytes long; raises as `open_npy`."""
    with reading(name):
        try:
            version = np.lib.format.read_magic(file)
            if version not in _READ_HEADER:
                raise ValueError(f"its format has version {version}")
            shape, is_fortran, dtype = _READ_HEADER[version](file)
        except _NO_HEADER as error:
            raise DataError(
                f"{name} is not a .npy file that can be read: {error}. Write the array with numpy.save."
            ) from error
        length = file.tell()
        file.seek(0)
        header = file.read(length)
    if dtype.hasobject:
        raise DataError(
            f"{name} holds Python objects, which are never loaded: they can run any code. Make an array of "
            "numbers of them, and write it with numpy.save."
        )
    if dtype.subdtype is not None:
        raise DataError(
            f"{name} is an array of arrays, {dtype}. Write it with numpy.save, which knows no such type."
        )
    refuse_empty(name, dtype, shape)
    turned = is_fortran and len(shape) > 1
    if turned and size > MOST_TURNED_BYTES:
        raise DataError(
            f"{name} is in Fortran order, where a run is spread over the whole file, and too large to be "
            "turned in memory. Write it anew: numpy.save(PATH, numpy.ascontiguousarray(numpy.load(PATH)))."
        )
    expected = length + math.prod(shape) * dtype.itemsize
    if size != expected:
        what = "is cut short" if size < expected else "goes on after its array"
        raise DataError(
            f"{name} {what}: {dtype} {shape} takes {expected:,} bytes, the file has {size:,}. Copy it, or "
            "write it, once more."
        )
    found = NpyFile(name=name, file=file, dtype=dtype, shape=shape, own_header=header)
    if not turned:
        return found
    columns = replace(found, shape=shape[::-1]).read(range(shape[-1]))
    return Held(name, columns.T)
