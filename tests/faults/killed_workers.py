"""Campaigns in a real pool whose workers are killed from outside, while they prepare, train, or hand over."""

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from airbench_var.campaign import Campaign, run_campaign
from airbench_var.data.dataset import Dataset, Split
from airbench_var.errors import AirbenchVarError, RunsFailedError
from airbench_var.execution import Executor, MakeTrain, Report, Stop, on_ray, process_pool
from airbench_var.execution.on_ray import Share
from airbench_var.recipes import find_recipe
from airbench_var.seeds import seeds_of_run
from airbench_var.store import Outcome, RunSpec, Store, verify
from airbench_var.training import RecipeOnData, Settings
from tests.execution.every_executor import instead
from tests.execution.fake_runs import TellsItsPhase, predictions_of
from tests.execution.ray_cluster import actors, cluster, is_joined, joined
from tests.faults.tally import Tally

WORKERS = 2
PHASES = ("preparing", "training", "handing over")


@dataclass(frozen=True)
class Kind:
    """A kind of workers, and how to find their processes."""

    name: str
    execute: Executor
    processes: Callable[[], list[int]]


def kill_actors(folder: Path, kills: int, runs_at_a_time: int, examples: int, mean_s: float) -> Tally:
    """The same as `kill_workers` with actors of a Ray cluster of two nodes on this machine."""
    with nullcontext() if is_joined() else cluster(WORKERS, num_cpus=1):
        crew = Kind(
            "an actor on Ray", partial(on_ray, share=Share(), workers=WORKERS), partial(actors, joined())
        )
        return kill_workers(folder, kills, runs_at_a_time, examples, mean_s, kind=crew)


def kill_workers(
    folder: Path,
    kills: int,
    runs_at_a_time: int,
    examples: int,
    mean_s: float,
    seed: int = 0,
    kind: Kind | None = None,
) -> Tally:
    """Extend a campaign until so many of its workers were killed; another has the same runs and no kills.

    A run that fails for good must be named as failed, and the next command trains it.
    """
    kind = kind or Kind("a worker of a pool", partial(process_pool, workers=WORKERS), _workers)
    tally = Tally(f"SIGKILL to {kind.name}, one of {WORKERS} ({' or '.join(PHASES)})")
    killed, whole = (_campaign(folder / name, examples) for name in ("killed", "whole"))
    phases = folder / "phases"
    phases.mkdir()
    fake = partial(TellsItsPhase, killed.subject.labels["small"], mean_s, phases)
    pool = partial(instead, kind.execute, fake)
    rng, struck, failed, runs, extra_s = random.Random(seed), Counter[str](), 0, 0, list[float]()

    def extend(campaign: Campaign) -> tuple[float, set[int]]:
        """Give the command with this number of runs; return its seconds and the runs it calls failed."""
        called, ended = set[int](), Counter[int]()

        def execute(arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop) -> Iterator[Report]:
            for report in pool(arms, specs, stop):
                if isinstance(report, Outcome):
                    ended[report.spec.run_id] += 1
                yield report

        start_s = time.perf_counter()
        try:
            run_campaign(replace(campaign, runs=runs), execute=execute)
        except RunsFailedError:
            called = set(Store.open(campaign.out).failed_ids().tolist())
        except AirbenchVarError as error:
            tally.wrong("stuck", f"{runs} runs: {error}")
        elapsed_s = time.perf_counter() - start_s
        if lost := set(range(runs)) - called - set(Store.open(campaign.out).committed_ids().tolist()):
            tally.wrong("lost", f"{runs} runs: neither committed nor failed: {lost}", len(lost))
        if doubled := [run_id for run_id, times in ended.items() if times > 1]:
            tally.wrong("other_bytes", f"{runs} runs: more than one outcome of {doubled}", len(doubled))
        if left := _left(kind):
            tally.wrong("stuck", f"{runs} runs: workers left behind: {left}")
        return elapsed_s, called

    descriptors: list[int] = []
    while tally.tries < kills:
        runs += runs_at_a_time
        undisturbed_s, _ = extend(whole)
        with _killing(rng, phases, kills - tally.tries, kind) as strokes:
            disturbed_s, called = extend(killed)
        tally.tries += strokes.total()
        struck.update(strokes)
        failed += len(called)
        extra_s.append((disturbed_s - undisturbed_s) / max(1, strokes.total()))
        if called - _named_as_failed(killed.out):
            tally.wrong("lost", f"{runs} runs: failed runs that no event names: {called}")
        descriptors.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208
    if extend(killed)[1]:
        tally.wrong("stuck", "runs fail although nobody kills them")
    if descriptors[-1] > descriptors[0] and kind.processes is _workers:  # Ray has some of its own
        tally.wrong("stuck", f"open descriptors grew from {descriptors[0]} to {descriptors[-1]}")
    _compare(tally, killed, whole, runs)
    tally.notes.append(f"{runs:,} runs at n = {examples:,}, of which failed for good, then trained: {failed}")
    tally.notes.append("killed while " + ", ".join(f"{phase}: {struck[phase]}" for phase in PHASES))
    low, median, high = np.quantile(extra_s, [0.1, 0.5, 0.9])
    tally.notes.append(
        f"extra seconds a kill, over {len(extra_s)} commands (10 %, median, 90 %): "
        f"{low:.2f}, {median:.2f}, {high:.2f}; of a run {mean_s:g} s on average"
    )
    return tally


