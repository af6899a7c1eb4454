"""Read a .csv file: a line a run (wide), or a line for each example of each run (long); or labels.

Wide: a column for each example; the first line may name the columns. Long: columns run, example, and
predicted or correct, named by the first line, and perhaps label; of one run `run` may be missing. Labels: a
column `label`. One column and nothing else may be labels, or one run.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from airbench_var.errors import DataError
from airbench_var.importing.rows import Array, Contents, Held, Rows, of_two_classes, reading, refuse_empty
from airbench_var.importing.tables import (
    EXAMPLE,
    LABEL,
    MAP_NAMES,
    POOLED,
    SEED,
    VALUES,
    beside_labels,
    example_column,
    first_example,
    key_of_column,
    listed,
    long_values,
    not_counted,
    not_in_order,
    perhaps_long,
    refuse_order,
    refuse_order_of_columns,
    refuse_order_of_labels,
    refuse_pooled,
    run_column,
    run_of_long,
    usual_names,
)
from airbench_var.importing.text_rows import Places, TextRows, refuse_other_separators

_MOST_LINE_BYTES = 1 << 26
_WORDS = {b"true": True, b"false": False}
#: Of this many examples or more, a first line of numbers that all differ is not what a run predicted: each
#: would be of a class of its own. Of few it may be, unless they are in order.
_SURELY_NAMES, _MAYBE_NAMES = 257, 11
#: As pandas writes integers of a column in which one was missing.
_WHOLE_FLOAT = re.compile(rb"([+-]?[0-9]{1,15})\.0*")
_INTEGER = re.compile(rb"[+-]?[0-9]{1,19}")
#: Many at once, for sure of 64 bits each.
_INTEGERS = re.compile(rb"[+-]?[0-9]{1,18}(?:,[+-]?[0-9]{1,18})*")


@contextmanager
def open_csv(path: Path) -> Iterator[Contents]:
    """Yield the array of a .csv file; raises DataError that names the line that cannot be."""
    with reading(path):
        file = path.open("rb")
    others: dict[str, str] = {}
    with file:
        first = next(_lines(path, file), (1, 0, b""))[2]
        refuse_other_separators(path, first)
        names = usual_names(_header(path, _cells(first)))
        arrays: dict[str, Rows]
        if values := long_values(str(path), names):
            for at in (i for i, name in enumerate(names) if name.lower() in POOLED):
                cells = (_cells(text)[at : at + 1] for _, _, text in _below_names(path, file, names))
                refuse_pooled(str(path), names[at], (one.decode("utf-8", "replace") for [one] in cells))
            places = _places_of_runs(path, file, names)
            arrays = {value: _Long(path, file, names, value, places) for value in values}
            if LABEL in names and not (others := _why_no_labels(path, file, names)):
                arrays[LABEL] = _Long(path, file, names, LABEL, places)
        elif LABEL in names:
            arrays = {"labels": _column(path, file, names)}
            others = beside_labels(names)
        elif len(_cells(first)) == 1 and run_column(names) is None:
            key, column = key_of_column("".join(names)), _column(path, file, names)
            arrays = {key: of_two_classes(column) if key == VALUES[0] else column}
        elif not not_counted(names) and (scores := [name for name in names if "accuracy" in name.lower()]):
            raise DataError(
                f"{path} has a column {scores[0]!r}: from accuracies alone nothing can be said of single "
                "examples. Wanted is what each run predicted, a line a run and a column an example, or "
                "columns run, example, and predicted or correct. Nothing was written."
            )
        else:
            arrays = {"": _Wide(path, file, names)}
        yield Contents(arrays=arrays, others=others)


class _Wide(TextRows):
    """A line a run."""

    def __init__(self, path: Path, file: BinaryIO, names: Sequence[str]) -> None:
        self.columns, self._run = names, _index(names, run_column(names))
        refuse_order_of_columns(str(path), [name for i, name in enumerate(names) if i != self._run])
        places, before = Places(), None
        has_ids = self._run is not None and names[self._run] != SEED
        for line, offset, text in _below_names(path, file, names):
            if has_ids and self._run is not None:
                run = _run_id(path, line, text, self._run)
                refuse_order(f"{path}, line {line}", run, before, names)
                before = run
            places.add(offset, len(text), line)
        self.runs = len(places)
        super().__init__(str(path), path, file, _some(path, places))

    def parse(self, text: bytes, run: int) -> Array:
        """Return one run."""
        cells, line = _cells(text), self.line_of(run)
        if self.columns and len(cells) != len(self.columns):
            what = f"it has {len(cells):,} cells, the first line names {len(self.columns):,} columns"
            raise self.bad(line, what)
        if self._run is not None:
            del cells[self._run]
        return _values(self, cells, lambda _: line)

    def bad(self, line: int, what: str) -> DataError:
        """Return the error that names a line; if this may be a long table, what that is like."""
        return DataError(f"{super().bad(line, what)}{perhaps_long(self.columns, (self.runs,))}")


class _Long(TextRows):
    """A line for each example of each run, in order."""

    def __init__(self, path: Path, file: BinaryIO, names: Sequence[str], value: str, places: Places) -> None:
        self._names, self._is_correct, self._is_label = names, value == "correct", value == LABEL
        self._value = names.index(value)
        self._example = names.index(EXAMPLE) if EXAMPLE in names else None
        self._counts_from: int | None = None  # until the first run is read, which says it for all
        super().__init__(str(path), path, file, places)

    def parse(self, text: bytes, run: int) -> Array:
        """Return one run."""
        first, values = self.line_of(run), []
        for i, line in enumerate(text.splitlines()):
            cells = _cells(line)
            if len(cells) != len(self._names):
                what = f"it has {len(cells)} cells, the first line names {len(self._names)} columns"
                raise self.bad(first + i, what)
            if self._example is not None:
                if self._counts_from is None:
                    self._counts_from = first_example(cells[self._example].decode("latin1"))
                if cells[self._example] != b"%d" % (self._counts_from + i):
                    found = cells[self._example].decode("latin1")
                    raise self.bad(first + i, not_in_order(found, self._counts_from, i))
            whole = _WHOLE_FLOAT.fullmatch(cells[self._value]) if self._is_label else None
            values.append(whole[1] if whole else cells[self._value])
        row = _values(self, values, lambda i: first + i)
        if not self._is_correct:
            return row.astype(np.int64, copy=False)  # of two classes true is 1
        outside = (row != 0) & (row != 1)
        if outside.any():
            raise self.bad(first + int(outside.argmax()), "correct is neither 0 nor 1")
        return row.astype(np.bool_)


def _places_of_runs(path: Path, file: BinaryIO, names: Sequence[str]) -> Places:
    """Return where the lines of each run of a long table are, which follow one another."""
    run_at = _index(names, run_of_long(names))
    places, before, start, length, first_line = Places(), None, 0, 0, 0
    for line, offset, text in _below_names(path, file, names):
        run = 0 if run_at is None else _run_id(path, line, text, run_at)
        if run != before:
            if before is not None:
                places.add(start, length, first_line)
                refuse_order(f"{path}, line {line}", run, before)
            before, start, length, first_line = run, offset, 0, line
        length = offset + len(text) - start
    if before is not None:
        places.add(start, length, first_line)
    return _some(path, places)


def _why_no_labels(path: Path, file: BinaryIO, names: Sequence[str]) -> dict[str, str]:
    """Return what the labels of a long table are where they are no numbers, by key; else nothing."""
    cells = next((_cells(text) for _, _, text in _below_names(path, file, names)), [])
    at = names.index(LABEL)
    if at >= len(cells) or _is_value(cells[at]) or _WHOLE_FLOAT.fullmatch(cells[at]):
        return {}
    return {LABEL: "text"}


def _column(path: Path, file: BinaryIO, names: Sequence[str]) -> Held:
    """Return the labels of a table, or what its only column holds."""
    at = names.index(LABEL) if LABEL in names else 0
    counted = example_column([name for name in names if name != LABEL])
    example_at = _index(names, counted)
    values: list[int] = []
    are_words = False
    examples: list[str] = []
    for line, _, text in _below_names(path, file, names):
        cells = _cells(text)
        if len(cells) != max(1, len(names)):
            raise DataError(f"{path}, line {line}: it has {len(cells)} cells, not {max(1, len(names))}.")
        if example_at is not None:
            examples.append(cells[example_at].decode("latin1"))
        are_words = are_words if values else cells[at].lower() in _WORDS
        try:
            values.append(_one(cells[at], is_word=are_words))
        except ValueError as error:
            raise DataError(
                f"{path}, line {line}: {error}. Labels are classes as numbers from 0, as the predictions "
                f"have them; of names, {MAP_NAMES}."
            ) from error
    if counted is not None:
        refuse_order_of_labels(str(path), counted, examples)
    values_N = np.array(values, np.bool_ if are_words else np.int64)
    refuse_empty(str(path), values_N.dtype, values_N.shape)
    if not names and not are_words and values[0] == 0 and len(values) % 10 == 1 and len(values) > 1:
        # Test sets have round numbers of examples far more often than one more.
        raise DataError(
            f"{path}, line 1: 0 may be the first of {len(values):,} values, or the name that pandas writes "
            "over a column without one. Let the first line name the column: label or predicted. Nothing was "
            "written."
        )
    return Held(str(path), values_N)


def _one(cell: bytes, *, is_word: bool) -> int:
    """Return a class, also one that is written as 3.0, or as true or false; raises ValueError."""
    if not is_word:
        whole = _WHOLE_FLOAT.fullmatch(cell)
        return _whole(whole[1] if whole else cell)
    if cell.lower() not in _WORDS:
        raise ValueError(f"{cell[:20].decode('latin1')!r} is neither true nor false")
    return int(_WORDS[cell.lower()])


def _lines(path: Path, file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Yield number, offset and text of every line from the start; empty ones only at the end."""
    file.seek(0)
    offset, line, empty = 0, 0, False
    while True:
        with reading(path):
            text = file.readline(_MOST_LINE_BYTES)
        if not text:
            return
        line += 1
        if len(text) == _MOST_LINE_BYTES:
            raise DataError(f"{path}, line {line}: it is longer than {_MOST_LINE_BYTES:,} bytes.")
        if empty and text.strip():
            raise DataError(f"{path}, line {line - 1}: it is empty.")
        empty = not text.strip()
        if not empty:
            yield line, offset, text
        offset += len(text)


