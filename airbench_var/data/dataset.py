"""A data set in memory: NumPy arrays, no torch, with the fingerprint that a store records."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt


class Examples(Protocol):
    """Labelled images that may be made as they are read, so that there can be millions of them."""

    @property
    def labels_N(self) -> npt.NDArray[np.uint8]:
        """The labels, uint8 (N,)."""

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """What a store holds fixed of them: equal fingerprints mean equal images and labels."""

    def blocks(self, size: int) -> "Iterator[Split]":
        """Yield all examples in order, `size` at a time; the last block may be smaller."""

    def __len__(self) -> int:
        """The number of examples."""


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

    def blocks(self, size: int) -> "Iterator[Split]":
        """Yield all examples in order, see `Examples`."""
        for start in range(0, len(self), size):
            some = slice(start, start + size)
            yield Split(images_NHWC=self.images_NHWC[some], labels_N=self.labels_N[some])

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
    more: Mapping[str, Examples] = field(default_factory=dict)  #: further test sets of every run, by name
    folder: Path | None = None  #: in which its files lie, and those of further test sets

    @property
    def test_set_names(self) -> tuple[str, ...]:
        """The names of the test sets that any recipe predicts."""
        return (self.name, *self.more)

    @property
    def fingerprint(self) -> dict[str, dict[str, str | int]]:
        """The fingerprints of both splits: what a store holds fixed besides those of `more`."""
        return {"train": self.train.fingerprint, "test": self.test.fingerprint}
