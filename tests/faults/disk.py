"""A disk that loses what was not synced: made from the system calls of a campaign, cut off anywhere.

The model is stricter than any filesystem in use. Written bytes and sizes reach the disk at a sync of their
file, or earlier, in any order, in pieces of one sector, or never; names at a sync of their folder, likewise.
A sync that fails drops what it should have written, while the process goes on seeing it.
(After Pillai et al., "All file systems are not created equal", OSDI 2014, and Rebello et al., ATC 2020.)
"""

import errno
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

SECTOR_BYTES = 512

#: Whether change i of n on their way, oldest first, reaches the disk; each file and folder has its own list.
Arrives = Callable[[int, int], bool]

File = int  #: what a name stands for, like an inode number; folders have numbers from 0 down


@dataclass
class Pending:
    """Changes on their way to the disk: sizes and sectors of one file."""

    sizes: list[int] = field(default_factory=list)
    sectors: list[tuple[int, bytes]] = field(default_factory=list)


@dataclass
class Disk:
    """What is on the disk for certain, and what is on its way there."""

    content: dict[File, bytearray] = field(default_factory=dict)
    pending: dict[File, Pending] = field(default_factory=dict)
    names: dict[File, dict[str, File]] = field(default_factory=lambda: {0: {}})  #: of every folder
    pending_names: dict[File, list[tuple[str, ...]]] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)  #: as the process sees them
    folders: dict[str, File] = field(default_factory=lambda: {"": 0})
    dead: bool = False  #: the process was killed, and no other has come yet

    def write(self, file: File, offset: int, data: bytes) -> None:
        """Bytes written, cut at the boundaries of sectors."""
        position = 0
        while position < len(data):
            end = min(len(data), position + SECTOR_BYTES - (offset + position) % SECTOR_BYTES)
            self.pending[file].sectors.append((offset + position, data[position:end]))
            position = end

    def resize(self, file: File, size: int) -> None:
        """A file made longer, with zeros, or shorter."""
        self.pending[file].sizes.append(size)

    def sync(self, file: File, *, fails: bool = False) -> None:
        """All changes of the file are on the disk; or, when it fails, will never be."""
        if not fails:
            for size in self.pending[file].sizes:
                _resize(self.content[file], size)
            for offset, data in self.pending[file].sectors:
                _write(self.content[file], offset, data)
        self.pending[file] = Pending()

    def create(self, path: str) -> File:
        """A new file, empty."""
        file = self.files[path] = len(self.content) + 1
        self.content[file], self.pending[file] = bytearray(), Pending()
        self._name(path, "add", str(file))
        return file

    def make_folder(self, path: str) -> None:
        """A new folder."""
        folder = self.folders[path] = -len(self.names)
        self.names[folder] = {}
        self._name(path, "add", str(folder))

    def remove(self, path: str) -> None:
        """A name taken away, of a file or an empty folder."""
        self.files.pop(path, None)
        self.folders.pop(path, None)
        self._name(path, "remove")

    def rename(self, old: str, new: str) -> None:
        """A file or a folder under another name in the same folder."""
        assert Path(old).parent == Path(new).parent, "a rename between folders is two changes"
        for seen in (self.files, self.folders):
            for path in [path for path in seen if path == old or path.startswith(f"{old}/")]:
                seen[new + path[len(old) :]] = seen.pop(path)
        self._name(old, "rename", Path(new).name)

    def sync_folder(self, path: str) -> None:
        """All names of the folder are on the disk."""
        folder = self.folders[path]
        for change in self.pending_names.pop(folder, []):
            _rename(self.names[folder], change)

    def after_a_power_cut(self, arrives: Arrives) -> dict[str, bytes | None]:
        """Return what is found by path (None for folders) when each change on its way arrives or does not."""
        found: dict[str, bytes | None] = {}
        self._collect(0, "", arrives, found)
        return found

    def _collect(self, folder: File, at: str, arrives: Arrives, found: dict[str, bytes | None]) -> None:
        names = dict(self.names[folder])
        changes = self.pending_names.get(folder, [])
        for i, change in enumerate(changes):
            if arrives(i, len(changes)):
                _rename(names, change)
        for name, file in names.items():
            path = f"{at}/{name}" if at else name
            if file > 0:
                found[path] = self._content(file, arrives)
            else:
                found[path] = None
                self._collect(file, path, arrives, found)

    def _content(self, file: File, arrives: Arrives) -> bytes:
        content = bytearray(self.content[file])
        sizes, sectors = self.pending[file].sizes, self.pending[file].sectors
        for i, size in enumerate(sizes):
            if arrives(i, len(sizes)):
                _resize(content, size)
        for i, (offset, data) in enumerate(sectors):
            if arrives(i, len(sectors)):
                _write(content, offset, data)
        return bytes(content)

    def _name(self, path: str, *change: str) -> None:
        folder, name = os.path.split(path)
        self.pending_names.setdefault(self.folders[folder], []).append((name, *change))


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def _write(content: bytearray, offset: int, data: bytes) -> None:
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def _rename(names: dict[str, File], change: tuple[str, ...]) -> None:
    name, how, *what = change
    if how == "add":
        names[name] = int(what[0])
    elif how == "remove":
        names.pop(name, None)
    elif name in names:
        names[what[0]] = names.pop(name)


def put(found: dict[str, bytes | None], folder: Path) -> None:
    """Make real files of what a power cut left."""
    for path, content in found.items():
        if content is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)


