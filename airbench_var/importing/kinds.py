"""What a file of predictions may hold: classes, logits, or correctness; and what none of them may.

Axis letters: R runs, N examples, K classes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from airbench_var.errors import DataError, UsageError
from airbench_var.importing.npy_file import Array, NpyFile, open_npy
from airbench_var.store import Predictions
from airbench_var.store.records import Bytes

Bools = npt.NDArray[np.bool_]

#: A class is one byte in a store.
MOST_CLASSES = 256


class Limit(NamedTuple):
    """Classes are 0 ... classes - 1, and why."""

    classes: int
    why: str
    exact: bool = True  #: whether that is the number of classes, or the most that there can be

    def __str__(self) -> str:
        return f"0 to {self.classes - 1}, {self.why}"


class Kind(NamedTuple):
    """One kind of predictions; its functions take a block (R, N) or (R, N, K)."""

    name: str
    columns: list[str]  #: of a store of them
    find_bad: Callable[[Array, Limit], Bools]  #: whether each value is one that cannot be
    say_bad: Callable[[object, Limit], str]
    predicted_RN: Callable[[Array], Bytes | None]


def _outside(block_RN: Array, limit: Limit) -> Bools:
    outside_RN: Bools = (block_RN < 0) | (block_RN >= limit.classes)
    return outside_RN


def _first_largest(block_RNK: Array) -> Bytes:
    # float32 holds every float16, and is searched faster.
    native = np.result_type(block_RNK.dtype, np.float32)
    predicted_RN: Bytes = block_RNK.astype(native, copy=False).argmax(axis=2).astype(np.uint8)
    return predicted_RN


CLASSES = Kind(
    name="classes",
    columns=["correct", "predicted"],
    find_bad=_outside,
    say_bad=lambda value, limit: f"class {value} is not one of {limit}",
    predicted_RN=lambda block_RN: block_RN.astype(np.uint8, copy=False),
)
LOGITS = Kind(
    name="logits",
    columns=["correct", "predicted"],
    find_bad=lambda block_RNK, _: np.isnan(block_RNK),
    say_bad=lambda *_: "a logit is not a number (NaN), so that none is the largest",
    predicted_RN=_first_largest,
)
CORRECTNESS = Kind(
    name="correctness",
    columns=["correct"],
    find_bad=lambda block_RN, _: block_RN.view(np.uint8) > 1,
    say_bad=lambda *_: "the byte of a boolean is neither 0 nor 1",
    predicted_RN=lambda _: None,
)
_KINDS = {("i", 2): CLASSES, ("u", 2): CLASSES, ("f", 3): LOGITS, ("b", 2): CORRECTNESS}


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file of predictions, and the labels they are judged by."""

    file: NpyFile
    kind: Kind
    limit: Limit
    labels_N: Bytes

    @property
    def runs(self) -> int:
        """How many runs the file has."""
        return self.file.shape[0]

    def refuse_bad(self, first_run: int, block: Array) -> None:
        """Raise DataError that names run and example of the first value of a block that cannot be."""
        bad = self.kind.find_bad(block, self.limit)
        if bad.any():
            where = tuple(np.argwhere(bad)[0])
            raise DataError(
                f"{self.file.path}: run {first_run + where[0]}, example {where[1]}: "
                f"{self.kind.say_bad(block[where], self.limit)}. Nothing was written."
            )

    def predictions(self, block: Array) -> Iterator[Predictions]:
        """Yield what a store keeps of each run of a block in which nothing is bad."""
        predicted_RN = self.kind.predicted_RN(block)
        right_RN = block if predicted_RN is None else predicted_RN == self.labels_N
        for i, correct in enumerate(np.packbits(right_RN, axis=1, bitorder="little")):
            yield Predictions(correct=correct, predicted=None if predicted_RN is None else predicted_RN[i])


def source_of(file: NpyFile, labels: Path, classes: int | None) -> Source:
    """Return the file with its labels; `classes` is the number that was asked for, if any.

    Raises: DataError for what is not predictions, or labels that do not fit them; UsageError for a number of
    classes that is too small or too large.
    """
    kind = _KINDS.get((file.dtype.kind, len(file.shape)))
    if kind is None:
        raise DataError(
            f"{file.path} is {file.dtype} {file.shape}; predictions are integer classes (runs, examples), "
            "booleans (runs, examples) that say what was right, or floating-point logits (runs, examples, "
            "classes)."
        )
    limit = _limit(file, kind, classes)
    return Source(file=file, kind=kind, limit=limit, labels_N=_read_labels(labels, file, limit))


def _limit(file: NpyFile, kind: Kind, classes: int | None) -> Limit:
    if classes is not None and not 1 <= classes <= MOST_CLASSES:
        raise UsageError(f"--classes {classes}: a store takes 1 to {MOST_CLASSES} classes.")
    if kind is LOGITS:
        k = file.shape[2]
        if k > MOST_CLASSES:
            raise DataError(f"{file.path} has logits of {k} classes; a store takes {MOST_CLASSES} at most.")
        if classes is None:
            return Limit(k, "the classes that have a logit")
        if classes < k:
            raise UsageError(f"--classes {classes} is too small: {file.path} has logits of {k} classes.")
    if classes is not None:
        return Limit(classes, f"the classes of --classes {classes}")
    return Limit(MOST_CLASSES, "the most that a store takes", exact=False)


def _read_labels(path: Path, predictions: NpyFile, limit: Limit) -> Bytes:
    n = predictions.shape[1]
    with open_npy(path) as file:
        if file.dtype.kind not in "iu" or len(file.shape) != 1:
            raise DataError(f"{path} is {file.dtype} {file.shape}; labels are integers (examples,).")
        if file.shape != (n,):
            raise DataError(
                f"{path} has {file.shape[0]:,} labels, {predictions.path} has {n:,} examples. Give the "
                "labels of the same test set."
            )
        labels_N = file.read(range(n))
    outside_N = _outside(labels_N, limit)
    if outside_N.any():
        first = int(outside_N.argmax())
        raise DataError(f"{path}: example {first}: label {labels_N[first]} is not one of {limit}.")
    return labels_N.astype(np.uint8)
