"""Actors of a Ray cluster: several machines, which may join and leave while a campaign trains.

An actor keeps data, weights and compiled step, as a process of the pool does; tasks would prepare anew. This
process is the driver, and the only one that writes. Ray restarts no actor and tries nothing again: that is
for `dispatch` to decide, as it does for the pool.
"""

import logging
import math
import os
import re
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from airbench_var import machine
from airbench_var.errors import AirbenchVarError, DeviceError, UsageError
from airbench_var.execution.contract import MakeTrain, Notice, Report, Stop
from airbench_var.execution.dispatch import Died, Done, Event, Raised, Ready, Up, Worker, dispatch
from airbench_var.execution.lanes import Lanes
from airbench_var.store.rows import RunResult, RunSpec

#: How often the driver looks which machines there are.
LOOK_S = 1.0

#: How long an address may take to answer; Ray itself would try for minutes.
ANSWER_S = 5.0

#: What the bits of a run depend on and must therefore be the same on all machines, "+cpu" and the like aside.
SAME_EVERYWHERE = ("airbench_var", "torch", "numpy")


@dataclass(frozen=True, kw_only=True)
class Share:
    """What an actor takes of a machine."""

    cpus: int = 1
    gpus: float = 0.0  #: one, or a part of one that it shares with others

    def fits_into(self, resources: Mapping[str, float]) -> int:
        """Return how many actors have room on a machine."""
        room = resources.get("CPU", 0.0) // self.cpus
        if self.gpus:
            # What is left of one GPU adds to nothing of another.
            room = min(room, int(resources.get("GPU", 0.0)) * math.floor(1 / self.gpus + 1e-9))
        return int(room)


ONE_CPU = Share()


def on_ray(
    arms: Sequence[MakeTrain],
    specs: Iterable[RunSpec],
    stop: Stop,
    *,
    share: Share,
    workers: int | None = None,
    lanes: int = 1,
    run_limit_s: float | None = None,
) -> Iterator[Report]:
    """Yield outcomes in order of completion from actors of the cluster that `connect` has joined.

    There are as many as have room on its machines at the moment, or `workers` of them, of which those that
    have no room wait for it. They raise and time out as `dispatch` says.
    """
    return dispatch(_Actors(arms, share, workers, lanes), specs, stop, run_limit_s=run_limit_s)


def connect(address: str | None) -> tuple[Sequence[Mapping[str, float]], str]:
    """Join a running cluster, or with "local" start one here; return what each machine has, and where it is.

    Without an address it is the cluster that RAY_ADDRESS names, or of which this machine is a part.

    Raises: DeviceError when Ray is not installed or no cluster answers; UsageError for Ray Client.
    """
    try:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray
        import ray._private.worker
    except ImportError as error:
        raise DeviceError(
            "--executor ray needs Ray, which is not installed: pip install 'airbench_var[ray]'."
        ) from error
    address = address or os.environ.get("RAY_ADDRESS") or "auto"
    if address.startswith("ray://"):
        raise UsageError(
            f"--address {address}: Ray Client is not supported. Give the command on a machine of the "
            "cluster, with the address that `ray start` printed, or none."
        )
    if ray.is_initialized():
        joined = ray.get_runtime_context().gcs_address
        if address not in ("auto", "local", joined):
            raise UsageError(
                f"--address {address}: this process is part of the Ray cluster at {joined} already. Leave it "
                "out."
            )
    else:
        _refuse_silence(address)
        own: Any = {"include_dashboard": False} if address == "local" else {}
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise DeviceError(
                f"no Ray cluster at --address {address}: {error}\nStart one with `ray start --head`, and on "
                "each other machine `ray start --address HOST:6379`; or --address local for this one alone. "
                "If it runs and asks for a token, RAY_AUTH_MODE=token shows yours."
            ) from error
    # Ray would print what its daemons say of a dead worker to our stdout; its debugger turns that off so.
    ray._private.worker._worker_logs_enabled = False
    machines = _machines()
    where = ray.get_runtime_context().gcs_address
    return machines, f"{len(machines)} machines of the Ray cluster at {where}"


def _refuse_silence(address: str) -> None:
    match = re.fullmatch(r"(.+):(\d+)", address)
    if match is None:
        return
    try:
        socket.create_connection((match[1].strip("[]"), int(match[2])), timeout=ANSWER_S).close()
    except OSError as error:
        raise DeviceError(
            f"no Ray cluster at --address {address}: {error}. Give what `ray start --head` printed."
        ) from error


