"""What a benchmark found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

#: The version of the JSON document; it changes when a key changes its meaning or goes, and when what is
#: trained changes: documents of one version and one recipe_sha256 can be compared.
SCHEMA = "airbench_var/benchmark/1"

#: How long so many runs would take is told.
RUNS = 10_000


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """What the device does at best, by PyTorch on all its cores."""

    gemm_tflops: float  #: 1e12 operations a second of a product in training's number format
    gemm_side: int
    copy_gb_s: float  #: 1e9 bytes a second, read and written


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """The seconds of every network that was trained, in which way and where."""

    device: str
    driver: str | None
    recipe: str
    recipe_sha256: str
    data: str
    train_examples: int
    test_examples: int
    numerics: Mapping[str, Any]  #: threads and engine among them
    loader: str
    workers: int  #: processes
    runs_per_device: int
    ceilings: Ceilings
    seconds: Mapping[int, Sequence[float]]  #: by worker, from the end of a network to that of the next
    accuracy: float  #: mean
    first_s: float  #: from the start to the first network, with imports and any compiling
    origin: Mapping[str, Any]  #: versions, commit, command, time

    @property
    def all_seconds(self) -> np.ndarray:
        """The seconds of every network."""
        return np.concatenate([np.asarray(seconds) for seconds in self.seconds.values()])

    @property
    def networks_per_hour(self) -> float:
        """The rates of all workers together."""
        return sum(3600 / float(np.mean(seconds)) for seconds in self.seconds.values())

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON values, as `benchmark.schema.json` beside this module describes them."""
        seconds = self.all_seconds
        return {
            "schema": SCHEMA,
            "device": self.device,
            "driver": self.driver,
            "recipe": self.recipe,
            "recipe_sha256": self.recipe_sha256,
            "data": self.data,
            "train_examples": self.train_examples,
            "test_examples": self.test_examples,
            "numerics": dict(self.numerics),
            "loader": self.loader,
            "workers": self.workers,
            "runs_per_device": self.runs_per_device,
            "gemm_tflops": self.ceilings.gemm_tflops,
            "gemm_side": self.ceilings.gemm_side,
            "copy_gb_s": self.ceilings.copy_gb_s,
            "networks_per_hour": self.networks_per_hour,
            "seconds_per_network": {
                "n": len(seconds),
                "min": float(seconds.min()),
                "median": float(np.median(seconds)),
                "p95": float(np.quantile(seconds, 0.95)),
            },
            "hours_for_10000_runs": RUNS / self.networks_per_hour,
            "mean_accuracy": self.accuracy,
            "first_network_s": self.first_s,
            "created_by": dict(self.origin),
        }
