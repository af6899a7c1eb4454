"""The types that every executor agrees on."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from airbench_var.errors import AirbenchVarError, DeviceError
from airbench_var.seeds import Seeds
from airbench_var.store.rows import Outcome, RunResult, RunSpec

TrainFunction = Callable[[Seeds], RunResult]  #: may say on what it trains, as an attribute `device_name`
MakeTrain = Callable[[], TrainFunction]  #: picklable
Stop = Callable[[], bool]

#: A run that kills its worker this often is recorded as failed instead of being tried for ever.
MAX_ATTEMPTS = 3

#: How often a waiting executor looks at `stop()`.
POLL_S = 0.2


class WorkerError(AirbenchVarError):
    """An exception in a worker, with its traceback."""


class WorkerStartError(DeviceError):
    """Workers die before their first run, most often because the machine lacks the memory."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What an executor has to tell besides outcomes: a worker is ready, or died."""

    kind: str  #: "ready", "worker-died", ...: the kind of an event of the store
    text: str = ""  #: what people should see at once; empty when it is for the record
    fields: Mapping[str, int | float | str | Sequence[int]] = field(default_factory=dict)


Report = Outcome | Notice | None


class Executor(Protocol):
    """See the package's docstring."""

    def __call__(self, arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop) -> Iterator[Report]:
        """Yield one outcome a spec, in order of completion, and what else there is to tell."""
