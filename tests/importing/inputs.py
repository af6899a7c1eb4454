"""The same runs as logits, as classes and as correctness, in files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from airbench_var.importing import Import

#: 203 examples leave five pad bits in the last byte.
R, N, K = 12, 203, 10


@dataclass(frozen=True)
class Runs:
    """Runs of which every prediction is known."""

    logits_RNK: np.ndarray
    labels_N: np.ndarray

    @property
    def classes_RN(self) -> np.ndarray:
        return self.logits_RNK.argmax(axis=2)

    @property
    def right_RN(self) -> np.ndarray:
        return self.classes_RN == self.labels_N

    def of_kind(self, kind: str) -> np.ndarray:
        return {"logits": self.logits_RNK, "classes": self.classes_RN, "correctness": self.right_RN}[kind]


def some_runs(seed: int = 0) -> Runs:
    rng = np.random.default_rng(seed)
    labels_N = rng.integers(0, K, N)
    logits_RNK = rng.normal(0, 1, (R, N, K))
    logits_RNK[:, np.arange(N), labels_N] += rng.normal(1.5, 1, N)  # some examples are easy, some are hard
    return Runs(logits_RNK.astype(np.float32), labels_N)


def write(
    folder: Path, predictions: np.ndarray, labels: np.ndarray, name: str = "predictions", **options: Any
) -> Import:
    """Save both arrays, and return the wish to import them to folder/store."""
    np.save(folder / f"{name}.npy", predictions)
    np.save(folder / "labels.npy", labels)
    return Import(
        predictions=folder / f"{name}.npy",
        labels=folder / "labels.npy",
        **{"out": folder / "store"} | options,
    )
