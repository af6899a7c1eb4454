"""Read a .parquet file with pyarrow; with `parquet_table` the one module of the package that reads with it.

A row a run with a list (`predicted` or `correct`, or `logits` as a list of lists), which is what `export`
writes; or wide, a row a run and a column an example; or long, a row for each example of each run, and perhaps
labels. A column `label` beside no predictions are labels.
"""

import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from airbench_var.errors import DataError, DeviceError
from airbench_var.importing.parquet_table import (
    BATCH_ROWS,
    ParquetTable,
    damage,
    is_list,
    plain,
    refuse_nulls,
)
from airbench_var.importing.rows import (
    Array,
    Contents,
    Held,
    OfRuns,
    Rows,
    of_two_classes,
    reading,
    refuse_empty,
)
from airbench_var.importing.tables import (
    EXAMPLE,
    LABEL,
    PANDAS_INDEX,
    POOLED,
    VALUES,
    beside_labels,
    example_column,
    first_example,
    key_of_column,
    known_names,
    listed,
    long_values,
    not_in_order,
    refuse_order,
    refuse_order_of_columns,
    refuse_order_of_labels,
    refuse_pooled,
    run_column,
    run_of_long,
)
from airbench_var.seeds import Seeds

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

PREDICTED, LOGITS = VALUES[0], "logits"
DIVERGED = "diverged"
SEED_COLUMNS = ("init_seed", "order_seed", "aug_seed")
#: The key of the metadata in which `export` writes where the runs come from.
ORIGIN = "airbench_var"
_BUFFER_BYTES = 1 << 20


def require_pyarrow() -> None:
    """Raise DeviceError when pyarrow is not installed."""
    if find_spec("pyarrow") is None:
        raise DeviceError(
            "Parquet files need pyarrow, which is not installed. pip install 'airbench_var[parquet]'."
        )


@contextmanager
def open_parquet(path: Path) -> Iterator[Contents]:
    """Yield the arrays of a .parquet file by column; "" for a wide table.

    Raises: DataError when it is no Parquet file, or not one of these tables; DeviceError without pyarrow.
    """
    require_pyarrow()
    import pyarrow.parquet

    with reading(path), damage(path):
        file = pyarrow.parquet.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
    with file:
        yield _contents(ParquetTable(path, file))


def _contents(table: ParquetTable) -> Contents:
    import pyarrow.types as types

    path, names = table.path, table.names
    lists = [name for name in (*VALUES, LOGITS) if name in names and is_list(table.type_of(name))]
    run_ids = run_column(names) or next((name for name in names if name == PANDAS_INDEX), None)
    arrays: dict[str, Rows]
    long = () if lists else long_values(str(path), names)
    for name in names if lists or long else ():
        if name.lower() in POOLED:
            batches = (set(batch.column(0).to_pylist()) for batch in table.batches([name]))
            refuse_pooled(str(path), name, (str(value) for values in batches for value in values))
    if lists:
        arrays = {name: _Lists(table, name) for name in lists}
        if PREDICTED in arrays:
            arrays[PREDICTED] = of_two_classes(arrays[PREDICTED])
        of_runs = OfRuns(ids=table.run_ids(run_ids), seeds=_seeds(table), diverged=_diverged(table))
        return Contents(arrays=arrays, of_runs=of_runs, classes=dict.fromkeys(lists, _class_names(table)))
    if long:
        run = run_of_long(names)
        ids, starts = (None, np.array([0, table.rows])) if run is None else _runs_of(table, run)
        arrays = {value: _Long(table, value, starts) for value in long}
        others: dict[str, str] = {}
        if LABEL in names:
            kind = table.type_of(LABEL)
            if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
                arrays[LABEL] = _Long(table, LABEL, starts)
            else:
                others[LABEL] = str(kind)
        return Contents(arrays=arrays, others=others, of_runs=OfRuns(ids=ids))
    if LABEL in names:
        if (counted := example_column(names)) is not None:
            refuse_order_of_labels(str(path), counted, table.texts(counted))
        labels = of_two_classes(Held(f"{path}, {LABEL}", table.column(LABEL, "iufb")))
        return Contents(arrays={"labels": labels}, others=beside_labels(names))
    columns = [name for name in names if name != run_ids]
    wrong = [
        name for name in columns if not (types.is_integer(t := table.type_of(name)) or types.is_boolean(t))
    ]
    if wrong or not columns:
        raise DataError(
            f"{path} has the columns {listed(names)}. Predictions are a list a run in the column "
            f"{', '.join((*VALUES, LOGITS))}; or wide, integers or booleans alone, a column an example; or "
            f"long, a row for each example of each run, in columns {known_names()}."
        )
    if columns == names == columns[:1]:
        key, column = key_of_column(names[0]), Held(str(path), table.column(names[0], "biu"))
        return Contents(arrays={key: of_two_classes(column) if key == PREDICTED else column})
    refuse_order_of_columns(str(path), columns)
    of_runs = OfRuns(ids=table.run_ids(run_ids))
    return Contents(arrays={"": _Wide(table, columns)}, of_runs=of_runs)


