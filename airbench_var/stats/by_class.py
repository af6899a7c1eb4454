"""How many examples of each class every run got right, as integers that merge exactly.

Axis letters: R runs, N examples, B packed bytes of a row, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from airbench_var.stats.counts import Int64, Packed
from airbench_var.stats.predictions import Classes, Int32

#: Of more, which a byte does not tell apart, a table of all runs would be large, and nobody would read it.
MOST_CLASSES = 256
_ROWS_PER_BLOCK = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassCounts:
    """Some runs on one test set, in the order of their ids."""

    labels_N: Classes
    run_ids_R: Int64
    right_RK: Int32

    @classmethod
    def empty(cls, K: int, labels_N: Classes) -> Self:
        """Return the counts of no runs."""
        return cls(labels_N=labels_N, run_ids_R=np.zeros(0, np.int64), right_RK=np.zeros((0, K), np.int32))

    def of(self, run_ids_R: Int64, packed_RB: Packed) -> Self:
        """Return the counts of packed rows, as `CorrectnessCounts.of` takes them, on this test set."""
        n, order_N = len(self.labels_N), np.argsort(self.labels_N, kind="stable")
        there_K, starts_K = np.unique(self.labels_N[order_N], return_index=True)
        right_RK = np.zeros((len(run_ids_R), self.right_RK.shape[1]), np.int32)
        for start in range(0, len(run_ids_R), _ROWS_PER_BLOCK):
            rows = slice(start, start + _ROWS_PER_BLOCK)
            bits_RN = np.unpackbits(packed_RB[rows], axis=1, count=n, bitorder="little")[:, order_N]
            right_RK[rows, there_K] = np.add.reduceat(bits_RN, starts_K, axis=1, dtype=np.int32)
        order_R = np.argsort(run_ids_R)
        return replace(self, run_ids_R=run_ids_R[order_R], right_RK=right_RK[order_R])

    @classmethod
    def union(cls, parts: Sequence[Self]) -> Self:
        """Return several sets of runs, at least one, as one."""
        run_ids_R = np.concatenate([part.run_ids_R for part in parts])
        order_R = np.argsort(run_ids_R, kind="stable")
        right_RK = np.concatenate([part.right_RK for part in parts])[order_R]
        return replace(parts[0], run_ids_R=run_ids_R[order_R], right_RK=right_RK)

    @property
    def R(self) -> int:
        """Number of runs."""
        return len(self.run_ids_R)

    @property
    def sizes_K(self) -> Int64:
        """How many examples are of each class, (K,)."""
        return np.bincount(self.labels_N, minlength=self.right_RK.shape[1])
