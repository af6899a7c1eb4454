"""Durable files: preallocated and written with pwrite, so that a full disk is an error and not a signal.

Every system call of the writer that can fail is in this module, in `lock.py`, or inside `storage_errors`.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from airbench_var.errors import StorageError, StoreDamagedError
from airbench_var.store.npy import HEADER_BYTES, decode_rows, encode_header


@contextmanager
def storage_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn an OSError into a StorageError that names the step, the free space, and what is safe."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path}: {doing} failed: {error.strerror or error} ({_free_space(path)}). "
            "Every run acknowledged before is safe in the store. Make room or mend the disk, then give the "
            "same command again; or choose another folder with --out."
        ) from error


def _free_space(path: Path) -> str:
    for folder in (path, *path.absolute().parents):
        try:
            disk = os.statvfs(folder)
        except OSError:
            continue
        return f"{disk.f_bavail * disk.f_frsize / 1e6:,.1f} MB free on this disk"
    return "free space unknown"


def write_all(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write all bytes at the offset; a short write goes on where it stopped (PEP 475 repeats after EINTR)."""
    rest = memoryview(data).cast("B")
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest, offset = rest[written:], offset + written


def write_new_file(path: Path, data: bytes) -> None:
    """Make a file that must not exist yet, with its bytes on the disk at return."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        write_all(fd, data, 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class RowFile:
    """The writer's side of one .npy file of fixed-width rows, C order: dtype, (capacity, *row_shape)."""

    def __init__(self, path: Path, dtype: np.dtype[Any], row_shape: tuple[int, ...], fd: int, capacity: int):
        self.path, self.dtype, self.row_shape, self.capacity = path, dtype, row_shape, capacity
        self._fd = fd
        self._row_bytes = row_bytes(dtype, row_shape)

    @classmethod
    def create(cls, path: Path, dtype: np.dtype[Any], row_shape: tuple[int, ...], capacity: int) -> Self:
        """Make the file with `capacity` rows of zeros, all of its space reserved and its size on the disk."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        file = cls(path, dtype, row_shape, fd, 0)
        try:
            file.reserve(capacity)
            file.promise(capacity)
        except BaseException:
            file.close()
            raise
        return file

    @classmethod
    def open(cls, path: Path, dtype: np.dtype[Any], row_shape: tuple[int, ...]) -> Self:
        """Open an existing file; raise StoreDamagedError when header or size are wrong."""
        rows = count_rows(path, dtype, row_shape)
        return cls(path, dtype, row_shape, os.open(path, os.O_RDWR), rows)

    def reserve(self, capacity: int) -> None:
        """Lengthen the file to hold so many rows of zeros; readers do not look at them yet."""
        os.posix_fallocate(self._fd, 0, HEADER_BYTES + capacity * self._row_bytes)
        os.fsync(self._fd)

    def release(self) -> None:
        """Give back what was reserved and not promised: no reader has mapped it."""
        os.ftruncate(self._fd, HEADER_BYTES + self.capacity * self._row_bytes)

    def promise(self, capacity: int) -> None:
        """Say in the header that the file has so many rows, which `reserve` made; never fewer than before."""
        write_all(self._fd, encode_header(self.dtype, (capacity, *self.row_shape)), 0)
        os.fsync(self._fd)
        self.capacity = capacity

    def write_row(self, row: int, data: bytes | memoryview) -> None:
        """Write one row; it is on the disk only after `sync`."""
        write_all(self._fd, data, HEADER_BYTES + row * self._row_bytes)

    def sync(self) -> None:
        """Bring all rows written so far to the disk."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Give the descriptor back; once."""
        os.close(self._fd)


def row_bytes(dtype: np.dtype[Any], row_shape: tuple[int, ...]) -> int:
    """Return the size of one row in bytes."""
    return int(dtype.itemsize * np.prod(row_shape, dtype=np.int64))


def count_rows(path: Path, dtype: np.dtype[Any], row_shape: tuple[int, ...]) -> int:
    """Return the number of rows that the header promises and the file holds.

    A file longer than its header says is a growth that was cut short, or is going on now: no damage.

    Raises: StoreDamagedError when the file is missing, short, or its header is not exactly ours.
    """
    remedy = "Restore the file from a copy of the store"
    with storage_errors(path, "reading"):
        try:
            rows = decode_rows(_read_header(path), dtype, row_shape)
            missing = HEADER_BYTES + rows * row_bytes(dtype, row_shape) - path.stat().st_size
        except FileNotFoundError as error:
            raise StoreDamagedError(f"{path}: the file is missing. {remedy}.") from error
        except ValueError as error:
            raise StoreDamagedError(f"{path}: {error}. {remedy}.") from error
    if missing > 0:
        raise StoreDamagedError(f"{path}: {missing} bytes are missing at its end. {remedy}.")
    return rows


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


def map_rows(path: Path, dtype: np.dtype[Any], row_shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return the rows of a file as a read-only memory map (rows, *row_shape)."""
    rows = count_rows(path, dtype, row_shape)
    with storage_errors(path, "mapping"):
        return np.asarray(np.memmap(path, dtype, "r", HEADER_BYTES, (rows, *row_shape)))


def only_zeros_after(path: Path, rows: npt.NDArray[Any]) -> bool:
    """Return whether nothing was written to the file after these, its mapped rows."""
    with storage_errors(path, "reading"), path.open("rb") as file:
        file.seek(HEADER_BYTES + rows.nbytes)
        return not any(any(piece) for piece in iter(lambda: file.read(1 << 20), b""))
