"""Give specs to the workers of a crew and take what comes back: order, retries, giving up, time limits.

A crew knows how to start and kill workers and to talk to them, and nothing of what is asked for here.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from typing import Protocol

from airbench_var.execution.contract import (
    MAX_ATTEMPTS,
    POLL_S,
    Notice,
    Report,
    Stop,
    WorkerError,
    WorkerStartError,
)
from airbench_var.store.rows import Outcome, RunResult, RunSpec

#: Without a limit that was asked for, what takes longer than this many times the longest so far, and longer
#: than so many seconds, is taken to hang; not before so many have ended.
TIMES_THE_LONGEST, LEAST_S, ENDED_BEFORE = 10, 60.0, 3

#: The same for preparing: a machine that joins may have to fetch the data and to compile for minutes what the
#: first ones found in their caches.
LEAST_TO_PREPARE_S = 600.0

#: More time than this between two looks at the workers was spent elsewhere, and is held against none of them:
#: whoever takes the outcomes wrote to a slow disk, or all of this was stopped by Ctrl-Z.
LONGEST_TURN_S = 2 * POLL_S


@dataclass(eq=False)
class Worker:
    """One worker as the dispatcher sees it; one that takes the place of a dead one has the same number."""

    number: int
    ready: bool = False
    up_since_s: float | None = None  #: it is there and prepares; None while it is waited for
    running: dict[int, tuple[RunSpec, float]] = field(default_factory=dict)  #: spec and its start, by lane

    @property
    def suspected(self) -> bool:
        """Whether it has a run under way in whose company a worker died."""
        return any(spec.attempt > 1 for spec, _ in self.running.values())


@dataclass(frozen=True)
class Up:
    """A worker is there, and prepares."""

    worker: Worker


@dataclass(frozen=True)
class Ready:
    """A worker is prepared, and can train in all its lanes."""

    worker: Worker
    notice: Notice


@dataclass(frozen=True)
class Done:
    """The run in one lane has ended."""

    worker: Worker
    lane: int
    result: RunResult


@dataclass(frozen=True)
class Raised:
    """An exception in a worker: a named error as it is, of others the traceback."""

    worker: Worker
    error: BaseException | str


@dataclass(frozen=True)
class Died:
    """A worker is no more, and what it had under way will not come."""

    worker: Worker
    how: str
    with_its_machine: bool = False  #: which says nothing of whether another worker would live


Event = Up | Ready | Done | Raised | Died


class Crew(Protocol):
    """Workers of one kind. Of a worker that was killed or has died, `wait` tells nothing more."""

    @property
    def lanes(self) -> int:
        """How many runs a worker trains at a time."""

    def wanted(self) -> int:
        """Return how many workers there can be now; it may change from call to call."""

    def start(self, worker: Worker) -> None:
        """Begin to start a worker; never wait for it."""

    def give(self, worker: Worker, lane: int, spec: RunSpec) -> None:
        """Let a ready worker train a run in a free lane."""

    def kill(self, worker: Worker) -> None:
        """Let a worker die at once."""

    def wait(self, timeout_s: float) -> Sequence[Event]:
        """Return all that has happened, in order; nothing when that was nothing for so long."""

    def close(self) -> None:
        """Let all workers die."""


class Patience:
    """How long something may take before it is taken to hang."""

    def __init__(self, asked_s: float | None = None, least_s: float = LEAST_S) -> None:
        self._asked_s, self._least_s, self._longest_s, self._ended = asked_s, least_s, 0.0, 0

    def learn(self, seconds: float) -> None:
        """Take note of how long one took that has ended."""
        self._longest_s, self._ended = max(self._longest_s, seconds), self._ended + 1

    @property
    def limit_s(self) -> float:
        """What was asked for; otherwise much more than any took so far, and no limit as long as few ended."""
        if self._asked_s is not None:
            return self._asked_s
        if self._ended < ENDED_BEFORE:
            return math.inf
        return max(self._least_s, TIMES_THE_LONGEST * self._longest_s)


class Work:
    """What is still to be begun: first runs that are tried again, then the specs in their order."""

    def __init__(self, specs: Iterable[RunSpec]) -> None:
        self.again: deque[RunSpec] = deque()
        self._rest = iter(specs)
        self._fresh: deque[RunSpec] = deque()  #: taken from the rest to know that there are so many

    def at_least(self, n: int) -> bool:
        """Return whether there are so many."""
        missing = n - len(self.again) - len(self._fresh)
        self._fresh.extend(islice(self._rest, max(0, missing)))
        return len(self.again) + len(self._fresh) >= n

    def __bool__(self) -> bool:
        return self.at_least(1)

    def take(self, *, fresh: bool = False) -> RunSpec | None:
        """Return the next spec, or the next that was never tried; None when there is none."""
        if self.again and not fresh:
            return self.again.popleft()
        return self._fresh.popleft() if self._fresh else next(self._rest, None)


def dispatch(
    crew: Crew,
    specs: Iterable[RunSpec],
    stop: Stop,
    *,
    run_limit_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Report]:
    """Yield outcomes in order of completion; the crew is closed when this ends, in whichever way.

    `run_limit_s`: a run that has no result after so long is taken to hang; see `Patience` for the default.

    Raises:
        WorkerError: a run or the preparation raised.
        WorkerStartError: no worker gets ready.
    """
    try:
        yield from _Dispatcher(crew, specs, stop, run_limit_s, clock).reports()
    finally:
        crew.close()


class _Dispatcher:
    def __init__(
        self,
        crew: Crew,
        specs: Iterable[RunSpec],
        stop: Stop,
        run_limit_s: float | None,
        clock: Callable[[], float],
    ) -> None:
        self.crew, self.stop, self.clock = crew, stop, clock
        self.work = Work(specs)
        self.team: dict[int, Worker] = {}  #: by number
        self.under_way = 0
        self.training, self.preparing = Patience(run_limit_s), Patience(least_s=LEAST_TO_PREPARE_S)
        self.deaths_at_start: Counter[int] = Counter()  #: in a row, by number
        self.left_out: set[int] = set()  #: numbers whose workers never get ready
        self.wanted = 0  #: as the crew last said
        self.read_s = clock()  #: when the clock was last read
        self.now_s = self.looked_s = 0.0  #: time spent here, and that when it was last looked who hangs

    def reports(self) -> Iterator[Report]:
        told: list[Report] = []  #: in the last turn
        while True:
            stopping = self.stop()
            if not stopping:
                self._hire()
                self._give()
            yield from told  # not earlier, because whoever takes them may write to a disk meanwhile
            if not self.under_way and (stopping or not self.work):
                return
            events = self.crew.wait(POLL_S)
            self._tick()
            told = [] if events else [None]
            try:
                for report in self._turn(events):
                    told.append(report)
            except BaseException:  # what has ended is not lost with it
                yield from told
                raise

    def _turn(self, events: Sequence[Event]) -> Iterator[Report]:
        """Take note of what happened, and of what did not, and yield what there is to tell of it."""
        for event in events:
            yield from self._react(event)
        for worker, how in self._hung():
            self.crew.kill(worker)
            yield from self._mourn(Died(worker, how))

    def _tick(self) -> None:
        before_s, self.read_s = self.read_s, self.clock()
        self.now_s += min(self.read_s - before_s, LONGEST_TURN_S)

    def _hire(self) -> None:
        """Start workers for the work that no lane is free for, as far as the crew can have them."""
        before, self.wanted = self.wanted, self.crew.wanted()
        if self.wanted != before:  # machines came or went: who was left out may now be on another
            self.left_out.clear()
            self.deaths_at_start.clear()
        wanted = self.wanted - len(self.left_out)
        if len(self.team) >= wanted:
            return
        free = self.crew.lanes * len(self.team) - self.under_way
        numbers = (n for n in count() if n not in self.team and n not in self.left_out)
        while len(self.team) < wanted and self.work.at_least(free + 1):
            worker = Worker(next(numbers))
            self.team[worker.number] = worker
            self.crew.start(worker)
            free += self.crew.lanes

    def _give(self) -> None:
        """Fill the free lanes. A run whose worker died gets the next to itself: nothing else dies with it."""
        lanes = self.crew.lanes
        free = [w for w in self.team.values() if w.ready and len(w.running) < lanes and not w.suspected]
        if self.work.again:
            free.sort(key=lambda worker: len(worker.running))
        suspects = len(self.work.again)
        for worker in free:
            if suspects:
                suspects -= 1
                if not worker.running:
                    self._begin(worker, 0, self.work.take())
                continue  # it takes no other until it is free for the suspect
            for lane in range(lanes):
                if lane not in worker.running:
                    self._begin(worker, lane, self.work.take(fresh=True))

    def _begin(self, worker: Worker, lane: int, spec: RunSpec | None) -> None:
        if spec is not None:
            worker.running[lane] = spec, self.now_s
            self.under_way += 1
            self.crew.give(worker, lane, spec)

    def _react(self, event: Event) -> Iterator[Report]:
        worker = event.worker
        match event:
            case Up():
                worker.up_since_s = self.now_s
            case Ready():
                assert worker.up_since_s is not None
                self.preparing.learn(self.now_s - worker.up_since_s)
                self.deaths_at_start[worker.number] = 0
                worker.ready = True
                yield event.notice
            case Done():
                spec, start_s = worker.running.pop(event.lane)
                self.under_way -= 1
                self.training.learn(self.now_s - start_s)
                slot = worker.number * self.crew.lanes + event.lane
                yield Outcome(spec=spec, worker=slot, result=event.result)
            case Raised():
                if isinstance(event.error, BaseException):
                    raise event.error
                raise WorkerError(f"worker {worker.number} raised an exception:\n{event.error}")
            case Died():
                yield from self._mourn(event)

    def _mourn(self, death: Died) -> Iterator[Report]:
        """Put back what a dead worker had under way, or give it up."""
        worker = self.team.pop(death.worker.number)
        if not worker.ready and not death.with_its_machine:
            yield from self._at_start(worker, death.how)
        lost = [spec for spec, _ in worker.running.values()]
        self.under_way -= len(lost)
        again = [spec for spec in lost if spec.attempt < MAX_ATTEMPTS]
        ids = [spec.run_id for spec in again]
        what = f"run {', '.join(map(str, ids))} again" if ids else "no run is tried again"
        yield Notice(
            kind="worker-died",
            text=f"worker {worker.number} died ({death.how}): {what}",
            fields={"worker": worker.number, "how": death.how, "again": ids},
        )
        self.work.again.extend(replace(spec, attempt=spec.attempt + 1) for spec in again)
        for spec in lost:
            if spec.attempt >= MAX_ATTEMPTS:
                why = f"its worker died {spec.attempt} times ({death.how})"
                yield Outcome(spec=spec, worker=worker.number * self.crew.lanes, failure=why)

    def _at_start(self, worker: Worker, how: str) -> Iterator[Report]:
        """Leave a number out when its workers never get ready, as long as others are."""
        self.deaths_at_start[worker.number] += 1
        deaths = self.deaths_at_start[worker.number]
        if deaths < MAX_ATTEMPTS:
            return
        what = f"worker {worker.number} died {deaths} times in a row before its first run ({how})"
        if not any(other.ready for other in self.team.values()):
            raise WorkerStartError(
                f"{what}. Is there enough memory for a copy of the data in each? Try fewer --workers."
            )
        self.left_out.add(worker.number)
        text = f"{what}; the campaign goes on without it, in {len(self.team)} workers"
        yield Notice(kind="left-out", text=text, fields={"worker": worker.number, "how": how})

    def _hung(self) -> Iterator[tuple[Worker, str]]:
        """Yield the workers that take much too long, looking now and then."""
        now_s = self.now_s
        if now_s - self.looked_s < POLL_S:
            return
        self.looked_s = now_s
        for worker in list(self.team.values()):
            if worker.ready:
                since_s = min((start_s for _, start_s in worker.running.values()), default=now_s)
                limit_s, what = self.training.limit_s, "no result"
            else:
                since_s = now_s if worker.up_since_s is None else worker.up_since_s
                limit_s, what = self.preparing.limit_s, "not ready"
            if now_s - since_s > limit_s:
                yield worker, f"hung: {what} after {limit_s:.3g} s"