def _machines() -> list[Mapping[str, float]]:
    """Return the resources of each machine that is alive."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


class Actor:
    """What runs on another machine. Ray sends it by its name, so it has to be installed there."""

    def hello(self) -> Mapping[str, str | None]:
        """Return where this is and what is installed here."""
        versions = {name: machine.version(name) for name in SAME_EVERYWHERE}
        return {"host": socket.gethostname(), "commit": machine.commit(), **versions}

    def prepare(self, arms: Sequence[MakeTrain], number: int, lanes: int) -> Notice:
        """Prepare all lanes."""
        self._lanes = Lanes(arms, lanes)
        return self._lanes.notice(number)

    def train(self, lane: int, spec: RunSpec) -> RunResult:
        """Train one run."""
        try:
            return self._lanes.train(lane, spec)
        except SystemExit as error:  # Ray would take it for a death, but it is a defect
            raise RuntimeError(f"SystemExit: {error}") from error


class _Actors:
    """A crew of actors."""

    def __init__(self, arms: Sequence[MakeTrain], share: Share, workers: int | None, lanes: int) -> None:
        self._arms, self._share, self._workers, self.lanes = arms, share, workers, lanes
        self._arms_there: Any = None  #: in Ray's memory, from where a machine fetches them once
        self._actors: dict[Worker, Any] = {}
        self._arrived: SimpleQueue[tuple[Worker, int | None, Future[Any]]] = SimpleQueue()
        self._room, self._looked_s = 0, float("-inf")
        self._here = Actor().hello()

    def wanted(self) -> int:
        if self._workers is not None:
            return self._workers
        if time.monotonic() - self._looked_s > LOOK_S:
            self._looked_s = time.monotonic()
            self._room = sum(map(self._share.fits_into, _machines()))
        return self._room

    def start(self, worker: Worker) -> None:
        import ray

        if self._arms_there is None:
            self._arms_there = ray.put(tuple(self._arms))
        kind: Any = ray.remote(Actor)  # typed for functions alone, as soon as there are options
        made = kind.options(
            num_cpus=self._share.cpus,
            num_gpus=self._share.gpus,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=self.lanes,
        )
        self._actors[worker] = actor = made.remote()
        self._expect(worker, None, actor.hello.remote())

    def give(self, worker: Worker, lane: int, spec: RunSpec) -> None:
        self._expect(worker, lane, self._actors[worker].train.remote(lane, spec))

    def _expect(self, worker: Worker, lane: int | None, answer: Any) -> None:
        answer.future().add_done_callback(lambda future: self._arrived.put((worker, lane, future)))

    def wait(self, timeout_s: float) -> list[Event]:
        events = list[Event]()
        with suppress(Empty):
            events += self._receive(*self._arrived.get(timeout=timeout_s))
            while True:
                events += self._receive(*self._arrived.get_nowait())
        return events

    def _receive(self, worker: Worker, lane: int | None, future: Future[Any]) -> Iterator[Event]:
        if worker not in self._actors:  # what else a dead one had under way
            return
        error = future.exception()
        if error is not None:
            yield self._fault(worker, error)
            return
        answer = future.result()
        match answer:
            case RunResult():
                assert lane is not None
                yield Done(worker, lane, answer)
            case Notice():
                yield Ready(worker, answer)
            case _:
                if other := self._differences(answer):
                    yield Raised(worker, other)
                    return
                prepared = self._actors[worker].prepare.remote(self._arms_there, worker.number, self.lanes)
                self._expect(worker, None, prepared)
                yield Up(worker)

    def _differences(self, there: Mapping[str, str | None]) -> DeviceError | None:
        """Return what of that machine would give its runs other bits."""
        lines = [
            f"  {name}: {there[name]} there, {self._here[name]} here"
            for name in ("commit", *SAME_EVERYWHERE)
            if there[name] and self._here[name] and _public(there[name]) != _public(self._here[name])
        ]
        if not lines:
            return None
        return DeviceError(
            f"{there['host']} has other versions than this machine, so its runs would have other bits:\n"
            + "\n".join(lines)
            + "\nInstall the same on every machine of the cluster; then the same command goes on."
        )

    def _fault(self, worker: Worker, error: BaseException) -> Event:
        from ray.exceptions import RayTaskError

        if isinstance(error, RayTaskError):
            cause = getattr(error, "cause", None)
            return Raised(worker, cause if isinstance(cause, AirbenchVarError) else _plain(str(error)))
        self.kill(worker)
        return _death(worker, error)

    def kill(self, worker: Worker) -> None:
        import ray

        ray.kill(self._actors.pop(worker))
        self._looked_s = float("-inf")  # its machine may be gone too

    def close(self) -> None:
        for worker in list(self._actors):
            self.kill(worker)
        self._arms_there = None


def _death(worker: Worker, error: BaseException) -> Died:
    """Return how an actor died, which Ray tells by an exception."""
    from ray.exceptions import ActorUnavailableError, OutOfMemoryError

    if isinstance(error, OutOfMemoryError):  # which names the machine, but did not lose it
        return Died(worker, "Ray ended it because its machine ran out of memory")
    text = _plain(str(error))
    # Ray tells that a machine cannot be reached before it knows that it is lost, if it is.
    gone = isinstance(error, ActorUnavailableError) or "node" in text.partition("Worker exit detail")[0]
    return Died(worker, "its machine cannot be reached" if gone else _how(text), with_its_machine=gone)


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[\d*m", "", text)  # colours


def _public(version: str | None) -> str:
    return (version or "").partition("+")[0]


def _how(text: str) -> str:
    """Return in a few words how an actor died, from what Ray says in many lines."""
    if match := re.search(r"Worker exit detail: ([^.]+)", text):
        return match[1]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "for no known reason"
