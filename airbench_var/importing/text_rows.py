"""Rows of a text file: where each begins is found in one pass, and some are read and parsed at a time."""

import re
from abc import abstractmethod
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from airbench_var.errors import DataError
from airbench_var.importing.rows import Array, Rows, reading, refuse_empty

_NUMBER = re.compile(rb"[+-]?[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?")


class Places:
    """Where the rows of a text are: offset, length in bytes, and the line each begins on, counted from 1."""

    def __init__(self) -> None:
        self.offsets, self.lengths, self.lines = array("q"), array("q"), array("q")

    def add(self, offset: int, length: int, line: int) -> None:
        """Note one more row."""
        self.offsets.append(offset)
        self.lengths.append(length)
        self.lines.append(line)

    def __len__(self) -> int:
        return len(self.offsets)


class TextRows(Rows):
    """An array whose rows are pieces of a text; the first row says what the others must be like."""

    def __init__(self, name: str, path: Path, file: BinaryIO, places: Places) -> None:
        self.name, self._path, self._file, self._places = name, path, file, places
        first = self.parse(self._text(0), 0)
        self.dtype, self.shape = first.dtype, (len(places), *first.shape)
        refuse_empty(name, self.dtype, self.shape)

    @abstractmethod
    def parse(self, text: bytes, run: int) -> Array:
        """Return one row; raises DataError that names the line."""

    def read(self, rows: range) -> Array:
        """Return a copy of some rows; raises DataError that names the line of one unlike the first."""
        block = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for i, run in enumerate(rows):
            row = self.parse(self._text(run), run)
            if row.shape != self.shape[1:] or row.dtype != self.dtype:
                raise self.bad(
                    self._places.lines[run],
                    f"run {run} has {_size(row.shape)} {row.dtype} values, the run before it "
                    f"{_size(self.shape[1:])} {self.dtype} values",
                )
            block[i] = row
        return block

    def bad(self, line: int, what: str) -> DataError:
        """Return the error that names a line."""
        return DataError(f"{self.name}, line {line}: {what}. Nothing was written.")

    def line_of(self, run: int) -> int:
        """Return the line that a run begins on."""
        return self._places.lines[run]

    def _text(self, run: int) -> bytes:
        with reading(self._path):
            self._file.seek(self._places.offsets[run])
            text = self._file.read(self._places.lengths[run])
        if len(text) < self._places.lengths[run]:
            raise DataError(f"{self._path} became shorter while it was read. Wait until it is whole.")
        return text


def refuse_other_separators(path: Path, first: bytes) -> None:
    """Raise DataError where the first line has no comma, and a sign that separates cells elsewhere."""
    line = first.strip()
    for sign, name in ((b";", "semicolons"), (b"\t", "tabs"), (b" ", "spaces")):
        numbers = line.replace(b'"', b"").split()
        if b"," in line or sign not in line or (sign == b" " and not all(map(_NUMBER.fullmatch, numbers))):
            continue
        raise DataError(
            f"{path} has cells between {name}; a .csv file has them between commas. In pandas: "
            f"pandas.read_csv(PATH, sep={sign.decode()!r}).to_csv(NEW, index=False); of numpy.savetxt: "
            "numpy.savetxt(PATH, array, fmt='%d', delimiter=',')."
        )


def whole_numbers(cells: Sequence[Any]) -> Array:
    """Return integers as they are; raises ValueError, also for one beyond 64 bits."""
    try:
        return np.array(cells, np.int64)
    except OverflowError as error:
        raise ValueError("a number of more than 64 bits") from error


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{length:,}" for length in shape)
