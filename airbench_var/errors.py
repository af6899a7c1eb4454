"""Named errors: each says what happened, why, and what to do next, and carries the exit code.

| code | meaning |
|---|---|
| 0 | done |
| 1 | a defect of ours |
| 2 | the command, an option, or a recipe is wrong |
| 3 | the data set is missing or not what it claims to be |
| 4 | the store is damaged |
| 5 | the store belongs to something else, or to another writer |
| 6 | the disk is full, read-only, or failing |
| 7 | no such device, too little memory for the workers, or an optional package is missing |
| 8 | some runs failed |
| 130, 143 | interrupted; everything committed is kept |
| 141 | nobody reads its messages any more, so it stopped; likewise |
"""

import difflib
import errno
import operator
from collections.abc import Sequence
from typing import Any


class AirbenchVarError(Exception):
    """Base of every error that a user can cause or mend."""

    exit_code = 1


class UsageError(AirbenchVarError):
    """The command line, a recipe name, or a recipe key is wrong."""

    exit_code = 2


class DataError(AirbenchVarError):
    """The data set is missing, truncated, or not what it claims to be."""

    exit_code = 3


class StoreDamagedError(AirbenchVarError):
    """A store's bytes are not what was committed; the message names file and run."""

    exit_code = 4


class StoreRefusedError(AirbenchVarError):
    """The store belongs to another recipe, data set, format or writer; nothing was written."""

    exit_code = 5


class StorageError(AirbenchVarError):
    """The disk is full, read-only, or failing; what was acknowledged before is safe."""

    exit_code = 6


class DeviceError(AirbenchVarError):
    """The device or optional package that was asked for is not there."""

    exit_code = 7


class RunsFailedError(AirbenchVarError):
    """Some runs killed their worker every time; the others are committed."""

    exit_code = 8


class InterruptedCampaignError(AirbenchVarError):
    """The campaign was stopped by a signal; everything committed is kept."""

    exit_code = 130

    def __init__(self, message: str, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def nearest(name: str, known: Sequence[str], likeness: float = 0.5) -> str:
    """Return ' (did you mean ...?)' for the closest known name, or '' when none is as like, from 0 to 1."""
    match = difflib.get_close_matches(name, known, n=1, cutoff=likeness)
    return f" (did you mean {match[0]!r}?)" if match else ""


#: Errors of the place that was named, where the disk itself may be well.
_PATH = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG)
_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)
_SPACE = (errno.ENOSPC, errno.EDQUOT)


def what_helps(error: OSError) -> str:
    """Return what to do about something that could not be written, as 'Make room'."""
    if error.errno in _PATH:
        return "Check the path"
    if error.errno in _PERMISSION:
        return "Make it writable"
    return "Make room" if error.errno in _SPACE else "Mend the disk"


def is_of_the_disk(error: OSError) -> bool:
    """Whether the disk is at fault, so that its free space says something."""
    return error.errno not in (*_PATH, *_PERMISSION)


def whole_number(name: str, value: Any, least: int) -> int:
    """Return an integer of any library as Python's; raise UsageError for what is none, or below the least."""
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise UsageError(f"{name} is {value!r}; wanted is a whole number of {least} or more.")
    return number