def _below_names(path: Path, file: BinaryIO, names: Sequence[str]) -> Iterator[tuple[int, int, bytes]]:
    for line, offset, text in _lines(path, file):
        if line > 1 or not names:
            yield line, offset, text


def _cells(text: bytes, first: int = -1) -> list[bytes]:
    """Return the cells of a line: numbers and words, whose quotes mean nothing."""
    line = text.removeprefix(b"\xef\xbb\xbf").replace(b'"', b"").strip()
    cells = line.split(b",", first)
    return [cell.strip() for cell in cells] if b" " in line or b"\t" in line else cells


def _header(path: Path, cells: Sequence[bytes]) -> list[str]:
    """Return the names of the columns, or none where the first line has values."""
    names = [cell.decode("utf-8", "replace") for cell in cells]
    of_no_value = [cell for cell in cells if not (_is_value(cell) or _WHOLE_FLOAT.fullmatch(cell))]
    if of_no_value:
        if len(set(names)) == len(names):
            return names
        if len(of_no_value) < len(cells):
            what = of_no_value[0][:20].decode("utf-8", "replace")
            raise DataError(f"{path}, line 1: {what!r} is neither a class nor true or false.")
        raise DataError(f"{path} has columns of the same name: {listed(names)}. Name each another way.")
    if _may_be_names(cells):
        if len(cells) < (_MAYBE_NAMES if _count(cells) else _SURELY_NAMES):
            raise DataError(
                f"{path}, line 1: {listed(names, 3)}, all different, may be the names of the columns or what "
                "a run predicted. Give the columns other names, or begin with the first run."
            )
        return names
    return []


