"""The types that every executor agrees on."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from airbench_var.seeds import Seeds
from airbench_var.store.rows import Outcome, RunResult, RunSpec

TrainFunction = Callable[[Seeds], RunResult]
MakeTrain = Callable[[], TrainFunction]  #: picklable
Stop = Callable[[], bool]

#: A run that kills its worker this often is recorded as failed instead of being tried for ever.
MAX_ATTEMPTS = 3

#: How often a waiting executor looks at `stop()`.
POLL_S = 0.2


class Executor(Protocol):
    """See the package's docstring."""

    def __call__(
        self, arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop
    ) -> Iterator[Outcome | None]:
        """Yield one outcome a spec, in order of completion."""
