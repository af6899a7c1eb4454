"""Files and folders that get their names when they are whole, and never take the place of another.

Of several writers of one name the first wins, whatever their timing: a name is taken by a system call that
fails where there is one, never by looking first.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedWriter
from pathlib import Path

from airbench_var.errors import UsageError
from airbench_var.store.disk import storage_errors, sync_folder

INSTEAD = "choose another name with --out"

#: What `link` says where a filesystem has none: EPERM on FAT, the others by kernel and driver.
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)


def refuse_present(path: Path) -> None:
    """Raise UsageError when there is anything under the name."""
    if path.exists() or path.is_symlink():
        raise _is_taken(path)


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
            _name_file(unfinished, path)
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
            _replace_own(unfinished, path)
            sync_folder(path.absolute().parent)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise


@contextmanager
def _unfinished(path: Path) -> Iterator[Path]:
    refuse_present(path)
    with storage_errors(path, "making the folder", instead=INSTEAD):
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
    yield path.with_name(f"{path.name}.{os.getpid()}.unfinished")


def _name_file(unfinished: Path, path: Path) -> None:
    """Give a whole file its name; raise UsageError when somebody else was faster."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        raise _is_taken(path) from None
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        _replace_own(unfinished, path)
    else:
        unfinished.unlink()
    sync_folder(path.absolute().parent)


def _replace_own(unfinished: Path, path: Path) -> None:
    """Take the name with an empty file or folder of our own, and put what is whole in its place.

    Where this process is killed in between, that empty one stays: for folders, and for files on filesystems
    without hard links (FAT, some network and FUSE ones).
    """
    is_folder = unfinished.is_dir()
    try:
        path.mkdir() if is_folder else path.touch(exist_ok=False)
    except FileExistsError:
        raise _is_taken(path) from None
    try:
        unfinished.rename(path)
    except BaseException as error:
        with suppress(OSError):  # a folder that is no longer empty is somebody else's
            path.rmdir() if is_folder else path.unlink()
        if isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise _is_taken(path) from None
        raise


def _is_taken(path: Path) -> UsageError:
    return UsageError(f"--out {path} is there already; nothing was written. Choose another name.")
