"""A pool of spawned processes, each with its own data, weights and compiled step.

Not concurrent.futures.ProcessPoolExecutor: there one dead worker breaks the pool and loses every run
under way; here it costs its own run, which is tried again.
"""

import atexit
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from airbench_var.errors import AirbenchVarError
from airbench_var.execution.contract import MakeTrain, Notice, Report, Stop
from airbench_var.execution.dispatch import Died, Done, Event, Raised, Ready, Up, Worker, dispatch
from airbench_var.execution.lanes import Lanes
from airbench_var.store.rows import RunResult, RunSpec

_CONTEXT = multiprocessing.get_context("spawn")

#: What a worker sends: that it is up; that it is ready; a lane and its result; an error or its traceback.
_Message = None | Notice | tuple[int, RunResult] | AirbenchVarError | str


def process_pool(
    arms: Sequence[MakeTrain],
    specs: Iterable[RunSpec],
    stop: Stop,
    *,
    workers: int,
    lanes: int = 1,
    gpus: Sequence[str] = (),
    run_limit_s: float | None = None,
) -> Iterator[Report]:
    """Yield outcomes in order of completion from `workers` processes, and None when none came for a while.

    Each process trains `lanes` runs at a time, and sees one of the `gpus`, taken in turn; they are named as
    in CUDA_VISIBLE_DEVICES. The others raise and time out as `dispatch` says.
    """
    return dispatch(_Processes(arms, workers, lanes, gpus), specs, stop, run_limit_s=run_limit_s)


@dataclass(frozen=True)
class _Process:
    process: SpawnProcess
    connection: Connection

    def send(self, message: Sequence[MakeTrain] | tuple[int, RunSpec]) -> None:
        with suppress(OSError):  # it just died: the end of file on receiving tells
            self.connection.send(message)


class _Processes:
    """A crew of processes of this machine."""

    def __init__(self, arms: Sequence[MakeTrain], workers: int, lanes: int, gpus: Sequence[str]) -> None:
        self._arms, self._workers, self.lanes, self._gpus = arms, workers, lanes, gpus
        self._processes: dict[Worker, _Process] = {}

    def wanted(self) -> int:
        return self._workers

    def start(self, worker: Worker) -> None:
        """Start a process that says when it waits for its arms.

        It gets nothing large as an argument: multiprocessing writes arguments to a pipe that it also holds
        open for reading, so that for a child that dies it would block for ever.
        """
        ours, theirs = _CONTEXT.Pipe()
        gpu = self._gpus[worker.number % len(self._gpus)] if self._gpus else None
        process = _CONTEXT.Process(
            target=_work,
            args=(theirs, worker.number, self.lanes, gpu),
            name=f"worker-{worker.number}",
            daemon=True,
        )
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
        self._processes[worker] = _Process(process, ours)

    def give(self, worker: Worker, lane: int, spec: RunSpec) -> None:
        self._processes[worker].send((lane, spec))

    def wait(self, timeout_s: float) -> list[Event]:
        workers = {one.connection: worker for worker, one in self._processes.items()}
        ready = wait(list(workers), timeout=timeout_s)
        return [
            self._receive(workers[connection]) for connection in ready if isinstance(connection, Connection)
        ]

    def _receive(self, worker: Worker) -> Event:
        try:
            message: _Message = self._processes[worker].connection.recv()
        except (EOFError, OSError):  # between messages, or in the middle of one
            self._processes[worker].process.join(timeout=1)  # so that it ends in its own way
            return Died(worker, self._bury(worker))
        match message:
            case None:
                self._processes[worker].send(self._arms)
                return Up(worker)
            case Notice():
                return Ready(worker, message)
            case AirbenchVarError() | str():
                return Raised(worker, message)
            case lane, result:
                return Done(worker, lane, result)

    def _bury(self, worker: Worker) -> str:
        """Let a process die, if it has not, and return how it ended."""
        one = self._processes.pop(worker)
        one.process.kill()
        one.process.join()
        one.connection.close()
        atexit.unregister(one.process.kill)
        code = one.process.exitcode
        return (
            f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        )

    def kill(self, worker: Worker) -> None:
        self._bury(worker)

    def close(self) -> None:
        for one in self._processes.values():
            one.process.kill()
        for worker in list(self._processes):
            self._bury(worker)


def _work(connection: Connection, number: int, lanes: int, gpu: str | None) -> None:
    """Receive the arms, say when they are prepared, then answer specs with what came of them."""
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # before CUDA is first used, which reads it
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    sending = threading.Lock()

    def send(message: _Message) -> None:
        with sending, suppress(OSError):  # the campaign has left, and nobody listens
            connection.send(message)

    def train(lane: int, spec: RunSpec) -> None:
        try:
            send((lane, prepared.train(lane, spec)))
        except Exception as error:
            send(_told(error))

    try:
        send(None)
        prepared = Lanes(connection.recv(), lanes)
        send(prepared.notice(number))
    except Exception as error:
        send(_told(error))
        return
    pool = ThreadPoolExecutor(lanes) if lanes > 1 else None
    while True:
        lane, spec = connection.recv()
        if pool:
            pool.submit(train, lane, spec)
        else:
            train(lane, spec)


def _told(error: Exception) -> AirbenchVarError | str:
    """Return what can be sent of an error: the message of a named one is for the user as it is."""
    return error if isinstance(error, AirbenchVarError) else "".join(traceback.format_exception(error))


def _leave_with_parent() -> None:
    """Do not train on for a campaign that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
