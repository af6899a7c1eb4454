"""A pool of spawned processes, each with its own data, weights and compiled step.

Not concurrent.futures.ProcessPoolExecutor: there one dead worker breaks the pool and loses every run
under way; here it costs its own run, which is tried again.
"""

import atexit
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from airbench_var.errors import AirbenchVarError, DeviceError
from airbench_var.execution.contract import MAX_ATTEMPTS, POLL_S, MakeTrain, Stop
from airbench_var.store.rows import Outcome, RunResult, RunSpec

_CONTEXT = multiprocessing.get_context("spawn")


class WorkerError(AirbenchVarError):
    """An exception in a worker process, with its traceback."""


class WorkerStartError(DeviceError):
    """Workers are killed before their first run, most often because the machine lacks the memory."""


@dataclass(eq=False)
class _Worker:
    number: int
    process: SpawnProcess
    connection: Connection
    spec: RunSpec | None = None  #: under way; None before the worker is ready and between runs
    ready: bool = False
    ready_s: float | None = None  #: how long that took, until it is told

    @classmethod
    def start(cls, number: int) -> "_Worker":
        """Start a process that waits for its arms.

        It gets nothing but its end of the pipe as an argument: multiprocessing writes arguments to a pipe
        that it also holds open for reading, so large ones for a child that dies would block for ever.
        """
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=_work, args=(theirs,), name=f"worker-{number}", daemon=True)
        # Ctrl-C, or a scheduler's SIGTERM, reaches the whole process group, but the campaign decides what
        # becomes of the runs under way. A child inherits what is blocked, so it is safe from its birth on.
        resource_tracker.ensure_running()  # here, because starting it unblocks both signals
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        atexit.register(process.kill)  # multiprocessing would send SIGTERM, which is blocked, and wait
        theirs.close()  # so that the worker's death is an end of file here
        return cls(number, process, ours)

    def send(self, message: Sequence[MakeTrain] | RunSpec) -> None:
        with suppress(OSError):  # it just died: the end of file on receiving tells
            self.connection.send(message)

    def receive(self) -> RunResult | float:
        message: RunResult | AirbenchVarError | str | float = self.connection.recv()
        if isinstance(message, AirbenchVarError):
            raise message
        if isinstance(message, str):
            raise WorkerError(f"worker {self.number} raised an exception:\n{message}")
        return message


def process_pool(
    arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop, *, workers: int
) -> Iterator[Outcome | None]:
    """Yield outcomes in order of completion from `workers` processes, and None when none came for a while.

    Raises:
        WorkerError: a run or the preparation raised.
        WorkerStartError: workers die before they are ready.
    """
    queue = deque(specs)
    pool: list[_Worker] = []
    deaths_at_start = 0
    try:
        for number in range(min(workers, len(queue))):
            pool.append(_Worker.start(number))
        for worker in pool:  # not above: this waits for the worker to import, and all can do so at once
            worker.send(arms)
        while True:
            stopping = stop()
            for worker in pool:
                if worker.ready and worker.spec is None and queue and not stopping:
                    worker.spec = queue.popleft()
                    worker.send(worker.spec)
            starting = not stopping and queue and any(not worker.ready for worker in pool)
            if not starting and all(worker.spec is None for worker in pool):
                return
            messages = wait([worker.connection for worker in pool], timeout=POLL_S)
            if not messages:
                yield None
            for connection in messages:
                worker = next(worker for worker in pool if worker.connection is connection)
                try:
                    result = worker.receive()
                except (EOFError, OSError):  # between messages, or in the middle of one
                    deaths_at_start = 0 if worker.ready else deaths_at_start + 1
                    outcome = _mourn(worker, queue, deaths_at_start)
                    pool.remove(worker)
                    if queue and not stop():
                        pool.append(_Worker.start(worker.number))
                        pool[-1].send(arms)
                    if outcome:
                        yield outcome
                    continue
                if isinstance(result, float):
                    worker.ready, worker.ready_s = True, result
                    continue
                assert worker.spec is not None
                done, worker.spec = worker.spec, None
                ready_s, worker.ready_s = worker.ready_s, None
                yield Outcome(spec=done, worker=worker.number, result=result, ready_s=ready_s)
    finally:
        for worker in pool:
            worker.process.kill()
        for worker in pool:
            worker.process.join()


def _mourn(worker: _Worker, queue: deque[RunSpec], deaths_at_start: int) -> Outcome | None:
    """Bury a dead worker: put its run back in front of the queue, or return the outcome of giving up."""
    worker.process.join()
    code = worker.process.exitcode
    how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
    if not worker.ready and deaths_at_start >= MAX_ATTEMPTS:
        raise WorkerStartError(
            f"{deaths_at_start} workers in a row died before their first run ({how}). "
            f"Is there enough memory for one copy of the data in each worker? Try fewer --workers."
        )
    spec = worker.spec
    if spec is None:
        return None
    if spec.attempt >= MAX_ATTEMPTS:
        return Outcome(
            spec=spec, worker=worker.number, failure=f"its worker died {spec.attempt} times ({how})"
        )
    queue.appendleft(replace(spec, attempt=spec.attempt + 1))
    return None


def _work(connection: Connection) -> None:
    """Receive the arms, say how long it took to get ready, then answer specs with what came of them."""
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        arms: Sequence[MakeTrain] = connection.recv()
        start_s = time.perf_counter()
        trains = [make_train() for make_train in arms]
        connection.send(time.perf_counter() - start_s)
        while True:
            spec: RunSpec = connection.recv()
            connection.send(trains[spec.arm](spec.seeds))
    except Exception as error:
        with suppress(OSError):  # the campaign has left, and nobody listens
            # The message of a named error is for the user as it is.
            connection.send(error if isinstance(error, AirbenchVarError) else traceback.format_exc())


def _leave_with_parent() -> None:
    """Do not train on for a campaign that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