def _may_be_names(cells: Sequence[bytes]) -> bool:
    """Whether the values of a line may be names of columns: 0, 1, 2, ..., or many that all differ."""
    if len(cells) < _MAYBE_NAMES:
        return len(cells) > 1 and _count(cells)
    return len(set(cells)) == len(cells)


def _count(cells: Sequence[bytes]) -> bool:
    return list(cells) == [b"%d" % i for i in range(len(cells))]


def _is_value(cell: bytes) -> bool:
    try:
        _whole(cell)
    except ValueError:
        return cell.lower() in _WORDS
    return True


def _whole(cell: bytes) -> int:
    if not _INTEGER.fullmatch(cell) or not -(1 << 63) <= (value := int(cell)) < 1 << 63:
        raise ValueError(f"{cell[:20].decode('latin1')!r} is no integer of 64 bits")
    return value


def _values(rows: TextRows, cells: Sequence[bytes], line_of: Callable[[int], int]) -> Array:
    """Return classes or correctness; the first cell says which they are."""
    are_words = bool(cells) and cells[0].lower() in _WORDS
    if are_words and all(word in _WORDS for word in set(map(bytes.lower, cells))):
        return np.array([_WORDS[cell.lower()] for cell in cells], np.bool_)
    if not are_words and _INTEGERS.fullmatch(line := b",".join(cells)):
        return np.fromstring(line, np.int64, sep=",")
    for i, cell in enumerate(cells):  # one by one, for the place of what is wrong
        is_word = cell.lower() in _WORDS
        if is_word != are_words or not _is_value(cell):
            what = "is neither true nor false" if are_words else "is no class: those are integers from 0"
            if _WHOLE_FLOAT.fullmatch(cell):
                what += " (in pandas: frame.astype(int))"
            elif not are_words and cell.decode("utf-8", "replace")[:1].isalpha():
                what += f"; of names, {MAP_NAMES}"
            raise rows.bad(line_of(i), f"value {i}, {cell[:20].decode('latin1')!r}, {what}")
    return np.array([_whole(cell) for cell in cells], np.int64)


def _index(names: Sequence[str], name: str | None) -> int | None:
    return None if name is None else names.index(name)


def _run_id(path: Path, line: int, text: bytes, at: int) -> int:
    try:
        return _whole(_cells(text, at + 1)[at])
    except (ValueError, IndexError) as error:
        raise DataError(
            f"{path}, line {line}: it has no run id, an integer. Of names, in pandas: "
            "frame['run'] = pandas.factorize(frame[COLUMN])[0]; an index that says nothing is left out by "
            "to_csv(PATH, index=False). Nothing was written."
        ) from error


def _some(path: Path, places: Places) -> Places:
    if not len(places):
        raise DataError(f"{path} is empty. At least one run and one example are needed.")
    return places
