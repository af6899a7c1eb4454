"""Several runs at a time in this process, for a GPU that one run does not fill: each with its own trainers.

Threads, not processes: those take turns on a GPU, where streams of one process work at once.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from airbench_var.execution.contract import POLL_S, MakeTrain, Stop
from airbench_var.store.rows import Outcome, RunResult, RunSpec


def in_threads(
    arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop, *, threads: int
) -> Iterator[Outcome | None]:
    """Yield outcomes in order of completion from `threads` threads, and None when none came for a while.

    A thread cannot be stopped: whoever leaves early waits for the runs under way.
    """
    queue = deque(specs)
    workers = range(min(threads, len(queue)))
    ready_s: dict[int, float] = {}
    trains = []
    for number in workers:  # one after another: what they prepare and capture is for one thread at a time
        start_s = time.perf_counter()
        trains.append([make_train() for make_train in arms])
        ready_s[number] = time.perf_counter() - start_s

    idle, running = deque(workers), dict[Future[RunResult], tuple[RunSpec, int]]()
    with ThreadPoolExecutor(max(1, len(workers)), thread_name_prefix="run") as pool:
        while True:
            while idle and queue and not stop():
                spec, number = queue.popleft(), idle.popleft()
                running[pool.submit(trains[number][spec.arm], spec.seeds)] = spec, number
            if not running:
                return
            done, _ = wait(running, timeout=POLL_S, return_when=FIRST_COMPLETED)
            if not done:
                yield None
            for future in done:
                spec, number = running.pop(future)
                idle.append(number)
                yield Outcome(
                    spec=spec, worker=number, result=future.result(), ready_s=ready_s.pop(number, None)
                )