#: What a power cut is made to do for certain: lose everything, nothing, or the oldest before the newest.
ORDERS: tuple[Arrives, ...] = (
    lambda i, n: False,
    lambda i, n: True,
    lambda i, n: i == n - 1,
    lambda i, n: i > 0,
    lambda i, n: i >= n // 2,
)


def some_arrive(rng: random.Random) -> Arrives:
    """Each change on its way arrives with a chance of this draw, so that all mixtures come up."""
    chance = rng.choice([0.1, 0.5, 0.9])
    return lambda i, n: rng.random() < chance


@contextmanager
def recorded(disk: Disk, root: Path, happened: Callable[[str], None], fail_sync: int = 0) -> Iterator[None]:
    """Let every change below `root` pass to the real files and to the model; call `happened` after each.

    The sync of a file with the number `fail_sync` (from 1) fails with EIO. Real syncs are left out: only the
    model loses anything.
    """
    real: dict[str, Any] = {name: getattr(os, name) for name in _Calls.NAMES}
    calls = _Calls(disk, root, real, happened, fail_sync)
    for name in real:
        setattr(os, name, partial(_unless_dead, calls, name))
    try:
        yield
    finally:
        for name, call in real.items():
            setattr(os, name, call)


class Killed(BaseException):
    """Raised by `happened` in place of a kill: from then on no call does anything, until `revive`."""


def _unless_dead(calls: "_Calls", name: str, *args: Any, **more: Any) -> Any:
    """What a process would do on its way out of an exception, a killed one does not."""
    if calls.disk.dead and name != "close":
        raise Killed
    try:
        return getattr(calls, name)(*args, **more)
    except Killed:
        calls.disk.dead = True
        raise


class _Calls:
    """Stand-ins for the functions of `os` by which a store changes the disk."""

    NAMES = (
        "open", "close", "mkdir", "rmdir", "unlink", "rename", "posix_fallocate", "pwrite", "write",
        "ftruncate", "fsync", "fdatasync",
    )  # fmt: skip

    def __init__(
        self, disk: Disk, root: Path, real: dict[str, Any], happened: Callable[[str], None], fail_sync: int
    ) -> None:
        self.disk, self.root, self.real, self.happened = disk, root, real, happened
        self.syncs_until_failure = fail_sync
        self.opened: dict[int, str] = {}  #: descriptor -> path in the model

    def open(self, path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        inside = self._inside(path)
        is_new = inside is not None and flags & os.O_CREAT and not Path(path).exists()
        fd: int = self.real["open"](path, flags, mode, **more)
        if inside is not None:
            self.opened[fd] = inside
            if is_new:
                self.disk.create(inside)
                self.happened("create")
        return fd

    def close(self, fd: int) -> None:
        self.opened.pop(fd, None)
        self.real["close"](fd)

    def mkdir(self, path: Any, *args: Any, **more: Any) -> None:
        self.real["mkdir"](path, *args, **more)
        self._named(path, self.disk.make_folder, "mkdir")

    def rmdir(self, path: Any, **more: Any) -> None:
        self.real["rmdir"](path, **more)
        self._named(path, self.disk.remove, "rmdir")

    def unlink(self, path: Any, **more: Any) -> None:
        self.real["unlink"](path, **more)
        self._named(path, self.disk.remove, "unlink")

    def rename(self, old: Any, new: Any, **more: Any) -> None:
        self.real["rename"](old, new, **more)
        target = self._inside(new)
        if target is not None:
            self._named(old, lambda path: self.disk.rename(path, target), "rename")

    def posix_fallocate(self, fd: int, offset: int, length: int) -> None:
        longer = os.fstat(fd).st_size < offset + length
        self.real["posix_fallocate"](fd, offset, length)
        if longer:
            self._changed(fd, lambda file: self.disk.resize(file, offset + length), "posix_fallocate")

    def ftruncate(self, fd: int, length: int) -> None:
        self.real["ftruncate"](fd, length)
        self._changed(fd, lambda file: self.disk.resize(file, length), "ftruncate")

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        written: int = self.real["pwrite"](fd, data, offset)
        copy = bytes(data)[:written]
        self._changed(fd, lambda file: self.disk.write(file, offset, copy), "pwrite")
        return written

    def write(self, fd: int, data: Any) -> int:
        offset = os.fstat(fd).st_size  # the event log is opened to append
        written: int = self.real["write"](fd, data)
        copy = bytes(data)[:written]
        self._changed(fd, lambda file: self.disk.write(file, offset, copy), "write")
        return written

    def fsync(self, fd: int) -> None:
        path = self.opened.get(fd)
        if path is None:
            return
        if path not in self.disk.files:
            self.disk.sync_folder(path)
            self.happened("fsync of a folder")
            return
        self.syncs_until_failure -= 1
        fails = self.syncs_until_failure == 0
        self._changed(fd, lambda file: self.disk.sync(file, fails=fails), "fsync")
        if fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    fdatasync = fsync

    def _inside(self, path: Any) -> str | None:
        absolute = Path(os.fspath(path)).absolute()
        if not absolute.is_relative_to(self.root):
            return None
        inside = str(absolute.relative_to(self.root))
        return "" if inside == "." else inside

    def _named(self, path: Any, change: Callable[[str], object], call: str) -> None:
        inside = self._inside(path)
        if inside is not None:
            change(inside)
            self.happened(call)

    def _changed(self, fd: int, change: Callable[[File], None], call: str) -> None:
        path = self.opened.get(fd)
        if path is not None:
            change(self.disk.files[path])
            self.happened(call)
