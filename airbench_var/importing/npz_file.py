"""Read a .npz file: .npy files in a zip archive, compressed or not, each from its start to its end."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from airbench_var.errors import DataError
from airbench_var.importing.npy_file import look_at
from airbench_var.importing.rows import Contents, Rows, numbers_of, reading

#: What the archive reader raises for damage, a password, or a way to compress that it does not know.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError)


@contextmanager
def open_npz(path: Path) -> Iterator[Contents]:
    """Yield the arrays of a .npz file by name; raises DataError when it is no archive, or damaged."""
    arrays: dict[str, Rows] = {}
    others: dict[str, str] = {}
    with ExitStack() as opened:
        with reading(path), _damage(path):
            archive = opened.enter_context(zipfile.ZipFile(path))
        for member in archive.infolist():
            key = member.filename.removesuffix(".npy")
            name = f"{path}, {key}"
            if key in arrays or key in others:
                raise DataError(f"{path} has {key} twice. Write it once more, with numpy.savez.")
            if key == member.filename:
                others[key] = "not a .npy file"
                continue
            try:
                with _damage(name):
                    file = opened.enter_context(archive.open(member))
                    arrays[key] = look_at(name, _Member(file, name), member.file_size)
            except DataError as error:  # what is not asked for may be anything
                others[key] = str(error)
        numbers = numbers_of({key: _number(rows) for key, rows in arrays.items() if not rows.shape})
        yield Contents(arrays=arrays, others=others, numbers=numbers)


def _number(rows: Rows) -> object:
    """Return the value of an array without an axis; None where it cannot be read, as nobody asked for it."""
    try:
        return rows.read(range(1)).item()
    except DataError:
        return None


class _Member(BufferedIOBase):
    """A file in the archive, whose damage is a DataError; going back means to read from its start again."""

    def __init__(self, file: Any, name: str) -> None:
        self._file, self._name = file, name

    def seek(self, offset: int, whence: int = 0) -> int:
        with _damage(self._name):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def read(self, size: int | None = -1) -> bytes:
        with _damage(self._name):
            return bytes(self._file.read(size))

    def readinto(self, buffer: Any) -> int:
        with _damage(self._name):
            return int(self._file.readinto(buffer))


@contextmanager
def _damage(name: str | Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise DataError(
            f"{name} is not in a .npz file that can be read: {error}. Copy it, or write it with numpy.savez, "
            "once more."
        ) from error
