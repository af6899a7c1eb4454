"""The networks that the sections train: the fast path, the reference path, several at a time.

What the trainer is called with is written here and nowhere else in this package.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from airbench_var.data.dataset import Dataset
from airbench_var.execution import TrainFunction, in_threads
from airbench_var.models import build
from airbench_var.recipe import Recipe
from airbench_var.seeds import Seeds, seeds_of_run
from airbench_var.stats import CorrectnessCounts
from airbench_var.store.rows import Outcome, RunResult, RunSpec
from airbench_var.training import Settings, Trainer, choose_engine
from airbench_var.training.evaluation import test_sets_of
from airbench_var.training.settings import Engine
from bench.gpu.timing import Timed
from bench.schema import synchronize

#: Of the campaign; a path takes its runs from numbers of its own, so that no two networks share a seed.
SEED = 0
FAST, REFERENCE, UNTIMED, BESIDE = 0, 1_000_000, 2_000_000, 3_000_000
LANE = 100_000  #: between the first runs of different numbers of trainers side by side

#: Views of a test image under test-time augmentation.
VIEWS = 6


@dataclass
class Path:
    """One way to train: a trainer, what it took to be ready, and its runs."""

    first_id: int
    trainer: Trainer
    made_s: float  #: data on the device, weights, whitening
    prepare_s: float  #: compiling and capture
    results: list[RunResult] = field(default_factory=list)
    run_s: list[float] = field(default_factory=list)  #: each from the call to the predictions in host memory
    first_s: float = 0.0  #: of the run before the first of these

    def seeds(self, run: int) -> Seeds:
        """Return the seeds of a run of this path."""
        return seeds_of_run(SEED, self.first_id + run)

    def train(self) -> float:
        """Train one more network and return its seconds."""
        seconds, result = self.timed(self.seeds(len(self.results)))
        self.results.append(result)
        self.run_s.append(seconds)
        return seconds

    def timed(self, seeds: Seeds) -> tuple[float, RunResult]:
        """Return the seconds and the result of a run; a trainer returns when the predictions are here."""
        start_s = time.perf_counter()
        result = self.trainer(seeds)
        return time.perf_counter() - start_s, result

    @property
    def times(self) -> Timed:
        """The times of its runs."""
        return Timed(1e3 * np.array(self.run_s), 1e3 * (self.prepare_s + self.first_s))

    def counts(self, test_set: str, data: Dataset) -> CorrectnessCounts:
        """Return what its runs were right on."""
        packed_RB = np.stack([result.predictions[test_set].correct for result in self.results])
        identity = str(data.test.fingerprint["labels_sha256"])
        return CorrectnessCounts.of(len(data.test), identity, np.arange(len(packed_RB)), packed_RB)

    @property
    def diverged(self) -> frozenset[int]:
        """The numbers of its runs that diverged."""
        return frozenset(run for run, result in enumerate(self.results) if result.diverged)


@dataclass
class Group:
    """Trainers of the fast path that run side by side, as those of `--runs-per-device`."""

    paths: list[Path]
    made_s: float  #: of those that were not there before, with their first runs
    results: dict[RunSpec, RunResult] = field(default_factory=dict)

    def train(self, rounds: int) -> tuple[float, Timed]:
        """Train so many networks with each; return the seconds of it all, and the times of each."""
        count, run_s = len(self.paths), list[float]()

        def clocked(path: Path) -> TrainFunction:
            def train(seeds: Seeds) -> RunResult:
                seconds, result = path.timed(seeds)
                run_s.append(seconds)
                return result

            return train

        first = BESIDE + LANE * count + len(self.results)
        ids = range(first, first + count * rounds)
        specs = [RunSpec(run_id=run_id, seeds=seeds_of_run(SEED, run_id)) for run_id in ids]
        ready = map(clocked, self.paths)  # a thread takes the next
        synchronize(self.paths[0].trainer.device)
        start_s = time.perf_counter()
        for outcome in in_threads([ready.__next__], specs, lambda: False, threads=count):
            if isinstance(outcome, Outcome) and outcome.result is not None:
                self.results[outcome.spec] = outcome.result
        wall_s = time.perf_counter() - start_s
        return wall_s, Timed(1e3 * np.array(run_s), self.paths[0].times.first_ms)


class Networks:
    """One recipe on one data set and device; each path is made when a section first needs it."""

    def __init__(self, recipe: Recipe, data: Dataset, device: torch.device) -> None:
        self.recipe, self.data, self.device = recipe, data, device
        self.test_sets = tuple(test_sets_of(recipe, data))

    @cached_property
    def fast(self) -> Path:
        """The path that campaigns take on this device."""
        return self._make(FAST, self._engine)

    @cached_property
    def reference(self) -> Path:
        """The plain path: operation after operation, nothing compiled, nothing captured."""
        return self._make(REFERENCE, "eager", captured=False)

    def group(self, count: int) -> Group:
        """Return so many trainers of the fast path, made when they are first needed."""
        start_s = time.perf_counter()
        while len(self._side_by_side) < count:
            self._side_by_side.append(self._make(FAST, self._engine))
        return Group(self._side_by_side[:count], time.perf_counter() - start_s)

    @cached_property
    def _side_by_side(self) -> list[Path]:
        return [self.fast]

    def captured_and_not(self) -> tuple[RunResult, RunResult] | None:
        """Return one run with and one without capture, neither compiled; None where nothing is captured."""
        trainer = self._trainer("eager")
        if not trainer.lane.captures:
            return None
        seeds = self.reference.seeds(0)
        return trainer(seeds), self.reference.trainer(seeds)

    @property
    def _engine(self) -> Engine:
        """What `airbench_var` computes with on this device when it is not told."""
        threads = torch.get_num_threads()
        return choose_engine("auto", str(self.device), threads, [self.recipe], self.data)[0]

    def _trainer(self, engine: Engine, *, captured: bool = True) -> Trainer:
        """Return a trainer; on CUDA it captures its steps, unless it is told not to."""
        trainer = Trainer(self.recipe, self.data, Settings(device=str(self.device), engine=engine))
        trainer.lane.captures &= captured
        return trainer

    def _make(self, first_id: int, engine: Engine, *, captured: bool = True) -> Path:
        start_s = time.perf_counter()
        trainer = self._trainer(engine, captured=captured)
        synchronize(self.device)
        made_s = time.perf_counter() - start_s
        trainer.prepare()
        assert trainer.prepare_s is not None
        path = Path(first_id, trainer, made_s, trainer.prepare_s)
        path.first_s, _ = path.timed(seeds_of_run(SEED, UNTIMED))
        return path

    @property
    def product_type(self) -> str:
        """The number format of its convolutions, as the ceilings name it."""
        settings = Settings(device=str(self.device))
        return str(settings.activation_dtype(self.recipe)).removeprefix("torch.")

    @cached_property
    def operations(self) -> int:
        """Floating point operations of a network: forward and backward passes, and the evaluation.

        Of convolutions and matrix products; the optimizers are not counted. Counted without data.
        """
        train_images = round(len(self.data.train) * self.recipe.train_share)
        steps = ceil(self.recipe.epochs * (train_images // self.recipe.batch_size))
        evaluated = len(self.data.test) * (VIEWS if self.recipe.tta else 1)
        image_shape = self.data.train.images_NHWC.shape[1:]
        with torch.device("meta"):
            model = build(
                self.recipe.network, classes=len(self.data.classes), pixels=int(np.prod(image_shape))
            )
            images_BCHW = torch.empty(2, 3, *image_shape[:2])  # 2: batch norm takes no less
            labels_B = torch.zeros(2, dtype=torch.int64)
            with FlopCounterMode(display=False) as forward:
                logits_BK = model(images_BCHW)
            with FlopCounterMode(display=False) as backward:
                F.cross_entropy(logits_BK, labels_B).backward()  # type: ignore[no-untyped-call]
        image, image_backward = (int(c.get_total_flops()) // 2 for c in (forward, backward))
        return steps * self.recipe.batch_size * (image + image_backward) + evaluated * image


def accuracies(results: list[RunResult], test_set: str, n: int) -> list[float]:
    """Return the accuracy of each run on a test set of n examples."""
    return [
        float(np.unpackbits(result.predictions[test_set].correct, count=n, bitorder="little").mean())
        for result in results
    ]


def equal_bits(a: RunResult, b: RunResult) -> bool:
    """Whether two runs predict the same, bit for bit, on every test set."""
    return a.predictions.keys() == b.predictions.keys() and all(
        _equal(getattr(a.predictions[name], part), getattr(b.predictions[name], part))
        for name in a.predictions
        for part in ("correct", "predicted")
    )


def _equal(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))


def mean_accuracies(
    results: list[RunResult], data: Dataset, test_sets: tuple[str, ...]
) -> Mapping[str, float]:
    """Return the mean accuracy of some runs by test set."""
    return {name: float(np.mean(accuracies(results, name, len(data.test)))) for name in test_sets}
