"""What a file of predictions may hold: classes, logits, or correctness; and what none of them may.

Axis letters: R runs, N examples, K classes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from airbench_var.errors import DataError, UsageError
from airbench_var.importing.rows import Array, Rows
from airbench_var.importing.tables import MAP_NAMES, perhaps_long
from airbench_var.store import Predictions
from airbench_var.store.rows import MOST_LABELS, label_dtype

Bools = npt.NDArray[np.bool_]
Classes = npt.NDArray[Any]


class Limit(NamedTuple):
    """Classes are 0 ... classes - 1, and why."""

    classes: int
    why: str
    exact: bool = True  #: whether that is the number of classes, or the most that there can be
    names: tuple[str, ...] = ()  #: of all of them, where they are known

    def __str__(self) -> str:
        return f"0 to {self.classes - 1:,}, {self.why}"


class Kind(NamedTuple):
    """One kind of predictions; its functions take a block (R, N) or (R, N, K)."""

    name: str
    find_bad: Callable[[Array, Limit], Bools]  #: whether each value is one that cannot be
    say_bad: Callable[[object, Limit], str]
    predicted_RN: Callable[[Array], Classes] | None  #: None where they say no classes


def _outside(block_RN: Array, limit: Limit) -> Bools:
    outside_RN: Bools = (block_RN < 0) | (block_RN >= limit.classes)
    return outside_RN


def _first_largest(block_RNK: Array) -> Classes:
    # float32 holds every float16, and is searched faster.
    native = np.result_type(block_RNK.dtype, np.float32)
    predicted_RN: Classes = block_RNK.astype(native, copy=False).argmax(axis=2)
    return predicted_RN


CLASSES = Kind(
    name="classes",
    find_bad=_outside,
    say_bad=lambda value, limit: f"class {value} is not one of {limit}",
    predicted_RN=lambda block_RN: block_RN,
)
LOGITS = Kind(
    name="logits",
    find_bad=lambda block_RNK, _: np.isnan(block_RNK),
    say_bad=lambda *_: (
        "a logit is not a number (NaN), so that none is the largest. If the run diverged, and is one of the "
        "recipe, count it: --keep-diverged; or leave such runs out, "
        "array[~numpy.isnan(array).any(axis=(1, 2))]"
    ),
    predicted_RN=_first_largest,
)
CORRECTNESS = Kind(
    name="correctness",
    find_bad=lambda block_RN, _: block_RN.view(np.uint8) > 1,
    say_bad=lambda *_: "the byte of a boolean is neither 0 nor 1",
    predicted_RN=None,
)
_KINDS = {("i", 2): CLASSES, ("u", 2): CLASSES, ("f", 3): LOGITS, ("b", 2): CORRECTNESS}


def kind_of(rows: Rows) -> Kind | None:
    """Return what an array is by its type and its axes, or None when it cannot be predictions."""
    return _KINDS.get((rows.dtype.kind, len(rows.shape)))


def may_lack_runs(rows: Rows) -> bool:
    """Return whether an array is of the type and the axes of one run: classes, correctness, or logits."""
    return (rows.dtype.kind in "iub" and len(rows.shape) == 1) or (
        rows.dtype.kind == "f" and len(rows.shape) == 2
    )


def lacks_runs(rows: Rows, n_labels: int, beside: Sequence[Rows] = ()) -> bool:
    """Return whether an array can only be of one run: as long as the labels, and without an axis of runs.

    beside: what else is in the file. Logits beside those of many runs, of as many classes, may be the mean of
    runs, as in dumps of elastic-airbench.

    Raises: DataError for logits that are all whole numbers, which are more often something else.
    """
    if not may_lack_runs(rows) or rows.shape[0] != n_labels or rows.shape[1:] == (n_labels,):
        return False
    if rows.dtype.kind == "f":
        if any(kind_of(other) is LOGITS and other.shape[2] == rows.shape[1] for other in beside):
            return False
        block_NK = rows.read(rows.blocks[0])
        if np.array_equal(block_NK, np.rint(block_NK)):
            raise DataError(
                f"{rows.name} is {rows}, whole numbers, and as long as the labels: no logits of one run. "
                "Classes (examples, runs) are array.T.astype(int), what was right array.T.astype(bool); "
                "whole logits of one run are array[None]. Nothing was written."
            )
        is_share = bool(((block_NK >= 0) & (block_NK <= 1)).all())
        if is_share and not np.allclose(block_NK.sum(axis=1), 1, atol=0.05):
            raise DataError(
                f"{rows.name} is {rows}, between 0 and 1, and as long as the labels: shares of classes sum "
                "up to 1. Probabilities of the second of two classes (examples, runs) are (array.T > "
                "0.5).astype(int); scores of one run that do not sum up are array[None]. Nothing was written."
            )
    return True


@dataclass(frozen=True, kw_only=True)
class Judge:
    """What the predictions of one test set may be, and the labels they are judged by."""

    kind: Kind
    limit: Limit
    labels_N: Classes
    #: A NaN counts as the largest logit, as in training, and its run as diverged.
    keeps_diverged: bool = False

    def diverged(self, block: Array) -> Bools:
        """Return which runs of a block have a NaN among their logits, (R,)."""
        if self.kind is not LOGITS:
            return np.zeros(len(block), np.bool_)
        return np.asarray(np.isnan(block).any(axis=(1, 2)))

    def first_bad(self, block: Array) -> tuple[int, int, str] | None:
        """Return row, example and reason of the first value of a block that cannot be, or None."""
        if self.keeps_diverged and self.kind is LOGITS:
            return None
        bad = self.kind.find_bad(block, self.limit)
        if not bad.any():
            return None
        where = tuple(np.argwhere(bad)[0].tolist())
        return where[0], where[1], self.kind.say_bad(block[where], self.limit)

    def classes(self, largest: int) -> tuple[str, ...]:
        """Return the names of all classes, of which this is the largest that was seen."""
        count = self.limit.classes if self.limit.exact else 1 + largest
        return self.limit.names or tuple(map(str, range(count)))

    def right_at_least_and_most(self, block: Array) -> tuple[Bools, Bools]:
        """Return what was right (R, N), whichever of equal largest logits counts; of NaN, any may."""
        if self.kind is not LOGITS:
            right_RN = block if self.kind.predicted_RN is None else block == self.labels_N
            return right_RN, right_RN
        is_largest_RNK = block == block.max(axis=2, keepdims=True)
        most_RN = is_largest_RNK[:, np.arange(len(self.labels_N)), self.labels_N]
        least_RN = most_RN & (is_largest_RNK.sum(axis=2) == 1)
        return least_RN, most_RN | np.isnan(block).any(axis=2)

    def predictions(self, block: Array, columns: Sequence[str]) -> Iterator[Predictions]:
        """Yield what a store of these columns keeps of each run of a block in which nothing is bad."""
        predicted_RN = None if self.kind.predicted_RN is None else self.kind.predicted_RN(block)
        right_RN = block if predicted_RN is None else predicted_RN == self.labels_N
        kept_RN = (
            predicted_RN.astype(np.uint8) if predicted_RN is not None and "predicted" in columns else None
        )
        for i, correct in enumerate(np.packbits(right_RN, axis=1, bitorder="little")):
            yield Predictions(correct=correct, predicted=None if kept_RN is None else kept_RN[i])


def _hint(rows: Rows, n_labels: int) -> str:
    """Return what one who has such an array may have meant."""
    if rows.dtype.kind == "f" and len(rows.shape) == 2 and 1 < rows.shape[1] < rows.shape[0] != n_labels:
        return f" As logits of one run it has {rows.shape[0]:,} examples, and there are {n_labels:,} labels."
    if np.issubdtype(rows.dtype, np.floating) and len(rows.shape) == 2:
        return (
            " What was right, as 0.0 and 1.0, is array.astype(bool); classes are array.astype(int), or of "
            "probabilities of the second of two classes (array > 0.5).astype(int); the logits of one run, "
            "and no mean of many, are array[None]."
        )
    if len(rows.shape) == 3 and rows.dtype.kind in "iub":
        return " Of whole scores, or one-hot, (runs, examples, classes) they are array.argmax(axis=2)."
    if rows.dtype.kind in "US":
        return " Of names they are numpy.vectorize(NAMES.index)(array), as the labels count them."
    if rows.dtype.kind == "O":  # text in a table
        return f" Of names, {MAP_NAMES}."
    if len(rows.shape) == 1 and rows.dtype.kind == "f":
        return (
            " Classes of one run are array.astype(int), of probabilities of the second of two classes "
            "(array > 0.5).astype(int). Accuracies alone say nothing of an example."
        )
    if len(rows.shape) == 1:
        return " One run is as long as the labels. Accuracies alone say nothing of an example."
    return ""


def judge_of(
    rows: Rows,
    labels_name: str,
    labels_N: Array,
    classes: int | None,
    names: tuple[str, ...],
    *,
    keeps_diverged: bool = False,
) -> Judge:
    """Return how an array is judged.

    classes: the number that was asked for, if any; names: those that the file gives them, if any;
    keeps_diverged: runs with a NaN among their logits are counted, and not refused.

    Raises: DataError for what is not predictions, or labels that do not fit them; UsageError for a number of
    classes that is too small or too large.
    """
    kind = kind_of(rows)
    if kind is None:
        raise DataError(
            f"{rows.name} is {rows}; predictions are integer classes (runs, examples), booleans (runs, "
            "examples) that say what was right, or floating-point logits (runs, examples, classes)."
            + _hint(rows, len(labels_N))
        )
    limit = _limit(rows, kind, classes, names)
    n = rows.shape[1]
    if labels_N.shape != (n,):
        raise DataError(
            f"{labels_name} has {labels_N.shape[0]:,} labels, {rows.name} has {n:,} examples. "
            + _hint_of_axis(rows, n_labels=len(labels_N))
            + perhaps_long(rows.columns, rows.shape)
        )
    outside_N = _outside(labels_N, limit)
    if outside_N.any():
        first = int(outside_N.argmax())
        raise DataError(f"{labels_name}: example {first}: label {labels_N[first]} is not one of {limit}.")
    return Judge(
        kind=kind,
        limit=limit,
        labels_N=labels_N.astype(label_dtype(MOST_LABELS)),
        keeps_diverged=keeps_diverged,
    )


def _hint_of_axis(rows: Rows, n_labels: int) -> str:
    """Return which axis is as long as the labels, if it is not that of the examples."""
    if rows.shape[0] == n_labels:
        return (
            "Its first axis is as long, and is taken for runs: exchange the two by array.swapaxes(0, 1), in "
            "pandas by frame.T.reset_index(drop=True)."
        )
    if len(rows.shape) == 3 and rows.shape[-1] == n_labels:
        return "Its last axis is as long, and is taken for classes: exchange the two by array.swapaxes(1, 2)."
    if rows.shape[0] * rows.shape[1] == n_labels:
        return (
            "Both of its first axes together are as long: if these are batches of one run, import "
            f"array.reshape({(1, n_labels, *rows.shape[2:])})."
        )
    return "Give the labels of the same test set."


def _limit(rows: Rows, kind: Kind, classes: int | None, names: tuple[str, ...]) -> Limit:
    if classes is not None and not 1 <= classes <= MOST_LABELS:
        raise UsageError(f"--classes {classes}: a store takes 1 to {MOST_LABELS:,} classes.")
    if kind is LOGITS:
        k = rows.shape[2]
        if k > MOST_LABELS:
            raise DataError(
                f"{rows.name} has logits of {k:,} classes; a store takes {MOST_LABELS:,} at most. The last "
                "axis is taken for classes: if it is examples, exchange the two by array.swapaxes(1, 2)."
            )
        if classes is not None and classes < k:
            raise UsageError(f"--classes {classes} is too small: {rows.name} has logits of {k} classes.")
        if classes is None and len(names) != k:
            return Limit(k, "the classes that have a logit")
    if classes is not None and len(names) != classes:
        return Limit(classes, f"the classes of --classes {classes}")
    if names:
        return Limit(len(names), "the classes that the file names", names=names)
    return Limit(MOST_LABELS, "the most that a store takes", exact=False)
