"""What all sections of one call share: sizes, data, time, and what takes long to make."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch

from airbench_var.data import cifar10, synthetic
from airbench_var.data.dataset import Dataset
from airbench_var.recipe import Recipe
from airbench_var.recipes.airbench import airbench94, tiny
from airbench_var.training import visible_gpus
from bench.gpu import ceilings
from bench.gpu.engine import Networks
from bench.gpu.report import Machine


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is done: at least what the figures need, more while there is time."""

    recipe: Recipe
    train_images: int | None = None  #: None for all
    test_images: int | None = None
    product_side: int = 8192
    copied_bytes: int = 2**32  #: read, and as many written
    batches: tuple[int, ...] = (2000, 50_000)  #: images that are augmented at once
    logits: tuple[int, ...] = (10_000, 5_000_000)  #: examples that are judged at once
    pairs: tuple[int, int] = (10_000, 1024)  #: runs, and examples of a side of a block of pairs
    repeats: int = 50  #: timings of a kernel
    runs: tuple[int, int] = (50, 400)  #: networks of the fast path: at least, at most
    at_a_time: tuple[int, ...] = (1, 2, 4)
    rounds: tuple[int, int] = (4, 20)  #: that many networks each at a time: at least, at most
    reference_runs: tuple[int, int] = (10, 400)
    turns: tuple[int, int] = (5, 50)  #: of ours and the peer: at least, at most


FULL = Sizes(recipe=airbench94())
QUICK = Sizes(
    recipe=tiny().with_values({"epochs": 0.5, "batch_size": 100, "network.widths": (8, 8, 8), "tta": True}),
    train_images=600,
    test_images=203,
    product_side=256,
    copied_bytes=2**16,
    batches=(16,),
    logits=(203,),
    pairs=(40, 64),
    repeats=3,
    runs=(6, 6),
    rounds=(2, 2),
    reference_runs=(6, 6),
    turns=(2, 2),
)


class Deadline:
    """The moment until which a section may go on beyond what it must do."""

    def __init__(self, left_s: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock, self._end_s = clock, clock() + left_s

    @property
    def left_s(self) -> float:
        """Seconds that remain; negative when it has passed."""
        return self._end_s - self._clock()

    def more(self, done: int, bounds: tuple[int, int]) -> bool:
        """Whether to do one more: always up to the first bound, never beyond the second."""
        least, most = bounds
        return done < least or (done < most and self.left_s > 0)


@dataclass
class Session:
    """What the sections share; what takes long is made once, when it is first needed."""

    device: torch.device
    sizes: Sizes
    data: Dataset
    out: Path
    peer: Path | None = None
    per_hour: dict[int, float] = field(default_factory=dict)  #: networks, by how many at a time
    options: Sequence[str] = ()  #: of the command line that a new process needs too

    @property
    def environment(self) -> dict[str, str]:
        """That of a process which sees no other GPU than this session's."""
        if self.device.type == "cpu":
            return dict(os.environ)
        [gpu] = visible_gpus([f"cuda:{self.device.index or 0}"])
        return {**os.environ, "CUDA_VISIBLE_DEVICES": gpu}

    @cached_property
    def machine(self) -> Machine:
        """Device and versions."""
        return Machine.of(self.device)

    @cached_property
    def networks(self) -> Networks:
        """The trainers, and the networks that were trained."""
        return Networks(self.sizes.recipe, self.data, self.device)

    @cached_property
    def ceilings(self) -> ceilings.Ceilings:
        """What this device reaches at best."""
        return ceilings.measure(self.device, self.sizes.product_side, self.sizes.copied_bytes)


def load_data(data_dir: Path | None, sizes: Sizes) -> Dataset:
    """Return CIFAR-10 from the folder, $AIRBENCH_VAR_DATA or the cache, else the synthetic set.

    Cut to the sizes, where they are small.

    Raises: DataError when the folder that was named holds none.
    """
    real = data_dir is not None or (sizes.train_images is None and cifar10.find() is not None)
    dataset = cifar10.load(data_dir, download=False) if real else synthetic.load()
    train = dataset.train.first(sizes.train_images or len(dataset.train))
    return replace(dataset, train=train, test=dataset.test.first(sizes.test_images or len(dataset.test)))
