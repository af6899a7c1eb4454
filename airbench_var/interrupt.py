"""What is done about Ctrl-C and SIGTERM: a campaign ends in order at the first, other commands tidy up."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from airbench_var.errors import InterruptedCampaignError


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends a command as Ctrl-C does, so that what is unfinished is removed on the way out."""


@contextmanager
def terminable() -> Iterator[None]:
    """Within this context SIGTERM raises Terminated, but where an `Interrupt` takes it."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():  # elsewhere Python takes no handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def exit_code_of(interrupt: KeyboardInterrupt) -> int:
    """Return 143 for SIGTERM, 130 for Ctrl-C."""
    return 128 + (signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT)


class Interrupt:
    """Within this context the first SIGINT or SIGTERM is only recorded, and the second stops at once.

    Raises: InterruptedCampaignError at the second, with 128 + its number as exit code.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.signal: signal.Signals | None = None  #: the last that came
        self._say, self._said = say, False
        self._previous: dict[signal.Signals, Any] = {}

    def requested(self) -> bool:
        """Return whether a signal came, and say so the first time: a handler must not print."""
        if self.signal and not self._said:
            self._said = True
            self._say(f"{self.signal.name}: finishing the runs under way; once more stops at once.")
        return self.signal is not None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python takes no handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self.signal and isinstance(error, KeyboardInterrupt):
            raise InterruptedCampaignError(
                f"stopped at once by {self.signal.name}. What was committed is kept; "
                "the same command goes on from there.",
                exit_code=128 + self.signal,
            ) from None

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        second, self.signal = self.signal is not None, signal.Signals(number)
        if second:
            raise KeyboardInterrupt  # no `except Exception` on the way out takes it for something else
