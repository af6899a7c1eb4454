"""One writer at a time: an advisory lock that ends with the process, however it ends."""

import fcntl
import json
import os
import socket
from pathlib import Path
from typing import Self

from airbench_var.errors import StoreRefusedError
from airbench_var.store.disk import storage_errors, write_all

LOCK = "lock"


class WriterLock:
    """The exclusive flock on STORE/lock; the file holds pid and host of the holder, for people."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def take(cls, store: Path, *, instead: str = "choose another folder with --out") -> Self:
        """Take the lock or raise StoreRefusedError that names its holder; never wait.

        instead: what else the command could do, for people.
        """
        path = store / LOCK
        with storage_errors(path, "making", instead=instead):
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)  # Python sets close-on-exec
        try:
            with storage_errors(path, "locking", instead=instead):
                _lock(fd, store, instead)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd)

    def sign(self) -> None:
        """Write down who holds the lock, for the message to a second writer."""
        os.ftruncate(self._fd, 0)
        write_all(self._fd, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)

    def close(self) -> None:
        """Let the next writer in; once."""
        os.close(self._fd)


def _lock(fd: int, store: Path, instead: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_ino != (store / LOCK).stat().st_ino:  # its folder is being taken away
            raise BlockingIOError
    except BlockingIOError as error:
        holder = os.pread(fd, 1000, 0).decode(errors="replace") or "unknown"
        raise StoreRefusedError(
            f"{store}: another campaign is writing ({holder}); nothing was written. "
            f"Wait until it ends, stop it, or {instead}."
        ) from error


LOCKS = Path("/proc/locks")


def lock_holder(store: Path) -> int | None:
    """Return the pid of the process on this machine that holds the lock, or None; the lock is not touched.

    Source: proc_locks(5): kind, ..., pid, device:inode. Processes of another pid namespace show as 0.
    """
    try:
        status, lines = (store / LOCK).stat(), LOCKS.read_text().splitlines()
    except OSError:
        return None
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in lines:
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5] == file:
            return int(fields[4])
    return None
