"""What is wrong with a store, and how it is said: a fault names its file, and its run where there is one."""

import time
from pathlib import Path
from typing import NamedTuple

from airbench_var.errors import StoreDamagedError

#: What looks damaged beside a writer may be half written: it is damage if it still is after this pause.
RECHECK_S = 0.02


def before_another_look() -> None:
    """Wait until a write that was caught half done is certainly over."""
    time.sleep(RECHECK_S)


MISSING = "the file is missing"


class Fault(NamedTuple):
    """One damaged row, or a file that is damaged as a whole."""

    file: str  #: path inside the store
    run_id: int | None  #: the row; None for the file as a whole
    what: str  #: a clause that goes on after the file and the run

    def __str__(self) -> str:
        run = "" if self.run_id is None else f"run {self.run_id} "
        return f"{self.file}: {run}{self.what}"


class FaultError(StoreDamagedError):
    """A StoreDamagedError with the fault it is about."""

    def __init__(self, message: str, fault: Fault) -> None:
        super().__init__(message)
        self.fault = fault


def damaged(store: Path, fault: Fault) -> FaultError:
    """Return the error that says so, and what to do."""
    return FaultError(
        f"{store}/{fault}. Nothing was computed from it. `python -m airbench_var verify {store}` lists all "
        "damage; bring the file back from a copy of the store, or let `repair` set the damage aside.",
        fault,
    )
