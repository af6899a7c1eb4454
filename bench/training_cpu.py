"""Whole networks of `tiny` on all cores: what a campaign trains, a plain loop, and tuned eager.

A turn is a network a process, evaluation included; the processes are there before the first turn and idle
while others have theirs. Every network's accuracy is compared, and there is no number where they differ by
more than seeds explain; with so few networks that tells only large differences apart. The peers find their
whitening filters for every network, as airbench does, ours once. Training needs as many operations whoever
does them, so the ceiling is the bf16 product of as many, by PyTorch on all cores.
"""

import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, sqrt
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from airbench_var import machine
from airbench_var.campaign import Campaign
from airbench_var.data import Dataset, cifar10, synthetic
from airbench_var.data.cifar10 import find
from airbench_var.many import Prepared, prepare
from airbench_var.recipe import Recipe
from airbench_var.recipes import images_recipe
from airbench_var.seeds import seeds_of_run
from airbench_var.training import RecipeOnData, Settings
from bench.peers.plain_loop import PlainLoop
from bench.peers.tuned_eager import TunedEager
from bench.schema import LEAST_REPEATS, OURS, CheckFailedError, Row, device_name, multiplying, row, take_turns
from bench.step import count_operations
from bench.workers import Work, Workers

#: Timed turns at most.
TURNS = 5

#: By chance, accuracies of equal recipes differ by more once in so many calls.
FALSE_ALARMS = 1000

