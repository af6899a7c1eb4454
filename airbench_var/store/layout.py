"""Where the rows of one .npy file lie: fixed width, C order, row i at a byte that follows from i alone."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from airbench_var.store.npy import HEADER_BYTES, decode_rows, encode_header


@dataclass(frozen=True)
class RowLayout:
    """One file of a store: `file` is its path inside the store, a row is dtype (*row_shape)."""

    file: str
    dtype: np.dtype[Any]
    row_shape: tuple[int, ...] = ()

    @cached_property
    def row_bytes(self) -> int:
        """The size of a row."""
        return int(self.dtype.itemsize * np.prod(self.row_shape, dtype=np.int64))

    def offset(self, row: int) -> int:
        """Return the byte where a row begins; for the number of rows, where the file ends."""
        return HEADER_BYTES + row * self.row_bytes

    def rows_in(self, size_bytes: int) -> int:
        """Return how many whole rows a file of this size holds."""
        return max(0, size_bytes - HEADER_BYTES) // self.row_bytes

    def header(self, rows: int) -> bytes:
        """Return the header of a file with so many rows."""
        return encode_header(self.dtype, (rows, *self.row_shape))

    def rows_promised(self, header: bytes) -> int | None:
        """Return the number of rows a header promises, or None when it is not exactly one of ours."""
        return decode_rows(header, self.dtype, self.row_shape)
