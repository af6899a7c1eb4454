"""What a worker holds: for each run that it trains at a time, a lane with trainers of its own."""

import socket
import time
from collections.abc import Sequence

from airbench_var.execution.contract import MakeTrain, Notice, TrainFunction
from airbench_var.store.rows import RunResult, RunSpec

#: A worker that took longer is mentioned: it compiled, or something is slow.
SLOW_TO_BE_READY_S = 15.0


class Lanes:
    """The lanes of one worker, prepared one after another: capturing is for one thread at a time.

    Two threads may train in different lanes at once.
    """

    def __init__(self, arms: Sequence[MakeTrain], lanes: int = 1) -> None:
        start_s = time.perf_counter()
        self._trains: list[list[TrainFunction]] = [[make() for make in arms] for _ in range(lanes)]
        self.ready_s = time.perf_counter() - start_s  #: how long that took, in no run's time

    def train(self, lane: int, spec: RunSpec) -> RunResult:
        """Train one run."""
        return self._trains[lane][spec.arm](spec.seeds)

    def notice(self, worker: int) -> Notice:
        """Return that this worker is ready, how long it took, and where it is."""
        slow = self.ready_s >= SLOW_TO_BE_READY_S
        return Notice(
            kind="ready",
            text=f"worker {worker} was ready after {self.ready_s:.0f} s, in no run's time" if slow else "",
            fields={
                "worker": worker,
                "seconds": round(self.ready_s, 3),
                "host": socket.gethostname(),
                "device": getattr(self._trains[0][0], "device_name", ""),
            },
        )
