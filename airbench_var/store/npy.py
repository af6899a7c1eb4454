"""The .npy header, version 1.0, padded to exactly 512 bytes.

One disk sector holds it, so growth rewrites it in place and in one piece, and the rows start on a sector
boundary. Source: NEP 1 (the .npy format); `numpy.lib.format`.
"""

import re
from typing import Any

import numpy as np

HEADER_BYTES = 512
_MAGIC = b"\x93NUMPY\x01\x00"


def encode_header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """Return the 512 bytes before the data of a C-ordered array of this dtype and shape."""
    plain = tuple(map(int, shape))  # NumPy's integers would be written as np.int64(4), which nobody can read
    fields = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": plain}
    text = "{" + "".join(f"{key!r}: {value!r}, " for key, value in fields.items()) + "}"
    length = HEADER_BYTES - len(_MAGIC) - 2
    if len(text) >= length:
        raise ValueError(f"the .npy header needs {len(text)} of {length - 1} characters")
    return _MAGIC + length.to_bytes(2, "little") + text.ljust(length - 1).encode("ascii") + b"\n"


def decode_rows(header: bytes, dtype: np.dtype[Any], row_shape: tuple[int, ...]) -> int | None:
    """Return the number of rows, or None when any byte is not the one that `encode_header` writes."""
    match = re.search(rb"'shape': \((\d{1,15}),", header)
    rows = int(match[1]) if match else 0
    return rows if rows and header == encode_header(dtype, (rows, *row_shape)) else None
