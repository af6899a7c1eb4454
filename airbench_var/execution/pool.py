"""A pool of spawned processes, each with its own data, weights and compiled step.

Not concurrent.futures.ProcessPoolExecutor: there one dead worker breaks the pool and loses every run
under way; here it costs its own run, which is tried again.
"""

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from airbench_var.errors import AirbenchVarError
from airbench_var.execution.contract import MAX_ATTEMPTS, MakeTrain, Stop
from airbench_var.store.rows import Outcome, RunSpec

#: How often a waiting pool looks at `stop()`.
POLL_S = 0.2

_CONTEXT = multiprocessing.get_context("spawn")


class WorkerError(AirbenchVarError):
    """An exception in a worker process, with its traceback."""


@dataclass
class _Worker:
    number: int
    process: SpawnProcess
    connection: Connection
    spec: RunSpec | None = None  #: under way; None before the worker is ready and between runs
    ready: bool = False

    @classmethod
    def start(cls, number: int, make_train: MakeTrain) -> "_Worker":
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(
            target=_work, args=(theirs, make_train), name=f"worker-{number}", daemon=True
        )
        process.start()
        theirs.close()  # so that the worker's death is an end of file here
        return cls(number, process, ours)


def process_pool(
    make_train: MakeTrain, specs: Iterable[RunSpec], stop: Stop, *, workers: int
) -> Iterator[Outcome | None]:
    """Yield outcomes in order of completion from `workers` processes, and None when none came for a while.

    Raises:
        WorkerError: a run or the preparation raised, or workers die before they are ready.
    """
    queue = deque(specs)
    pool = [_Worker.start(number, make_train) for number in range(min(workers, len(queue)))]
    deaths_at_start = 0
    try:
        while True:
            stopping = stop()
            for worker in pool:
                if worker.ready and worker.spec is None and queue and not stopping:
                    worker.spec = queue.popleft()
                    with suppress(BrokenPipeError):  # it just died: the end of file below tells
                        worker.connection.send(worker.spec)
            starting = not stopping and queue and any(not worker.ready for worker in pool)
            if not starting and all(worker.spec is None for worker in pool):
                return
            messages = wait([worker.connection for worker in pool], timeout=POLL_S)
            if not messages:
                yield None
            for connection in messages:
                worker = next(worker for worker in pool if worker.connection is connection)
                try:
                    message = worker.connection.recv()
                except (EOFError, ConnectionResetError):
                    deaths_at_start = 0 if worker.ready else deaths_at_start + 1
                    outcome = _mourn(worker, queue, deaths_at_start)
                    pool[pool.index(worker)] = _Worker.start(worker.number, make_train)
                    if outcome:
                        yield outcome
                    continue
                if isinstance(message, AirbenchVarError):
                    raise message
                if isinstance(message, str):
                    raise WorkerError(f"worker {worker.number} raised an exception:\n{message}")
                worker.ready = True
                if message is not None:
                    assert worker.spec is not None
                    done, worker.spec = worker.spec, None
                    yield Outcome(spec=done, worker=worker.number, result=message)
    finally:
        for worker in pool:
            worker.connection.close()  # a worker between runs leaves by itself
        for worker in pool:
            worker.process.terminate()
            worker.process.join()


def _mourn(worker: _Worker, queue: deque[RunSpec], deaths_at_start: int) -> Outcome | None:
    """Bury a dead worker: put its run back in front of the queue, or return the outcome of giving up."""
    worker.process.join()
    code = worker.process.exitcode
    how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
    if not worker.ready and deaths_at_start >= MAX_ATTEMPTS:
        raise WorkerError(
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


def _work(connection: Connection, make_train: MakeTrain) -> None:
    """Say None when ready, then answer every spec with a result, or with what was raised."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole process group; the campaign decides
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    try:
        train = make_train()
        connection.send(None)
        while True:
            spec: RunSpec = connection.recv()
            connection.send(train(spec.seeds))
    except (EOFError, BrokenPipeError):
        return
    except AirbenchVarError as error:  # its message is for the user as it is
        connection.send(error)
    except Exception:
        connection.send(traceback.format_exc())


def _leave_with_parent() -> None:
    """Do not train on for a campaign that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