class _TableRows(Rows):
    """An array that is some columns of a table; it is read forwards, and going back begins anew."""

    def __init__(self, table: ParquetTable, name: str, columns: Sequence[str], runs: int) -> None:
        self.name, self._table, self._columns = name, table, columns
        self._at, self._ahead = -1, iter(())
        self._left: pyarrow.RecordBatch | None = None
        first = self.array(self._take(*self.table_rows(range(1))), range(1))
        self.dtype, self.shape = first.dtype, (runs, *first.shape[1:])
        refuse_empty(name, self.dtype, self.shape)

    @abstractmethod
    def array(self, taken: "pyarrow.Table", rows: range) -> Array:
        """Return rows of the array from the rows of the table that hold them."""

    def table_rows(self, rows: range) -> tuple[int, int]:
        """Return the rows of the table, first and one past the last, that hold some rows of the array."""
        return rows.start, rows.stop

    def read(self, rows: range) -> Array:
        """Return a copy of some rows."""
        block = self.array(self._take(*self.table_rows(rows)), rows)
        if (block.shape[1:], block.dtype) != (self.shape[1:], self.dtype):
            raise DataError(f"{self.name}: runs {rows.start} to {rows.stop - 1} are not like run 0.")
        return np.array(block, order="C")

    def _take(self, first: int, last: int) -> "pyarrow.Table":
        import pyarrow

        if first != self._at:
            self._ahead = self._table.batches(self._columns, first, min(BATCH_ROWS, last - first))
            self._left = None
        taken, missing = [], last - first
        while missing:
            batch = self._left or next(self._ahead, None)
            if batch is None:
                raise DataError(f"{self._table.path} ends before row {last - missing}. Write it once more.")
            taken.append(batch.slice(0, missing))
            missing -= taken[-1].num_rows
            self._left = batch.slice(taken[-1].num_rows) if taken[-1].num_rows < batch.num_rows else None
        self._at = last
        return pyarrow.Table.from_batches(taken)


class _Lists(_TableRows):
    """A column with one list a run."""

    def __init__(self, table: ParquetTable, name: str) -> None:
        super().__init__(table, f"{table.path}, {name}", [name], table.rows)

    def array(self, taken: "pyarrow.Table", rows: range) -> Array:
        """Return lists as an array."""
        return _nested(self.name, taken.column(0).combine_chunks(), rows.start)


class _Wide(_TableRows):
    """A column an example."""

    def __init__(self, table: ParquetTable, columns: Sequence[str]) -> None:
        super().__init__(table, str(table.path), columns, table.rows)
        self.columns = table.names

    def array(self, taken: "pyarrow.Table", rows: range) -> Array:
        """Return the columns side by side."""
        columns = [
            plain(f"{self._table.path}, {name}", column.combine_chunks(), rows.start)
            for name, column in zip(self._columns, taken.columns, strict=True)
        ]
        if len({column.dtype.kind == "b" for column in columns}) > 1:
            raise DataError(
                f"{self.name} has both integers and booleans; a run is classes, or what was right."
            )
        if np.result_type(*columns).kind == "f":  # NumPy has no other type that is both
            raise DataError(
                f"{self.name} has columns of uint64 and of signed integers. Write all of them as one type: "
                "frame.astype(int)."
            )
        return np.stack(columns, axis=1)


