"""Several runs at a time in this process, for a GPU that one run does not fill.

Threads, not processes: those take turns on a GPU, where streams of one process work at once.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue

from airbench_var.execution.contract import MakeTrain, Report, Stop
from airbench_var.execution.dispatch import Done, Event, Raised, Ready, Up, Worker, dispatch
from airbench_var.execution.lanes import Lanes
from airbench_var.store.rows import RunSpec


def in_threads(
    arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop, *, threads: int
) -> Iterator[Report]:
    """Yield outcomes in order of completion from `threads` threads, and None when none came for a while.

    A thread cannot be stopped: whoever leaves early waits for the runs under way, and there is no time limit.
    """
    return dispatch(_Threads(arms, threads), specs, stop, run_limit_s=float("inf"))


class _Threads:
    """A crew of one worker: this process."""

    def __init__(self, arms: Sequence[MakeTrain], threads: int) -> None:
        self._arms, self.lanes = arms, threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="run")
        self._events: SimpleQueue[Event] = SimpleQueue()

    def wanted(self) -> int:
        return 1

    def start(self, worker: Worker) -> None:
        self._prepared = Lanes(self._arms, self.lanes)
        self._events.put(Up(worker))
        self._events.put(Ready(worker, self._prepared.notice(worker.number)))

    def give(self, worker: Worker, lane: int, spec: RunSpec) -> None:
        def train() -> None:
            try:
                self._events.put(Done(worker, lane, self._prepared.train(lane, spec)))
            except BaseException as error:  # of SystemExit, say, a thread tells nobody
                self._events.put(Raised(worker, error))

        self._pool.submit(train)

    def kill(self, worker: Worker) -> None:
        raise AssertionError("a thread cannot be killed, and none is: there is no time limit")

    def wait(self, timeout_s: float) -> list[Event]:
        try:
            return [self._events.get(timeout=timeout_s)]
        except Empty:
            return []

    def close(self) -> None:
        self._pool.shutdown()
