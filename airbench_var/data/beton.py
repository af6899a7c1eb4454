"""Write a split as an FFCV data set (.beton, version 2) with the fields `image` (raw RGB) and `label` (int).

FFCV's own writer forks processes, which a process that runs torch must not do, and waits for ever when one of
them meets a full disk. The same file, byte for byte, is a header, two field descriptions, a table and pages.

Source: FFCV 1.0.2, ffcv/types.py and ffcv/memory_allocator.py.
"""

from pathlib import Path
from typing import Any

import numpy as np

from airbench_var.cache import arriving_at
from airbench_var.data.dataset import Split
from airbench_var.errors import StorageError

VERSION, PAGE_BYTES = 2, 1 << 23
INT, RGB, RAW = 1, 2, 1  # two type ids, and the mode of an image that is not compressed

_HEADER = np.dtype(
    [
        ("version", "<u2"),
        ("num_fields", "<u2"),
        ("page_size", "<u4"),
        ("num_samples", "<u8"),
        ("alloc_table_ptr", "<u8"),
    ]
)
_FIELD = np.dtype([("type_id", "u1"), ("name", "S16"), ("arguments", "u1", 1024)])
_ROW = np.dtype(
    {
        "names": ["mode", "width", "height", "data_ptr", "label"],
        "formats": ["u1", "<u2", "<u2", "<u8", "<i8"],
        "offsets": [0, 1, 3, 5, 16],
        "itemsize": 24,
    }
)
_ALLOCATION = np.dtype([("sample_id", "<u8"), ("ptr", "<u8"), ("size", "<u8")])


def write(split: Split, path: Path) -> None:
    """Write the split at path, complete or not at all; raises StorageError when the disk does not take it."""
    n, height, width, _ = split.images_NHWC.shape
    image_bytes = height * width * 3
    a_page = PAGE_BYTES // image_bytes
    start = _round_up(_HEADER.itemsize + 2 * _FIELD.itemsize + n * _ROW.itemsize, PAGE_BYTES)
    page, place = np.divmod(np.arange(n), a_page)
    ptr = start + page * PAGE_BYTES + place * image_bytes
    table_at = start + -(-n // a_page) * PAGE_BYTES
    header = _table(_HEADER, 1, version=VERSION, num_fields=2, page_size=PAGE_BYTES, num_samples=n)
    header["alloc_table_ptr"] = table_at
    fields = _table(_FIELD, 2, type_id=[RGB, INT], name=[b"image", b"label"])
    rows = _table(_ROW, n, mode=RAW, width=width, height=height, data_ptr=ptr, label=split.labels_N)
    try:
        with arriving_at(path) as file:
            for part in (header, fields, rows):
                file.write(part.tobytes())
            for first in range(0, n, a_page):
                file.seek(start + first // a_page * PAGE_BYTES)  # the gaps read as zeros
                file.write(split.images_NHWC[first : first + a_page].tobytes())
            file.seek(table_at)
            file.write(_table(_ALLOCATION, n, sample_id=np.arange(n), ptr=ptr, size=image_bytes).tobytes())
    except OSError as error:
        raise StorageError(f"Cannot write {path}: {error}. Make room, or use --loader resident.") from error


def is_complete(path: Path, n: int) -> bool:
    """Whether path is a .beton of n examples that was written to its end.

    `write` lets a file appear only when it is whole; one that FFCV left half-done has alloc_table_ptr 0.
    """
    if not path.is_file() or path.stat().st_size < _HEADER.itemsize:
        return False
    header = np.fromfile(path, _HEADER, count=1)[0]
    end = int(header["alloc_table_ptr"]) + n * _ALLOCATION.itemsize
    return bool(
        header["version"] == VERSION
        and header["num_samples"] == n
        and header["alloc_table_ptr"] > 0
        and path.stat().st_size == end
    )


def _table(dtype: np.dtype[Any], rows: int, **columns: Any) -> np.ndarray[tuple[int], np.dtype[Any]]:
    """Return a table of zeros, padding included, with the named columns filled."""
    table = np.zeros(rows, dtype)
    for name, values in columns.items():
        table[name] = values
    return table


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
