"""An open .parquet file, whose columns are read in batches of rows; what is in them, `parquet_file` says."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from airbench_var.errors import DataError
from airbench_var.importing.rows import Array, reading
from airbench_var.importing.tables import (
    LABEL,
    MAP_NAMES,
    PANDAS_INDEX,
    SEED,
    listed,
    refuse_order,
    usual_names,
)

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

#: Rows that are decoded at a time of a long table, or of columns of one number a run.
BATCH_ROWS = 1 << 16


class ParquetTable:
    """An open file, whose rows are read from a row on."""

    def __init__(self, path: Path, file: "pyarrow.parquet.ParquetFile") -> None:
        self.path, self._file = path, file
        self._schema = file.schema_arrow  # made anew whenever it is asked for
        own: list[str] = self._schema.names
        self.names = own if any(is_list(kind) for kind in self._schema.types) else usual_names(own)
        if len(set(self.names)) < len(own):
            raise DataError(f"{path} has columns of the same name: {listed(own)}.")
        self._own_names = dict(zip(self.names, own, strict=True))
        self.rows: int = file.metadata.num_rows
        if not self.rows:
            raise DataError(f"{path} is empty. At least one run and one example are needed.")
        groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(groups, dtype=np.int64)])

    def type_of(self, name: str) -> "pyarrow.DataType":
        """Return the type of a column."""
        return self._schema.field(self._own_names[name]).type

    def batches(
        self, columns: Sequence[str], first: int = 0, size: int = BATCH_ROWS
    ) -> "Iterator[pyarrow.RecordBatch]":
        """Yield rows from `first` on, some at a time; a row group is not held as a whole."""
        import pyarrow

        group = int(np.searchsorted(self._starts, first, side="right")) - 1
        skip = first - int(self._starts[group])
        groups = list(range(group, self._file.num_row_groups))
        usual = {own: name for name, own in self._own_names.items()}
        with reading(self.path), damage(self.path):
            some = self._file.iter_batches(
                size,
                row_groups=groups,
                columns=[self._own_names[name] for name in columns],
                use_threads=False,  # each would have memory of its own
            )
            for one in some:
                batch = pyarrow.RecordBatch.from_arrays(
                    one.columns, [usual[name] for name in one.schema.names]
                )
                if skip < batch.num_rows:
                    yield batch.slice(skip)
                skip = max(0, skip - batch.num_rows)

    def column(self, name: str, kinds: str = "iu") -> Array:
        """Return a column in memory, of integers or what else `kinds` says as in numpy.dtype.kind."""
        parts = [array for _, array in self.pieces(name, kinds)]
        return np.concatenate(parts)

    def texts(self, name: str) -> list[str]:
        """Return the values of a column, whatever they are, as text."""
        return [str(value) for batch in self.batches([name]) for value in batch.column(0).to_pylist()]

    def pieces(self, name: str, kinds: str = "iu") -> Iterator[tuple[int, Array]]:
        """Yield a column in pieces, each with the row of the table that it begins at."""
        at = 0
        for batch in self.batches([name]):
            piece = plain(f"{self.path}, {name}", batch.column(0), at)
            if piece.dtype.kind not in kinds:
                wanted = "numbers" if "f" in kinds else "booleans" if "b" in kinds else "integers"
                names = f"; of names, {MAP_NAMES}" if name == LABEL else ""
                index = "; leave the index out: to_parquet(PATH, index=False)" if name == PANDAS_INDEX else ""
                raise DataError(
                    f"{self.path}: column {name} is {piece.dtype}, expected {wanted}{names}{index}."
                )
            yield at, piece
            at += len(piece)

    def run_ids(self, name: str | None) -> list[int] | None:
        """Return the run ids, where there is a column of them; raises DataError unless they ascend."""
        if name is None or name == SEED:
            return None
        ids = self.column(name)
        for row in np.flatnonzero(ids[1:] <= ids[:-1])[:1]:
            refuse_order(f"{self.path}, row {row + 1}", int(ids[row + 1]), int(ids[row]), self.names)
        return [int(one) for one in ids]

    @property
    def metadata(self) -> dict[bytes, bytes]:
        """What the file says of itself besides its columns."""
        return self._schema.metadata or {}


def plain(name: str, array: Any, first_row: int) -> Array:
    """Return values as NumPy has them; raises DataError where one is missing."""
    refuse_nulls(name, array, first_row)
    found: Array = array.to_numpy(zero_copy_only=False)
    return found


def refuse_nulls(name: str, array: Any, first_row: int) -> None:
    """Raise DataError where a value is missing."""
    if array.null_count:
        row = first_row + int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
        raise DataError(f"{name}, about row {row}: a value is missing (null). Nothing was written.")


def is_list(kind: "pyarrow.DataType") -> bool:
    """Whether a column of this type has lists."""
    import pyarrow.types as types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises for a damaged file into a DataError that names it."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk, and not of what is in the file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path} is not a .parquet file that can be read: {reason}. Copy it, or write it, once more."
        ) from error
