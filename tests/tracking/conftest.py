"""A store of few runs of nothing, and packages that are there as they are said to be."""

import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from airbench_var import run_many
from airbench_var.analysis import LiveStatistics
from airbench_var.seeds import Seeds
from airbench_var.store import Store
from airbench_var.tracking import Tracker
from airbench_var.tracking import track as track_from

N, R = 60, 5
LABELS = np.arange(N) % 3


def answer(seeds: Seeds) -> np.ndarray:
    generator = np.random.default_rng(seeds.init)
    return np.where(generator.random(N) < 0.7, LABELS, (LABELS + 1) % 3)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    out = tmp_path_factory.mktemp("tracking") / "own"
    return run_many(answer, LABELS, runs=R, out=out, settings={"lr": 0.1}, show="quiet")


def track(store: Store, tracker: Tracker, **how: Any) -> int:
    return track_from(store, LiveStatistics.of_store(store), tracker, **how)


class Remembers:
    """A tracker that keeps what it is told."""

    where = "nowhere"

    def __init__(self) -> None:
        self.runs: dict[int, Mapping[str, float]] = {}
        self.looks: list[tuple[int, Mapping[str, float]]] = []
        self.closed = self.failed = False

    def run(self, run_id: int, values: Mapping[str, float]) -> None:
        assert run_id not in self.runs
        self.runs[run_id] = values

    def estimates(self, runs: int, values: Mapping[str, float]) -> None:
        self.looks.append((runs, values))

    def close(self, *, failed: bool = False) -> None:
        self.closed, self.failed = True, failed


def accuracies(store: Store) -> list[float]:
    return [float(right_N.mean()) for right_N in store.correct_RN("test")]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make modules of packages be there, with what is given."""

    def installed(**modules: Mapping[str, object]) -> None:
        monkeypatch.setattr("airbench_var.tracking.find_spec", lambda name: name)
        for name, content in modules.items():
            module = ModuleType(name.replace("_", "."))
            vars(module).update(content)
            monkeypatch.setitem(sys.modules, module.__name__, module)

    return installed
