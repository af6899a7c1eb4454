"""Files and folders that get their names when they are whole, and never take the place of another."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedWriter
from pathlib import Path

from airbench_var.errors import UsageError
from airbench_var.store.disk import storage_errors, sync_folder

INSTEAD = "choose another name with --out"


def refuse_present(path: Path) -> None:
    """Raise UsageError when there is anything under the name."""
    if path.exists() or path.is_symlink():
        raise UsageError(f"--out {path} is there already; nothing was written. Choose another name.")


@contextmanager
def new_file(path: Path) -> Iterator[BufferedWriter]:
    """Yield a file to write, which gets its name at the end; on any error nothing of it is left.

    Raises: UsageError when the name is taken, StorageError when the disk fails.
    """
    with _unfinished(path) as unfinished, storage_errors(path, "writing", instead=INSTEAD):
        try:
            with unfinished.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _name(unfinished, path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to fill by `new_file`, which gets its name at the end; raises as `new_file`."""
    with _unfinished(path) as unfinished, storage_errors(path, "writing", instead=INSTEAD):
        try:
            unfinished.mkdir()
            yield unfinished
            for folder in (unfinished, *(inside for inside in unfinished.rglob("*") if inside.is_dir())):
                sync_folder(folder)
            _name(unfinished, path)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise


@contextmanager
def _unfinished(path: Path) -> Iterator[Path]:
    refuse_present(path)
    with storage_errors(path, "making the folder", instead=INSTEAD):
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
    yield path.with_name(f"{path.name}.{os.getpid()}.unfinished")


def _name(unfinished: Path, path: Path) -> None:
    refuse_present(path)  # again: somebody else may have been faster
    unfinished.rename(path)
    sync_folder(path.absolute().parent)
