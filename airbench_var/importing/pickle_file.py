"""Read a .pkl file, in which nothing is run: see data/unpickle.py."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from airbench_var.data.unpickle import Array, unpickle
from airbench_var.errors import DataError
from airbench_var.importing.dump import contents_of, is_exact, refuse_unlike
from airbench_var.importing.rows import Contents, Held, Rows, reading, refuse_empty


@contextmanager
def open_pickle(path: Path) -> Iterator[Contents]:
    """Yield the NumPy arrays of a .pkl file, or lists of one a run, by key; it is held in memory as a whole.

    Raises: DataError when it cannot be read, is damaged, or asks for anything but containers, numbers, text
    and arrays of numbers.
    """
    with reading(path):
        content = path.read_bytes()
    try:
        loaded = unpickle(content)
    except ValueError as error:
        raise DataError(
            f"{path}: {error}. Containers, numbers, text and NumPy arrays can be read; write others with "
            "numpy.save."
        ) from error

    def array_of(name: str, value: Array) -> npt.NDArray[Any]:
        try:
            return value.values("iufb")
        except ValueError as error:
            raise DataError(f"{name}: {error}. Copy the file, or write it, once more.") from error

    def rows_of(key: str, value: object) -> Rows | float | None:
        name = f"{path}, {key}" if key else str(path)
        if isinstance(value, list | tuple) and value and all(isinstance(one, Array) for one in value):
            runs = [array_of(name, one) for one in value]
            refuse_unlike(name, [(run.dtype, run.shape) for run in runs])
            return Held(name, np.stack(runs)) if runs[0].ndim else None
        if not isinstance(value, Array):
            return None
        array = array_of(name, value)
        if not array.ndim:
            number: float = array.item()
            return number if is_exact(number, array.dtype) else None
        refuse_empty(name, array.dtype, array.shape)
        return Held(name, array)

    yield contents_of(str(path), loaded, rows_of)
