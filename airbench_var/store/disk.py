"""Durable files: preallocated and written with pwrite, so that a full disk is an error and not a signal.

Every system call of the writer that can fail is in this module, in `lock.py`, or inside `storage_errors`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from airbench_var.errors import StorageError, is_of_the_disk, what_helps
from airbench_var.store.layout import RowLayout

#: What is done without writing: then there is nothing to make room for.
READING = ("opening", "reading", "mapping")

#: Filesystems give space in blocks of about this size: a hole between two rows that is smaller saves nothing.
BLOCK_BYTES = 4096


@contextmanager
def storage_errors(
    path: Path, doing: str, *, safe: str = "", instead: str = "choose another folder with --out"
) -> Iterator[None]:
    """Turn an OSError into a StorageError that names the step, what is safe, and what helps.

    safe: a sentence on what was done before; instead: what helps without mending what failed.
    """
    try:
        yield
    except OSError as error:
        what = f"{path}: {doing} failed: {error.strerror or error}"
        if doing in READING:
            raise StorageError(f"{what}. Check the path, its permissions, and the disk.") from error
        free = f" ({_free_space(path)})" if is_of_the_disk(error) else ""
        helps = f"{what_helps(error)}, then give the same command again; or {instead}."
        raise StorageError(" ".join(filter(None, (f"{what}{free}.", safe, helps)))) from error


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


def replace_file(path: Path, data: bytes) -> None:
    """Put a file there, or in the place of another, so that a crash leaves the old state or the new."""
    new = path.with_name(path.name + ".replacing")
    new.unlink(missing_ok=True)
    write_new_file(new, data)
    new.rename(path)
    sync_folder(path.parent)


def copy_new_file(source: Path, target: Path, first: int = 0, last: int | None = None) -> None:
    """Copy bytes first ... last - 1 of a file, or all there are, to one that must not exist yet."""
    end = source.stat().st_size if last is None else min(last, source.stat().st_size)
    reading = os.open(source, os.O_RDONLY)
    try:
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            for offset in range(first, end, 1 << 20):
                write_all(writing, os.pread(reading, min(1 << 20, end - offset), offset), offset - first)
            os.fsync(writing)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def sync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class RowFile:
    """The writer's side of one file of rows."""

    def __init__(self, layout: RowLayout, fd: int, capacity: int) -> None:
        self.layout, self.capacity = layout, capacity
        self._fd = fd

    @classmethod
    def create(cls, folder: Path, layout: RowLayout, capacity: int, own: range | None = None) -> Self:
        """Make the file with `capacity` rows of zeros, its space reserved and its size on the disk.

        own: the rows that space is reserved for; by default all.
        """
        file = cls(layout, os.open(folder / layout.file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644), 0)
        try:
            file.reserve(capacity, own)
            file.promise(capacity)
        except BaseException:
            file.close()
            raise
        return file

    @classmethod
    def open(cls, folder: Path, layout: RowLayout, capacity: int) -> Self:
        """Open a file that is there, whose header promises `capacity` rows."""
        return cls(layout, os.open(folder / layout.file, os.O_RDWR), capacity)

    def reserve(self, capacity: int, own: range | None = None) -> None:
        """Lengthen the file to hold so many rows of zeros; readers do not look at them yet.

        Only for the rows in `own`, by default all, is space set aside: the others may be holes of the file,
        which read as zeros, and get their space when they are written.
        """
        end = self.layout.offset(capacity)
        for first, last in [(0, end)] if own is None else self._stretches(own):
            os.posix_fallocate(self._fd, first, last - first)
        if os.fstat(self._fd).st_size < end:
            os.ftruncate(self._fd, end)
        os.fsync(self._fd)

    def _stretches(self, rows: range) -> Iterator[tuple[int, int]]:
        """Yield the bytes [first, last) of rows, in one piece where no hole fits between them."""
        if not rows:
            return
        if (rows.step - 1) * self.layout.row_bytes < BLOCK_BYTES:
            yield self.layout.offset(rows[0]), self.layout.offset(rows[-1] + 1)
            return
        for row in rows:
            yield self.layout.offset(row), self.layout.offset(row + 1)

    def release(self) -> None:
        """Give back what lies beyond the promised rows: nobody looks at it."""
        if os.fstat(self._fd).st_size > self.layout.offset(self.capacity):
            os.ftruncate(self._fd, self.layout.offset(self.capacity))

    def promise(self, capacity: int) -> None:
        """Say in the header that the file has so many rows, which `reserve` made; never fewer than before."""
        write_all(self._fd, self.layout.header(capacity), 0)
        os.fsync(self._fd)
        self.capacity = capacity

    def write(self, first_row: int, data: bytes | memoryview) -> None:
        """Write one row or several; they are on the disk only after `sync`."""
        write_all(self._fd, data, self.layout.offset(first_row))

    def sync(self) -> None:
        """Bring all rows written so far to the disk."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Give the descriptor back; once."""
        os.close(self._fd)
