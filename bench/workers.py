"""Processes that stay alive and idle between turns, so that starting one is in no time that counts."""

import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Self

import torch

#: What says how many threads libraries take; a user's shell has none of them set.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Work = Callable[[int], float]  #: from a seed to an accuracy

_CONTEXT = multiprocessing.get_context("spawn")


class WorkerFailedError(RuntimeError):
    """What was raised in a worker, with its traceback."""


class Workers:
    """So many processes, each with what `make` returns there and its own threads of PyTorch.

    Raises: WorkerFailedError with what was raised in one of them, then and in a turn.
    """

    def __init__(self, make: Callable[[], Work], processes: int, threads: int | None) -> None:
        """Start them and wait until they are ready; without `threads`, PyTorch chooses."""
        self._connections: list[Connection] = []
        self._processes = []
        self.seed = 0  #: the next
        try:
            for _ in range(processes):
                ours, theirs = _CONTEXT.Pipe()
                process = _CONTEXT.Process(target=_work, args=(theirs,))  # no daemon: loaders have children
                with _as_in_a_new_shell():
                    process.start()
                theirs.close()
                self._processes.append(process)
                self._connections.append(ours)
            for connection in self._connections:  # not above: all can import at once
                connection.send((make, threads))
            self._receive()
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._processes)

    def turn(self) -> Sequence[float]:
        """Return what each worker makes of a seed of its own; all work at once."""
        for connection in self._connections:
            connection.send(self.seed)
            self.seed += 1
        return self._receive()

    def _receive(self) -> Sequence[float]:
        answers = [connection.recv() for connection in self._connections]
        for answer in answers:
            if isinstance(answer, str):
                raise WorkerFailedError(f"a worker raised:\n{answer}")
        return answers

    def close(self) -> None:
        """End the processes."""
        for connection in self._connections:
            connection.close()  # an idle worker leaves
        for process in self._processes:
            process.join(timeout=5)
            process.kill()  # one that is not idle
            process.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _work(connection: Connection) -> None:
    """Make the function, say 0.0 when ready, then answer seeds, until nobody asks any more."""
    with suppress(EOFError, OSError, KeyboardInterrupt):
        try:
            make, threads = connection.recv()
            if threads is not None:
                torch.set_num_threads(threads)
            work: Work = make()
            connection.send(0.0)
            while True:
                connection.send(work(connection.recv()))
        except (EOFError, OSError):
            raise
        except Exception:
            connection.send(traceback.format_exc())


@contextmanager
def _as_in_a_new_shell() -> Iterator[None]:
    """Start processes within this context with the threads that libraries take by themselves."""
    kept = {name: os.environ.pop(name) for name in THREADS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
