"""Correctness of all committed runs as one array that is read where it is looked at."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from airbench_var.store.records import Bytes, RunIds

if TYPE_CHECKING:
    from airbench_var.store.reader import Store


class CorrectView:
    """Correctness as zeros and ones, uint8 (R, N), of the runs that were committed when it was made.

    Indexing reads, verifies and unpacks the rows that it needs, a block at a time: `view[3]` is a run,
    `view[:, 7]` an example in all runs, `view[mask_R, ::2]` half the examples of some runs. Rows are chosen
    first and columns among them, so that two lists choose a rectangle and not pairs. `numpy.asarray(view)`
    is all of it, a byte a cell.
    """

    dtype, ndim = np.dtype(np.uint8), 2

    def __init__(self, store: "Store", test_set: str, run_ids_R: RunIds) -> None:
        self._store, self._test_set = store, test_set
        self.run_ids_R = run_ids_R  #: of the rows, ascending
        self.shape = (len(run_ids_R), len(store.labels(test_set)))

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<correctness of {self.shape[0]:,} runs on {self.shape[1]:,} examples of {self._test_set}>"

    def __iter__(self) -> Iterator[Bytes]:
        return (self[place] for place in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        """Return rows, and columns of them, as NumPy would, but that two lists choose a rectangle.

        Raises: IndexError as NumPy, and what `Store.blocks` raises.
        """
        keys = key if isinstance(key, tuple) else (key,)
        if len(keys) > 2:
            raise IndexError(f"too many indices: {len(keys)}, and there are rows and columns.")
        rows, columns = (*keys, slice(None), slice(None))[:2]
        ids = self.run_ids_R[rows]
        if np.ndim(ids) > 1:
            raise IndexError("rows are chosen by a number, a slice, a list or a mask (R,).")
        found = self._read(np.atleast_1d(ids), columns)
        return found[0] if np.ndim(ids) == 0 else found

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return all of it; with `copy=False` raises ValueError, as there is no array to look at."""
        if copy is False:
            raise ValueError("the bits of a store are unpacked into a new array: copy=False cannot be met.")
        return self._read(self.run_ids_R, slice(None)).astype(dtype or self.dtype, copy=False)

    def _read(self, run_ids_R: RunIds, columns: Any) -> Bytes:
        n = self.shape[1]
        blocks = [
            np.unpackbits(block.rows_Rb, axis=1, count=n, bitorder="little")[:, columns]
            for block in self._store.blocks(self._test_set, run_ids_R)
        ]
        return np.concatenate(blocks) if blocks else np.zeros((0, n), np.uint8)[:, columns]
