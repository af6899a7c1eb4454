"""FFCV data sets (.beton, version 2) with the fields `image` (RGB) and `label` (int): how they are written.

FFCV's own writer forks processes, which a process that runs torch must not do, and waits for ever when one of
them meets a full disk. The same file, byte for byte, is a header, two field descriptions, a table and pages.

Source: FFCV 1.0.2, ffcv/types.py and ffcv/memory_allocator.py.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from airbench_var.cache import arriving_at
from airbench_var.data.dataset import Split
from airbench_var.errors import DataError, StorageError, what_helps

VERSION, PAGE_BYTES = 2, 1 << 23
INT, RGB, JPEG, RAW = 1, 2, 0, 1  # two type ids, and the modes of an image

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
    start = data_start(n)
    page, place = np.divmod(np.arange(n), a_page)
    ptr = start + page * PAGE_BYTES + place * image_bytes
    table_at = start + -(-n // a_page) * PAGE_BYTES
    rows = _table(_ROW, n, mode=RAW, width=width, height=height, data_ptr=ptr, label=split.labels_N)
    try:
        with arriving_at(path) as file:
            file.write(_beginning(n, table_at) + rows.tobytes())
            for first in range(0, n, a_page):
                file.seek(start + first // a_page * PAGE_BYTES)  # the gaps read as zeros
                file.write(split.images_NHWC[first : first + a_page].tobytes())
            file.seek(table_at)
            file.write(_table(_ALLOCATION, n, sample_id=np.arange(n), ptr=ptr, size=image_bytes).tobytes())
    except OSError as error:
        raise StorageError(
            f"Cannot write {path}: {error}. {what_helps(error)}, or use --loader resident."
        ) from error


@dataclass
class Page:
    """A page of a file of photographs: where it starts, and of each image how it is kept and its bytes."""

    start: int
    mode_N: list[int] = field(default_factory=list)
    width_N: list[int] = field(default_factory=list)
    height_N: list[int] = field(default_factory=list)
    bytes_N: list[int] = field(default_factory=list)
    content: bytearray = field(default_factory=bytearray)  #: until it is written
    written_sha256: str = ""

    @classmethod
    def at(cls, start: int) -> Self:
        """Return an empty page."""
        return cls(start)

    def has_room(self, more: int) -> bool:
        """Whether so many bytes fit."""
        return len(self.content) + more <= PAGE_BYTES

    def add(self, mode: int, width: int, height: int, data: bytes) -> None:
        """Put an image behind the others."""
        for column, value in (
            (self.mode_N, mode),
            (self.width_N, width),
            (self.height_N, height),
            (self.bytes_N, len(data)),
        ):
            column.append(value)
        self.content += data

    @property
    def sha256(self) -> str:
        """The hash of what is in it: the kind, size and bytes of every image."""
        if self.written_sha256:
            return self.written_sha256
        digest = hashlib.sha256(self.content)
        for column in (self.mode_N, self.width_N, self.height_N, self.bytes_N):
            digest.update(np.array(column, "<i8").tobytes())
        return digest.hexdigest()

    @property
    def ptr_N(self) -> npt.NDArray[np.int64]:
        """Where in the file each image begins."""
        return self.start + np.cumsum([0, *self.bytes_N[:-1]]).astype(np.int64)[: len(self.bytes_N)]

    def leave(self) -> None:
        """Let go of the content, which is on the disk."""
        self.written_sha256, self.content = self.sha256, bytearray()

    def to_json(self) -> dict[str, Any]:
        """Return all but the content as JSON values."""
        columns = {"mode": self.mode_N, "width": self.width_N, "height": self.height_N, "bytes": self.bytes_N}
        return {"start": self.start, "sha256": self.sha256, **columns}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return a page that is on the disk."""
        columns = {f"{name}_N": values[name] for name in ("mode", "width", "height", "bytes")}
        return cls(values["start"], **columns, written_sha256=values["sha256"])


def data_start(n: int) -> int:
    """Return where the pages begin in a file with room for n images."""
    return _round_up(_HEADER.itemsize + 2 * _FIELD.itemsize + n * _ROW.itemsize, PAGE_BYTES)


def finish(file: IO[bytes], pages: Sequence[Page], labels_N: npt.NDArray[np.uint16], start: int) -> None:
    """Write table, rows and header around pages that are on the disk; the header last, when all else is."""
    n, table_at = len(labels_N), start + len(pages) * PAGE_BYTES
    ptr_N = np.concatenate([page.ptr_N for page in pages])
    columns = {
        name: np.concatenate([np.array(getattr(page, f"{name}_N"), np.int64) for page in pages])
        for name in ("mode", "width", "height", "bytes")
    }
    size_N = columns.pop("bytes")
    rows = _table(_ROW, n, data_ptr=ptr_N, label=labels_N, **columns)
    file.seek(table_at)
    file.write(_table(_ALLOCATION, n, sample_id=np.arange(n), ptr=ptr_N, size=size_N).tobytes())
    file.truncate()
    file.seek(_HEADER.itemsize + 2 * _FIELD.itemsize)
    file.write(rows.tobytes())
    file.flush()
    os.fsync(file.fileno())
    file.seek(0)
    file.write(_beginning(n, table_at))
    file.flush()
    os.fsync(file.fileno())


def _beginning(n: int, table_at: int) -> bytes:
    """Return header and field descriptions."""
    header = _table(_HEADER, 1, version=VERSION, num_fields=2, page_size=PAGE_BYTES, num_samples=n)
    header["alloc_table_ptr"] = table_at
    fields = _table(_FIELD, 2, type_id=[RGB, INT], name=[b"image", b"label"])
    return header.tobytes() + fields.tobytes()


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


def read_rows(path: Path) -> np.ndarray[tuple[int], np.dtype[Any]]:
    """Return of every image mode, width, height, data_ptr and label, from a file that is whole.

    Raises: DataError for a file that is none, of other fields, or cut short.
    """
    try:
        with path.open("rb") as file:
            beginning = file.read(_HEADER.itemsize + 2 * _FIELD.itemsize)
            header = np.frombuffer(beginning, _HEADER, count=1)[0]
            fields = np.frombuffer(beginning[_HEADER.itemsize :], _FIELD)
            n = int(header["num_samples"])
            rows = np.fromfile(file, _ROW, count=n) if is_complete(path, n) else None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no .beton"
        raise DataError(f"{path} cannot be read: {reason}.") from error
    if rows is None or len(rows) < n:
        raise DataError(f"{path} is no .beton, or was cut short. Copy or write it anew.")
    if (fields["type_id"] != (RGB, INT)).any() or (fields["name"] != (b"image", b"label")).any():
        raise DataError(f"{path} has other fields than image (RGB) and label (int), in this order.")
    return rows


def rows_sha256(path: Path) -> str:
    """Return the hash of what a file says of its images, which tells it from others; raises DataError."""
    return hashlib.sha256(read_rows(path).tobytes()).hexdigest()


def _table(dtype: np.dtype[Any], rows: int, **columns: Any) -> np.ndarray[tuple[int], np.dtype[Any]]:
    """Return a table of zeros, padding included, with the named columns filled."""
    table = np.zeros(rows, dtype)
    for name, values in columns.items():
        table[name] = values
    return table


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
