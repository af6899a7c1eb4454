"""A data set in memory: NumPy arrays, no torch, with the fingerprint that a store records."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images and labels: images_NHWC uint8 (N, H, W, 3), labels_N uint8 (N,)."""

    images_NHWC: npt.NDArray[np.uint8]
    labels_N: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels_N)

    def first(self, n: int) -> "Split":
        """Return the first n examples, or all when there are fewer."""
        return Split(images_NHWC=self.images_NHWC[:n], labels_N=self.labels_N[:n])

    @cached_property
    def fingerprint(self) -> dict[str, str | int]:
        """Number of examples and the sha256 of the image bytes and of the label bytes (uint8)."""
        return {
            "n": len(self),
            "images_sha256": hashlib.sha256(np.ascontiguousarray(self.images_NHWC).data).hexdigest(),
            "labels_sha256": hashlib.sha256(np.ascontiguousarray(self.labels_N).data).hexdigest(),
        }


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Train and test split with what a trainer and a reader need to know of them."""

    name: str  #: also the name of the test set in the store: "cifar10", "synthetic"
    title: str  #: for people: "CIFAR-10", "CIFAR-10 (not the official files)"
    source: str  #: where it came from, for people and provenance
    classes: tuple[str, ...]
    mean: tuple[float, float, float]  #: of a channel, in units of 0 ... 255
    std: tuple[float, float, float]  #: of a channel, in units of 0 ... 255
    train: Split
    test: Split

    @property
    def fingerprint(self) -> dict[str, dict[str, str | int]]:
        """The fingerprints of both splits: what a store holds fixed."""
        return {"train": self.train.fingerprint, "test": self.test.fingerprint}
