"""One array of a file that somebody else made: some rows at a time, and nothing taken on trust.

Every file format has a module that opens it as `Contents`: arrays by key, each of which is `Rows`.
"""

import io
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from airbench_var.errors import DataError
from airbench_var.seeds import Seeds

Array = npt.NDArray[Any]

#: How an accuracy is called.
_ACCURACY = ("acc", "accuracy", "test_acc", "test_accuracy")
#: What is read at a time, if a row is not larger: the bytes bound the memory, the rows the bookkeeping.
BLOCK_BYTES, BLOCK_ROWS = 1 << 24, 1 << 10


class Rows(ABC):
    """An array whose rows, one index of the first axis each, are read some at a time."""

    name: str  #: what messages call it: its file, and its key where there are several
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    columns: Sequence[str] = ()  #: the names of all columns, of a table of a row a run that names them

    @abstractmethod
    def read(self, rows: range) -> Array:
        """Return a copy of some rows, C-contiguous (len(rows), *shape[1:]), in `dtype`.

        Raises: DataError when they cannot be read, are not what the others are, or the file has changed.
        """

    @property
    def header(self) -> bytes:
        """What its sha256 begins with: the header that numpy.save writes before the same array."""
        header = io.BytesIO()
        fields = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": self.shape,
        }
        np.lib.format.write_array_header_1_0(header, fields)
        return header.getvalue()

    @property
    def row_bytes(self) -> int:
        """The size of a row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def blocks(self) -> list[range]:
        """The rows in the pieces to be read at a time: at least one row each."""
        return blocks_of(self.shape[0], self.row_bytes)

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


class Held(Rows):
    """An array that is in memory, of a file whose format cannot be read in parts."""

    def __init__(self, name: str, array: Array) -> None:
        self.name, self._array = name, np.ascontiguousarray(array)
        self.dtype, self.shape = array.dtype, array.shape

    def read(self, rows: range) -> Array:
        """Return a copy of some rows."""
        return self._array[rows.start : rows.stop].copy()


class Bits(Rows):
    """What was right, written as the numbers 0 and 1."""

    def __init__(self, rows: Rows) -> None:
        self.name, self.dtype, self.shape, self._rows = rows.name, np.dtype(np.bool_), rows.shape, rows

    def read(self, rows: range) -> Array:
        """Return a copy of some rows; raises DataError for any other number."""
        block = self._rows.read(rows)
        if not self.can_be(block):
            raise DataError(f"{self.name} is neither 0 nor 1 in rows {rows.start} to {rows.stop - 1}.")
        return block.astype(np.bool_)

    @staticmethod
    def can_be(block: Array) -> bool:
        """Whether all values are 0 or 1."""
        return bool(((block == 0) | (block == 1)).all())


class TwoClasses(Rows):
    """Classes, or labels, that are written as false and true: 0 and 1."""

    def __init__(self, rows: Rows) -> None:
        self.name, self.dtype, self.shape, self._rows = rows.name, np.dtype(np.uint8), rows.shape, rows

    def read(self, rows: range) -> Array:
        """Return a copy of some rows."""
        return self._rows.read(rows).astype(np.uint8)


def of_two_classes(rows: Rows) -> Rows:
    """Return booleans as classes, and all else as it is."""
    return TwoClasses(rows) if rows.dtype.kind == "b" else rows


class OneRun(Rows):
    """An array of one run, which lacks the axis of runs."""

    def __init__(self, rows: Rows) -> None:
        self.name, self.dtype, self.shape = rows.name, rows.dtype, (1, *rows.shape)
        self._rows = rows

    def read(self, rows: range) -> Array:
        """Return a copy of the run, or of none."""
        return self._rows.read(range(self._rows.shape[0]))[None][rows.start : rows.stop]


class OfRuns(NamedTuple):
    """What a file says of each of its runs besides what it predicted; None where it says nothing."""

    ids: Sequence[int] | None = None
    seeds: Sequence[Seeds] | None = None
    correct: Sequence[int] | None = None  #: how many examples were right
    diverged: Sequence[bool] | None = None


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What one open file holds."""

    arrays: Mapping[str, Rows]  #: by key; "" where a file holds one array and has no keys
    others: Mapping[str, str] = field(default_factory=dict)  #: by key, in words: what is no array of numbers
    keys_are_test_sets: bool = False  #: and not names of arrays, which would be odd names of test sets
    of_runs: OfRuns = field(default_factory=OfRuns)
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  #: their names, by key, where known
    #: Single numbers by key, which a training script saved beside the predictions of one run.
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def seed(self) -> int | None:
        """What they call so."""
        seed = self.numbers.get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def accuracy(self) -> float | None:
        """What they say of an accuracy, as a share, also where it is in percent."""
        said = (self.numbers[key] for key in _ACCURACY if key in self.numbers)
        found = next((number for number in said if 0 < number <= 100), None)
        return found / 100 if found is not None and found > 1 else found


def numbers_of(values: Mapping[str, object]) -> dict[str, float]:
    """Return what is one number, by key."""
    return {
        key: value
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def values_of(rows: Rows) -> Array:
    """Return all of an array, of one number an example."""
    return np.concatenate([rows.read(block) for block in rows.blocks])


def blocks_of(rows: int, row_bytes: int) -> list[range]:
    """Return the rows in the pieces to be read at a time, of one array or of several side by side."""
    size = max(1, min(BLOCK_ROWS, BLOCK_BYTES // row_bytes))
    return [range(first, min(first + size, rows)) for first in range(0, rows, size)]


def refuse_empty(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Raise DataError for an array without a value."""
    if min(shape, default=1) < 1 or dtype.itemsize == 0:
        raise DataError(
            f"{name} is empty: its shape is {shape}. At least one run and one example are needed."
        )


@contextmanager
def reading(name: str | Path) -> Iterator[None]:
    """Turn an OSError into a DataError that names the file."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}. Check the path.") from error