class _Long(_TableRows):
    """A row for each example of each run, in order."""

    def __init__(self, table: ParquetTable, value: str, starts: Array) -> None:
        self._starts, self._is_correct = starts, value == "correct"
        self._counts_from: int | None = None  # until the first run is read, which says it for all
        columns = [value, EXAMPLE] if EXAMPLE in table.names else [value]
        super().__init__(table, f"{table.path}, {value}", columns, len(starts) - 1)

    def table_rows(self, rows: range) -> tuple[int, int]:
        """Return the rows of the table that hold some runs."""
        return int(self._starts[rows.start]), int(self._starts[rows.stop])

    def array(self, taken: "pyarrow.Table", rows: range) -> Array:
        """Return the values as (runs, examples)."""
        shape = (len(rows), -1)
        values_RN, *counted = (
            plain(self.name, taken.column(name).combine_chunks(), 0).reshape(shape) for name in self._columns
        )
        for examples_RN in counted:
            if examples_RN.dtype == object:  # as text
                numbers = [[_number(one) for one in row] for row in examples_RN.tolist()]
                examples_RN = np.array(numbers, object)
            if self._counts_from is None:
                self._counts_from = first_example(examples_RN[0, 0])
            first, n = self._counts_from, examples_RN.shape[1]
            for run, i in np.argwhere(examples_RN != np.arange(first, first + n))[:1].tolist():
                [found] = examples_RN[run, i : i + 1].tolist()
                what = f"run {rows.start + run} has {not_in_order(found, first, i)}"
                raise DataError(f"{self._table.path}: {what}. Sort the table by run and example.")
        if not self._is_correct and values_RN.dtype.kind == "b":
            return values_RN.astype(np.uint8)  # of two classes true is 1
        if self._is_correct and values_RN.dtype.kind in "iu":
            if ((values_RN < 0) | (values_RN > 1)).any():
                raise DataError(f"{self.name} is neither 0 nor 1 in runs {rows.start} to {rows.stop - 1}.")
            return values_RN.astype(np.bool_)
        if self._is_correct and values_RN.dtype.kind != "b":
            raise DataError(f"{self.name} is {values_RN.dtype}, expected booleans, or 0 and 1.")
        return values_RN


def _number(text: Any) -> Any:
    """Return a number that is written as text, and all else as it is."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else text


def _runs_of(table: ParquetTable, run_ids: str) -> tuple[list[int], Array]:
    """Return the ids of the runs of a long table, and its rows that they begin at, and how many it has."""
    ids: list[int] = []
    starts: list[int] = []
    for at, piece in table.pieces(run_ids):
        before = ids[-1] if ids else None
        changes = np.concatenate([[before is None or piece[0] != before], piece[1:] != piece[:-1]])
        for i in np.flatnonzero(changes).tolist():
            refuse_order(f"{table.path}, row {at + i}", int(piece[i]), ids[-1] if ids else None)
            ids.append(int(piece[i]))
            starts.append(at + i)
    bounds = np.array([*starts, table.rows])
    counts = np.diff(bounds)
    for run in np.flatnonzero(counts != counts[0])[:1]:
        raise DataError(
            f"{table.path}: run {run} has {counts[run]:,} examples, the runs before it {counts[0]:,}."
        )
    return ids, bounds


def _nested(name: str, array: Any, first_row: int) -> Array:
    """Return lists, or lists of lists, of one length each, as an array."""
    import pyarrow.compute

    if not is_list(array.type):
        return plain(name, array, first_row)
    refuse_nulls(name, array, first_row)
    lengths = pyarrow.compute.list_value_length(array).to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(lengths != lengths[0])[:1]:
        raise DataError(f"{name}, row {first_row + row}: {lengths[row]:,} values, {lengths[0]:,} before.")
    inner = _nested(name, array.flatten(), first_row)
    return inner.reshape(len(array), -1 if len(inner) else 0, *inner.shape[1:])


def _class_names(table: ParquetTable) -> tuple[str, ...]:
    """Return the names of the classes, as `export` writes them; none of a table of another origin."""
    try:
        origin = json.loads(table.metadata[ORIGIN.encode()])
        described = {one["name"]: one["classes"] for one in origin["identity"]["test_sets"]}
        names = described[origin["test_set"]]
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()
    are_names = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if are_names else ()


def _seeds(table: ParquetTable) -> list[Seeds] | None:
    if not set(SEED_COLUMNS) <= set(table.names):
        return None
    columns = [table.column(name) for name in SEED_COLUMNS]
    for name, column in zip(SEED_COLUMNS, columns, strict=True):
        if column.min() < 0:
            raise DataError(f"{table.path}: column {name} has a negative number, which is not a seed.")
    found = zip(*(column.tolist() for column in columns), strict=True)
    return [Seeds(init=init, order=order, aug=aug) for init, order, aug in found]


def _diverged(table: ParquetTable) -> list[bool] | None:
    if DIVERGED not in table.names:
        return None
    return [bool(one) for one in table.column(DIVERGED, "biu")]