CEILING = "network gemm"
PLAIN, ONE_PROCESS, PROCESS_A_CORE = "plain_loop", "tuned_eager, one process", "tuned_eager, process a core"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What is trained: a recipe, on CIFAR-10 or on other data, and the cores that are used."""

    recipe: Recipe
    data: Dataset
    cores: int
    plain_threads: int | None = None  #: by default PyTorch's choice
    loader_workers: int = 0  #: of the plain loop
    all_threads: int  #: of one process that has all cores


def small() -> Sizes:
    """Return what a test trains in a second: the same, on few images, one thread a process."""
    splits = (synthetic.sample(name, 0, 240) for name in ("train", "test"))
    images = replace(synthetic.load(), train=next(splits), test=next(splits))
    values = {"epochs": "1", "batch_size": "24", "network.widths": "8,12,16"}
    recipe = images_recipe("tiny").with_values(values)
    return Sizes(recipe=recipe, data=images, cores=2, plain_threads=1, loader_workers=1, all_threads=1)


def full(data_dir: Path | None) -> Sizes:
    """Return `tiny` on CIFAR-10 where it is found, else on a synthetic set of its size.

    Raises: DataError when CIFAR-10 is not in the folder that is named, or not what it claims to be.
    """
    missing = data_dir is None and find() is None
    images = synthetic.load(train_examples=50_000) if missing else cifar10.load(data_dir, progress=False)
    cores = machine.cores()
    return Sizes(
        recipe=images_recipe("tiny"), data=images, cores=cores, loader_workers=cores, all_threads=cores
    )


@dataclass(frozen=True)
class Entrant:
    """One way to train, and what is to be known of it."""

    make: Callable[[], Work]
    processes: int
    threads: int | None
    note: str


class Ours:
    """What a worker of a campaign trains."""

    def __init__(self, campaign: Campaign) -> None:
        [labels_N] = campaign.subject.labels.values()
        self.train, self.n = campaign.make_train(), len(labels_N)

    def __call__(self, seed: int) -> float:
        """Return the accuracy of a run."""
        predictions = next(iter(self.train(seeds_of_run(0, seed)).predictions.values()))
        return int(np.bitwise_count(predictions.correct).sum()) / self.n


def chosen(recipe: Recipe) -> Prepared:
    """Return what `python -m airbench_var --device cpu` chooses for a recipe."""
    return prepare([recipe], "synthetic", devices="cpu")


def entrants(sizes: Sizes) -> dict[str, Entrant]:
    """Return the ways to train; ours is what a campaign chooses by default."""
    recipe, images = sizes.recipe, sizes.data
    default = chosen(recipe)
    campaign = Campaign(
        subject=RecipeOnData(recipe=recipe, data=images, settings=default.settings),
        out=Path(),
        runs=1,
        placement=default.placement,
    )
    plain = partial(PlainLoop, recipe, images, sizes.loader_workers)
    tuned = partial(TunedEager, recipe, images)
    tuned_note = "bfloat16 autocast, channels-last, masked copies"
    return {
        OURS: Entrant(
            partial(Ours, campaign),
            default.placement.workers,
            default.settings.threads,
            f"workers {default.reasons['workers']}",
        ),
        PLAIN: Entrant(
            plain,
            1,
            sizes.plain_threads,
            f"float32, channels first, DataLoader with {sizes.loader_workers} workers; "
            "flips at random, does not alternate",
        ),
        ONE_PROCESS: Entrant(tuned, 1, sizes.all_threads, tuned_note),
        PROCESS_A_CORE: Entrant(tuned, sizes.cores, 1, tuned_note),
    }


def run(sizes: Sizes, turns: int, limit_s: float) -> Generator[list[Row], None, None]:
    """Yield the rows of one comparison: seconds of a turn, and networks per hour.

    Raises: CheckFailedError when a way of training does not reach the accuracy of the others.
    """
    ways = entrants(sizes)
    accuracies: dict[str, list[float]] = {name: [] for name in ways}
    with ExitStack() as opened:
        workers = {
            name: opened.enter_context(Workers(way.make, way.processes, way.threads))
            for name, way in ways.items()
        }

        def turn(name: str) -> float:
            start_s = time.perf_counter()
            reached = workers[name].turn()
            elapsed_s = time.perf_counter() - start_s
            accuracies[name].extend(reached)
            shown = ", ".join(f"{accuracy:.2%}" for accuracy in reached)
            print(f"{name}: {elapsed_s:.1f} s, accuracy {shown}", file=sys.stderr)  # a turn takes a minute
            return elapsed_s

        timers: dict[str, Callable[[], float]] = {name: partial(turn, name) for name in ways}
        timers[CEILING] = _product(sizes)
        first_s = {name: timer() for name, timer in timers.items()}  # warms up, and is checked as all others
        check(accuracies)
        times_s = take_turns(timers, min(turns, TURNS), 0, limit_s)
    check(accuracies)
    yield rows_of(sizes, ways, times_s, first_s, accuracies)


def check(accuracies: Mapping[str, Sequence[float]]) -> None:
    """Compare the mean accuracy of every way with ours, by Student's t with the spread of all.

    The std over seeds is taken to be the same for all. Each of the C comparisons fails by chance once in
    1000 C times, if accuracies are normal.
    Raises: CheckFailedError.
    """
    parts = {name: np.array(values) for name, values in accuracies.items()}
    freedom = sum(len(part) - 1 for part in parts.values())
    if not freedom:
        return
    std = sqrt(sum(((part - part.mean()) ** 2).sum() for part in parts.values()) / freedom)
    ours = parts[OURS]
    t = float(stats.t.isf(1 / (2 * FALSE_ALARMS * (len(parts) - 1)), freedom))
    for name, part in parts.items():
        allowed = t * std * sqrt(1 / len(ours) + 1 / len(part))
        difference = float(part.mean() - ours.mean())
        if abs(difference) > allowed:
            raise CheckFailedError(
                f"{name} reaches {part.mean():.2%} and ours {ours.mean():.2%}, which differ by "
                f"{abs(difference):.2%}; seeds explain {allowed:.2%}. No time of it means anything."
            )


def rows_of(
    sizes: Sizes,
    ways: Mapping[str, Entrant],
    times_s: Mapping[str, Sequence[float]],
    first_s: Mapping[str, float],
    accuracies: Mapping[str, Sequence[float]],
) -> list[Row]:
    """Return a row for each way; the faster arrangement of tuned eager, per network, is called that."""
    per_network = {
        name: np.median(times_s[name]) / ways[name].processes for name in (ONE_PROCESS, PROCESS_A_CORE)
    }
    faster = min(per_network, key=lambda name: per_network[name])
    names = {faster: "tuned_eager"}
    cpu = torch.device("cpu")
    what = f"{sizes.recipe.name} on {sizes.data.title}, {sizes.recipe.epochs:g} epochs"
    rows = []
    for name, times in times_s.items():
        way = ways.get(name)
        note = ""
        if way:
            reached = np.array(accuracies[name])
            spread = f", std {reached.std(ddof=1):.2%}" if len(reached) > 1 else ""
            note = f"accuracy {reached.mean():.2%}{spread} over {len(reached)}; {way.note}"
            note = f"{name.removeprefix('tuned_eager, ')}; {note}" if name == faster else note
        rows.append(
            row(
                case=f"training on {sizes.cores} cores: {what}",
                key=sizes.recipe.name,
                variant=names.get(name, name),
                device=device_name(cpu, sizes.cores),
                times=times,
                first=first_s[name],
                unit="s",
                bytes_moved=sizes.data.train.images_NHWC.nbytes,
                ceiling=CEILING,
                best=float(np.median(times_s[CEILING])) * (way.processes if way else 1),
                items=way.processes if way else 1,
                item="networks",
                per="hour",
                note=note,
            )
        )
    return rows


def operations_of_network(sizes: Sizes) -> int:
    """Return the floating point operations of convolutions and products: all steps, and the evaluation.

    The evaluation is a third of what a training pass over as many images is.
    """
    recipe, settings = sizes.recipe, Settings()
    steps = ceil(recipe.epochs * (len(sizes.data.train) // recipe.batch_size))
    step = count_operations(recipe, settings)
    return int(step * (steps + len(sizes.data.test) / recipe.batch_size / 3))


def _product(sizes: Sizes) -> Callable[[], float]:
    """Return what measures the seconds of the bf16 product of a network's operations, on all cores."""
    ceiling = multiplying(operations_of_network(sizes), torch.bfloat16, torch.device("cpu"))

    def timer() -> float:
        before = torch.get_num_threads()
        torch.set_num_threads(sizes.all_threads)
        try:
            times = []
            for _ in range(1 + LEAST_REPEATS):
                start_s = time.perf_counter()
                ceiling.run()
                times.append(time.perf_counter() - start_s)
            return float(np.median(times[1:])) * ceiling.scale
        finally:
            torch.set_num_threads(before)

    return timer