def _campaign(out: Path, examples: int) -> Campaign:
    """Return a campaign whose training nobody asks for."""
    labels_N = np.random.default_rng(0).integers(0, 10, examples).astype(np.uint8)
    test = Split(images_NHWC=np.zeros((examples, 8, 8, 3), np.uint8), labels_N=labels_N)
    data = Dataset(
        name="small",
        title="Zeros",
        source="tests",
        classes=tuple("abcdefghij"),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        train=test.first(min(examples, 1000)),
        test=test,
    )
    recipe = find_recipe("linear").with_values({"batch_size": "10"})
    return Campaign(subject=RecipeOnData(recipe=recipe, data=data, settings=Settings()), out=out, runs=1)


def _compare(tally: Tally, killed: Campaign, whole: Campaign, runs: int) -> None:
    """Count runs that are not there, rows that are wrong, and whatever differs from the undisturbed store."""
    committed = Store.open(killed.out).committed_ids().tolist()
    if committed != list(range(runs)):
        tally.wrong("lost", f"{len(committed)} of {runs} runs are committed")
    if faults := verify(killed.out).faults:
        tally.wrong("torn", str(faults[0]), len(faults))
    labels_N = killed.subject.labels["small"]
    predicted_RN = np.load(killed.out / "small/predicted.npy", mmap_mode="r")
    for run_id in committed:
        expected = predictions_of(seeds_of_run(killed.seed, run_id).init, labels_N).predicted
        if not np.array_equal(predicted_RN[run_id], expected):
            tally.wrong("other_bytes", f"run {run_id} has another's row")
    for name in ("correct.npy", "predicted.npy"):
        if (killed.out / "small" / name).read_bytes() != (whole.out / "small" / name).read_bytes():
            tally.wrong("other_bytes", name)


def _named_as_failed(store: Path) -> set[int]:
    events = map(json.loads, (store / "events.jsonl").read_text().splitlines())
    return {event["run_id"] for event in events if event["kind"] == "failed"}


def _left(kind: Kind) -> list[int]:
    """Return the workers that outlive their campaign; those on Ray are told to end, and take a moment."""
    until_s = time.monotonic() + (0 if kind.processes is _workers else 20)
    while (left := kind.processes()) and time.monotonic() < until_s:
        time.sleep(0.05)
    return left


def _workers() -> list[int]:
    """Return the processes of this one's pool that are alive, or dead and not buried."""
    me = os.getpid()
    children = Path(f"/proc/{me}/task/{me}/children").read_text().split()
    found = []
    for child in children:
        with suppress(OSError):
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"spawn_main" in command or not command:  # a zombie has none
                found.append(int(child))
    return found


def _phase(worker: int, phases: Path) -> str:
    """Return what a worker is doing; '' when it is dead."""
    try:
        if Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
            return ""
        written = (phases / str(worker)).read_bytes()
    except FileNotFoundError:
        return "preparing" if Path(f"/proc/{worker}").exists() else ""
    except ProcessLookupError:
        return ""
    return {b"t": "training", b"h": "handing over"}.get(written, "preparing")


@contextmanager
def _killing(rng: random.Random, phases: Path, most: int, kind: Kind) -> Iterator[Counter[str]]:
    """Kill workers of this process within this context, at most so many; yields how many in which phase."""
    struck, over = Counter[str](), threading.Event()
    dead: set[int] = set()
    early = 0

    def strike(phase: str) -> bool:
        """Kill a worker in this phase. Thrice before a first run is not allowed: then the pool gives up."""
        nonlocal early
        doing = {worker: _phase(worker, phases) for worker in kind.processes() if worker not in dead}
        if len(doing) == WORKERS and all(does in PHASES[1:] for does in doing.values()):
            early = 0
        for worker, does in doing.items():
            if does == phase and (phase != "preparing" or early < 2):
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
                    dead.add(worker)
                    struck[phase] += 1
                    early += phase == "preparing"
                    return True
        return False

    def kill() -> None:
        while struck.total() < most and not over.wait(rng.uniform(0, 0.1)):
            phase, until_s = rng.choice(PHASES), time.monotonic() + 0.5
            while not strike(phase) and time.monotonic() < until_s and not over.wait(0.001):
                pass

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield struck
    finally:
        over.set()
        killer.join()
