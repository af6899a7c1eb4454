"""Runs that no network made, no two of them alike, and a campaign to keep them in."""

import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from airbench_var.campaign import Campaign
from airbench_var.data import Dataset
from airbench_var.data.dataset import Split
from airbench_var.recipes import images_recipe
from airbench_var.seeds import Seeds
from airbench_var.store import Outcome, Predictions, RunResult, RunSpec
from airbench_var.training import RecipeOnData, Settings
from bench.keeping import CLASSES, FakeRuns

#: Different runs that are made once; others differ from one of them on the first examples.
DRAWN = 64
#: Examples on which the bits of its id tell a run from all others: right where a bit is 0.
TOLD_BY = 32


@dataclass(frozen=True)
class DistinctRuns:
    """As many different runs on n examples, right nine times in ten, as there are ids."""

    n: int

    @cached_property
    def drawn(self) -> FakeRuns:
        """The runs that all others follow."""
        return FakeRuns.draw(self.n, DRAWN)

    def result(self, run_id: int) -> RunResult:
        """Return the result of a run: a function of its id alone."""
        runs, row = self.drawn, run_id % DRAWN
        wrong = np.unpackbits(np.array([run_id], "<u4").view(np.uint8), bitorder="little")
        predicted_N, correct_b = runs.predicted_RN[row].copy(), runs.correct_Rb[row].copy()
        predicted_N[:TOLD_BY] = (runs.labels_N[:TOLD_BY] + wrong) % len(CLASSES)
        correct_b[: TOLD_BY // 8] = np.packbits(1 - wrong, bitorder="little")
        rows = Predictions(correct=correct_b, predicted=predicted_N)
        return RunResult(predictions={"fake": rows}, loss=0.5, diverged=False, train_s=1.0)

    def outcome(self, spec: RunSpec, worker: int = 0) -> Outcome:
        """Return what an executor would hand over."""
        return Outcome(spec=spec, worker=worker, result=self.result(spec.run_id))

    @cached_property
    def data(self) -> Dataset:
        """A data set with these labels and black images."""

        def split(labels_N: np.ndarray) -> Split:
            return Split(images_NHWC=np.zeros((len(labels_N), 32, 32, 3), np.uint8), labels_N=labels_N)

        return Dataset(
            name="fake",
            title=f"{self.n:,} examples",
            source="bench",
            classes=CLASSES,
            mean=(128.0,) * 3,
            std=(64.0,) * 3,
            train=split(np.arange(1000, dtype=np.uint8) % len(CLASSES)),
            test=split(self.drawn.labels_N),
        )

    def campaign(self, out: Path, runs: int) -> Campaign:
        """Return the campaign of so many of these runs."""
        return Campaign(
            subject=RecipeOnData(recipe=images_recipe("tiny"), data=self.data, settings=Settings()),
            out=out,
            runs=runs,
        )


@dataclass(frozen=True)
class Asleep:
    """What a worker trains: a run that takes a while and no core."""

    runs: DistinctRuns
    seconds: float

    def __call__(self, seeds: Seeds) -> RunResult:
        """Sleep, and return the result of a run that the seeds name."""
        time.sleep(self.seconds)
        return self.runs.result(seeds.init % 2**32)
