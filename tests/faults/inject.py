"""System calls that fail, stop short, or end the process, at a chosen call of the store."""

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: Every call by which the store changes the disk. The `pathlib` methods end in the same functions of `os`.
CALLS = (
    "open",
    "mkdir",
    "posix_fallocate",
    "pwrite",
    "write",
    "fsync",
    "fdatasync",
    "ftruncate",
    "rename",
    "unlink",
)

SECTOR_BYTES = 512

Fault = Callable[[Callable[..., Any], tuple[Any, ...]], Any]


@contextmanager
def counting(fault: Fault, at: int) -> Iterator[list[str]]:
    """Let the call number `at` (from 1; 0 for none) go through `fault`; yield the names of the calls made."""
    made: list[str] = []
    real = {name: getattr(os, name) for name in CALLS}

    def stand_in(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            made.append(name)
            if len(made) == at:
                return fault(real[name], args)
            return real[name](*args, **kwargs)

        return call

    for name in CALLS:
        setattr(os, name, stand_in(name))
    try:
        yield made
    finally:
        for name in CALLS:
            setattr(os, name, real[name])


def no_space(_call: Callable[..., Any], _args: tuple[Any, ...]) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def input_output_error(_call: Callable[..., Any], _args: tuple[Any, ...]) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def kill(call: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """End the process at once, as `kill -9` does; a write has got as far as the last disk sector it enters.

    Finer than Linux: there a signal ends a write between two pages only.
    """
    if call.__name__ == "pwrite":
        fd, data, offset = args
        end = (offset + len(data)) // SECTOR_BYTES * SECTOR_BYTES
        call(fd, data[: max(0, end - offset)], offset)
    os.kill(os.getpid(), signal.SIGKILL)
