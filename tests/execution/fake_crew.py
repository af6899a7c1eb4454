"""A crew that does what a test says, with a clock of its own: no process, no thread, no second of waiting."""

import random
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from airbench_var.execution import Notice
from airbench_var.execution.dispatch import Died, Done, Event, Ready, Up, Worker
from airbench_var.seeds import Seeds
from airbench_var.store import RunResult, RunSpec

RESULT = RunResult(predictions={}, loss=0.5, diverged=False, train_s=1.0)
SEEDS = Seeds(init=1, order=2, aug=3)
NEVER_S = 1e9
KILLED = "signal SIGKILL"


def spec(run_id: int) -> RunSpec:
    return RunSpec(run_id=run_id, seeds=SEEDS)


def specs(n: int) -> list[RunSpec]:
    return [spec(i) for i in range(n)]


class Plan:
    """What the next worker, or the next attempt of a run, does: when it is up, ready, done, or dead."""

    def __init__(
        self, after_s: float = 1.0, event: Callable[..., Event] | None = None, up_s: float = 0.0, **more: Any
    ) -> None:
        self.after_s, self.event, self.up_s, self.more = after_s, event, up_s, more


DIES = Plan(event=Died, how=KILLED)
HANGS = Plan(NEVER_S)


class FakeCrew:
    """Workers that exist on paper, and a clock that `wait` moves on.

    `runs` says by run id what becomes of its attempts, `starts` by number what becomes of its workers, both
    one after another; the default is a second.
    """

    def __init__(
        self,
        workers: int = 1,
        lanes: int = 1,
        runs: dict[int, Sequence[Plan]] | None = None,
        starts: dict[int, Sequence[Plan]] | None = None,
    ) -> None:
        self.workers, self.lanes, self.now_s = workers, lanes, 0.0
        self.runs = {run_id: list(plans) for run_id, plans in (runs or {}).items()}
        self.starts = {number: list(plans) for number, plans in (starts or {}).items()}
        self.order = count()
        self.coming: list[tuple[float, int, Event]] = []
        self.alive: dict[Worker, dict[int, RunSpec]] = {}
        self.begun: list[tuple[int, int, float, int]] = []  #: run, attempt, when, in whose company
        self.killed: list[tuple[int, float]] = []
        self.started: list[int] = []
        self.most_workers, self.closed = 0, 0

    def clock(self) -> float:
        return self.now_s

    def wanted(self) -> int:
        return self.workers

    def later(self, after_s: float, event: Event) -> None:
        if after_s < NEVER_S:
            self.coming.append((self.now_s + after_s, next(self.order), event))

    def start(self, worker: Worker) -> None:
        assert worker.number not in {other.number for other in self.alive}
        self.alive[worker] = {}
        self.started.append(worker.number)
        self.most_workers = max(self.most_workers, len(self.alive))
        plans = self.starts.get(worker.number)
        plan = plans.pop(0) if plans else Plan()
        self.later(plan.up_s, Up(worker))
        ready = Notice(kind="ready", fields={"worker": worker.number})
        event = plan.event(worker, **plan.more) if plan.event else Ready(worker, ready)
        self.later(plan.up_s + plan.after_s, event)

    def give(self, worker: Worker, lane: int, spec: RunSpec) -> None:
        running = self.alive[worker]
        assert worker.ready
        assert lane not in running
        assert lane in range(self.lanes)
        assert spec.run_id not in {s.run_id for runs in self.alive.values() for s in runs.values()}
        self.begun.append((spec.run_id, spec.attempt, self.now_s, len(running)))
        running[lane] = spec
        plans = self.runs.get(spec.run_id)
        plan = plans.pop(0) if plans else Plan()
        event = plan.event(worker, **plan.more) if plan.event else Done(worker, lane, RESULT)
        self.later(plan.after_s, event)

    def forget(self, worker: Worker) -> None:
        del self.alive[worker]
        self.coming = [entry for entry in self.coming if entry[2].worker is not worker]

    def kill(self, worker: Worker) -> None:
        self.killed.append((worker.number, self.now_s))
        self.forget(worker)

    def wait(self, timeout_s: float) -> list[Event]:
        until_s = min([self.now_s + timeout_s, *(max(entry[0], self.now_s) for entry in self.coming)])
        self.now_s = until_s
        due = sorted(entry for entry in self.coming if entry[0] <= until_s)
        events = []
        for entry in due:
            if entry not in self.coming:
                continue  # its worker died before
            self.coming.remove(entry)
            events.append(entry[2])
            if isinstance(entry[2], Died):
                self.forget(entry[2].worker)
            elif isinstance(entry[2], Done):
                del self.alive[entry[2].worker][entry[2].lane]
        return events

    def close(self) -> None:
        self.closed += 1


class Chaos(FakeCrew):
    """Workers that do anything at any time: get ready or not, end, die, hang, come and go."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        super().__init__(workers=self.random.randint(1, 6), lanes=self.random.randint(1, 4))
        self.death, self.hang = self.random.choice([(0, 0), (0.05, 0.0), (0.3, 0.1), (0.6, 0.3)])

    def wanted(self) -> int:
        if self.random.random() < 0.02:
            self.workers = self.random.randint(1, 6)
        return self.workers

    def plan(self) -> Plan:
        draw = self.random.random()
        after_s = self.random.choice([0, 0.01, 0.5, 1, 3])
        if draw < self.death:
            gone = self.random.random() < 0.3
            return Plan(after_s, Died, how="chance", with_its_machine=gone)
        return HANGS if draw < self.death + self.hang else Plan(after_s)

    def start(self, worker: Worker) -> None:
        plan = self.plan()
        if plan.after_s == NEVER_S or (plan.event and not plan.more["with_its_machine"]):
            plan = Plan()  # of deaths at the start the others tell
        self.starts[worker.number] = [plan]
        super().start(worker)

    def give(self, worker: Worker, lane: int, spec: RunSpec) -> None:
        self.runs[spec.run_id] = [self.plan()]
        super().give(worker, lane, spec)
