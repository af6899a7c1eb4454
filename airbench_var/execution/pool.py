"""A pool of spawned processes, each with its own data, weights and compiled step.

Not concurrent.futures.ProcessPoolExecutor: there one dead worker breaks the pool and loses every run
under way; here it costs its own run, which is tried again.
"""

import atexit
import multiprocessing
import os
import pickle
import signal
import socket
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from queue import Empty, SimpleQueue

from airbench_var.errors import AirbenchVarError, UsageError
from airbench_var.execution.contract import MakeTrain, Notice, Report, Stop
from airbench_var.execution.dispatch import Died, Done, Event, Raised, Ready, Up, Worker, dispatch
from airbench_var.execution.lanes import Lanes
from airbench_var.store.rows import RunResult, RunSpec

_CONTEXT = multiprocessing.get_context("spawn")

#: What a worker sends: that it is ready; a lane and its result; an error or its traceback.
_Message = Notice | tuple[int, RunResult] | AirbenchVarError | str


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
    in CUDA_VISIBLE_DEVICES, "" for none. The others raise and time out as `dispatch` says.
    """
    return dispatch(_Processes(arms, workers, lanes, gpus), specs, stop, run_limit_s=run_limit_s)


@dataclass(frozen=True)
class _Process:
    process: SpawnProcess
    connection: Connection
    listener: threading.Thread  #: waits for it, so that nobody else waits for a worker that hangs

    def kill(self) -> None:
        if self.process.pid is not None:  # otherwise it could not be started
            self.process.kill()

    def bury(self) -> str:
        """Let it die, if it has not, and return how it ended."""
        self.kill()
        if self.process.pid is not None:
            self.process.join()
        code = self.process.exitcode
        with suppress(OSError), socket.socket(fileno=os.dup(self.connection.fileno())) as ours:
            ours.shutdown(socket.SHUT_RDWR)  # for the listener it ends here, whoever holds the other end
        if self.listener.ident is not None:
            self.listener.join()
        self.connection.close()
        self.process.close()
        if code is not None and code < 0:
            return f"signal {signal.Signals(-code).name}"
        return f"exit code {code}"


class _Processes:
    """A crew of processes of this machine, and for each a thread that listens to it."""

    def __init__(self, arms: Sequence[MakeTrain], workers: int, lanes: int, gpus: Sequence[str]) -> None:
        self._workers, self.lanes, self._gpus = workers, lanes, gpus
        self._pickled_arms = _pickled(arms)  # once for all workers that will ever be: the data are in it
        self._processes: dict[Worker, _Process] = {}
        self._events: SimpleQueue[Event] = SimpleQueue()
        atexit.register(self.close)  # multiprocessing would send SIGTERM, which is blocked, and wait

    def wanted(self) -> int:
        return self._workers

    def start(self, worker: Worker) -> None:
        """Start a process, and a thread that sends it its arms and listens to it.

        The process gets nothing large as an argument: multiprocessing writes arguments to a pipe that it
        also holds open for reading, so that for a child that dies it would block for ever.
        """
        ours, theirs = _CONTEXT.Pipe()
        gpu = self._gpus[worker.number % len(self._gpus)] if self._gpus else None
        process = _CONTEXT.Process(
            target=_work,
            args=(theirs, worker.number, self.lanes, gpu),
            name=f"worker-{worker.number}",
            daemon=True,
        )
        listener = threading.Thread(
            target=_listen, args=(ours, self._pickled_arms, worker, self._events), daemon=True
        )
        self._events.put(Up(worker))
        # Ctrl-C, or a scheduler's SIGTERM, reaches the whole process group, but the campaign decides what
        # becomes of the runs under way. A child inherits what is blocked, so it is safe from its birth on.
        resource_tracker.ensure_running()  # here, because starting it unblocks both signals
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        try:
            # First, because a second Ctrl-C may raise as soon as it is unblocked: `close` must know of it.
            self._processes[worker] = _Process(process, ours, listener)
            process.start()
            listener.start()
        except OSError as error:  # no memory for another process, or too many of them
            self._events.put(Died(worker, str(error)))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()  # so that the worker's death is an end of file here

    def give(self, worker: Worker, lane: int, spec: RunSpec) -> None:
        with suppress(OSError):  # it just died, which its listener tells
            self._processes[worker].connection.send((lane, spec))

    def wait(self, timeout_s: float) -> list[Event]:
        events = []
        with suppress(Empty):
            events.append(self._events.get(timeout=timeout_s))
            while True:
                events.append(self._events.get_nowait())
        return [self._seen(event) for event in events if event.worker in self._processes]

    def _seen(self, event: Event) -> Event:
        if not isinstance(event, Died):
            return event
        one = self._processes.pop(event.worker)
        if one.process.pid is not None:
            one.process.join(timeout=1)  # so that it ends in its own way
        how = one.bury()
        return replace(event, how=event.how or how)

    def kill(self, worker: Worker) -> None:
        self._processes.pop(worker).bury()

    def close(self) -> None:
        for one in self._processes.values():
            one.kill()
        while self._processes:
            self._processes.popitem()[1].bury()
        atexit.unregister(self.close)  # the last: one more Ctrl-C may have come before


def _pickled(arms: Sequence[MakeTrain]) -> bytes:
    """Raise UsageError for arms that no other process could know, such as a function within a function."""
    try:
        return pickle.dumps(arms, protocol=pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(
            f"what is to be trained cannot be sent to other processes ({error}). Define it at the top level "
            "of a module, or train in this process."
        ) from error


def _listen(connection: Connection, arms: bytes, worker: Worker, events: "SimpleQueue[Event]") -> None:
    """Send a worker its arms, then pass on what it says, until it is no more."""
    try:
        connection.send_bytes(arms)
        while True:
            events.put(_event(worker, connection.recv()))
    except (EOFError, OSError):  # between messages, or in the middle of one
        events.put(Died(worker, ""))
    except Exception as error:  # what it sent cannot be read
        events.put(Raised(worker, _traceback(error)))


def _event(worker: Worker, message: _Message) -> Event:
    match message:
        case Notice():
            return Ready(worker, message)
        case AirbenchVarError() | str():
            return Raised(worker, message)
        case lane, result:
            return Done(worker, lane, result)


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
        except BaseException as error:  # in a thread, SystemExit would end nothing and be seen by nobody
            send(_told(error))

    try:
        prepared = Lanes(connection.recv(), lanes)
        send(prepared.notice(number))
    except Exception as error:
        send(_told(error))
        return
    pool = ThreadPoolExecutor(lanes) if lanes > 1 else None
    while True:
        try:
            lane, spec = connection.recv()
        except (EOFError, OSError):  # the campaign has left
            return
        if pool:
            pool.submit(train, lane, spec)
        else:
            train(lane, spec)


def _told(error: BaseException) -> AirbenchVarError | str:
    """Return what can be sent of an error: the message of a named one is for the user as it is."""
    return error if isinstance(error, AirbenchVarError) else _traceback(error)


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _leave_with_parent() -> None:
    """Do not train on for a campaign that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
