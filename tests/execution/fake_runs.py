"""Runs that take no time: a result that depends on the seeds, and runs that misbehave on command."""

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from airbench_var.errors import DeviceError
from airbench_var.seeds import Seeds
from airbench_var.store import Predictions, RunResult

N = 203


def predictions_of(seed: int, labels_N: np.ndarray) -> Predictions:
    """Return predictions that are right on about 90 % of the examples, a function of the seed."""
    generator = np.random.Generator(np.random.PCG64(seed))
    predicted_N = np.where(generator.random(len(labels_N)) < 0.9, labels_N, (labels_N + 1) % 10).astype(
        np.uint8
    )
    return Predictions(correct=np.packbits(predicted_N == labels_N, bitorder="little"), predicted=predicted_N)


class FakeRun:
    """Maps seeds to a result; the labels are zeros unless given."""

    def __init__(self, labels_N: np.ndarray | None = None) -> None:
        self.labels_N = np.zeros(N, np.uint8) if labels_N is None else labels_N

    def __call__(self, seeds: Seeds) -> RunResult:
        predictions = predictions_of(seeds.init, self.labels_N)
        return RunResult(predictions={"small": predictions}, loss=0.5, diverged=False, train_s=0.001)


class OftenRight(FakeRun):
    """Is right on each example with one chance, which may differ between recipes."""

    def __init__(self, labels_N: np.ndarray, chance: float) -> None:
        super().__init__(labels_N)
        self.chance = chance

    def __call__(self, seeds: Seeds) -> RunResult:
        right_N = np.random.default_rng(seeds.init).random(len(self.labels_N)) < self.chance
        predicted_N = np.where(right_N, self.labels_N, (self.labels_N + 1) % 10).astype(np.uint8)
        predictions = Predictions(correct=np.packbits(right_N, bitorder="little"), predicted=predicted_N)
        return RunResult(predictions={"small": predictions}, loss=0.5, diverged=False, train_s=0.001)


class KillsItsWorker(FakeRun):
    """Dies by SIGKILL on one init seed, as often as `times` says; a folder counts, over all workers."""

    def __init__(self, init_seed: int, times: int, folder: Path) -> None:
        super().__init__()
        self.init_seed, self.times, self.folder = init_seed, times, folder

    def __call__(self, seeds: Seeds) -> RunResult:
        if seeds.init == self.init_seed and len(list(self.folder.iterdir())) < self.times:
            (self.folder / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(seeds)


class DiesWhileSending(KillsItsWorker):
    """Sends half of the result of one init seed and dies by SIGKILL, the first time."""

    def __init__(self, init_seed: int, folder: Path) -> None:
        super().__init__(init_seed, 0, folder)

    def __call__(self, seeds: Seeds) -> RunResult:
        if seeds.init == self.init_seed and not list(self.folder.iterdir()):
            (self.folder / str(os.getpid())).touch()
            Connection._send = _send_half  # type: ignore[attr-defined]
        return super().__call__(seeds)


def _send_half(connection: Connection, message: bytes) -> None:
    os.write(connection.fileno(), message[: len(message) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


class Hangs(FakeRun):
    """Sleeps for ever on one init seed, the first time; `how` is another way to hang."""

    def __init__(self, init_seed: int, folder: Path, how: str = "sleeps") -> None:
        super().__init__()
        self.init_seed, self.folder, self.how = init_seed, folder, how

    def __call__(self, seeds: Seeds) -> RunResult:
        if seeds.init == self.init_seed and not list(self.folder.iterdir()):
            (self.folder / str(os.getpid())).touch()
            if self.how == "stops while sending":
                Connection._send = _send_half_and_stop  # type: ignore[attr-defined]
                return super().__call__(seeds)
            if self.how == "stops":
                os.kill(os.getpid(), signal.SIGSTOP)
            while True:
                time.sleep(1)
        return super().__call__(seeds)


def _send_half_and_stop(connection: Connection, message: bytes) -> None:
    os.write(connection.fileno(), message[: len(message) // 2])
    os.kill(os.getpid(), signal.SIGSTOP)


class TakesItsTime(FakeRun):
    """Takes no two times as long, so that runs end in any order; some kill their worker, as often as said."""

    def __init__(self, labels_N: np.ndarray, deadly: dict[int, int], folder: Path) -> None:
        super().__init__(labels_N)
        self.deadly, self.folder = deadly, folder  #: deaths by init seed; files count them over all workers

    def __call__(self, seeds: Seeds) -> RunResult:
        time.sleep(random.SystemRandom().uniform(0, 0.01))
        tried = len(list(self.folder.glob(f"{seeds.init}-*")))
        if tried < self.deadly.get(seeds.init, 0):
            (self.folder / f"{seeds.init}-{tried}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(super().__call__(seeds), train_s=time.perf_counter())


class TellsItsPhase(FakeRun):
    """Takes a time that follows from the seeds; a file named by the process says t in a run, then h."""

    def __init__(self, labels_N: np.ndarray, mean_s: float, folder: Path) -> None:
        super().__init__(labels_N)
        self.mean_s = mean_s
        self.phase = os.open(folder / str(os.getpid()), os.O_CREAT | os.O_WRONLY)

    def __call__(self, seeds: Seeds) -> RunResult:
        os.pwrite(self.phase, b"t", 0)
        time.sleep(2 * self.mean_s * (seeds.init % 1000) / 1000)
        result = super().__call__(seeds)
        os.pwrite(self.phase, b"h", 0)
        return result


class MeetsWorkers(FakeRun):
    """Ends when so many workers are there; says which GPUs it sees as the device it is on."""

    def __init__(self, workers: int, folder: Path) -> None:
        super().__init__()
        self.workers, self.folder = workers, folder
        self.device_name = os.environ.get("CUDA_VISIBLE_DEVICES", "all")

    def __call__(self, seeds: Seeds) -> RunResult:
        (self.folder / str(os.getpid())).touch()
        while len(list(self.folder.iterdir())) < self.workers:
            time.sleep(0.01)
        return super().__call__(seeds)


class Raises(FakeRun):
    """Raises on one init seed."""

    def __init__(self, init_seed: int, error: type[BaseException] = ZeroDivisionError) -> None:
        super().__init__()
        self.init_seed, self.error = init_seed, error

    def __call__(self, seeds: Seeds) -> RunResult:
        if seeds.init == self.init_seed:
            raise self.error("the run itself is wrong")
        return super().__call__(seeds)


def dies_while_preparing() -> Callable[[Seeds], RunResult]:
    """Stand for a worker that is killed before its first run."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


PREPARING_S = 0.05


def sleeps_while_preparing() -> Callable[[Seeds], RunResult]:
    """Stand for preparation that takes a while."""
    time.sleep(PREPARING_S)
    return FakeRun()


def raises_while_preparing() -> Callable[[Seeds], RunResult]:
    """Stand for preparation that fails."""
    raise ZeroDivisionError("preparation is wrong")


def lacks_its_device() -> Callable[[Seeds], RunResult]:
    """Stand for preparation that meets a mistake of the user's."""
    raise DeviceError("no such device here")
