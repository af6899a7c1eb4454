"""One pass over all pairs of columns in blocks: what is kept of a block does not grow with their number.

Axis letters: R runs, B packed bytes, N columns, P pairs.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from airbench_var.analysis.discoveries import PValues
from airbench_var.analysis.hypergeometric import HypergeometricLaws
from airbench_var.kernels.cooccurrence import cooccurrence

Packed = npt.NDArray[np.uint8]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

#: Below it no p-value is of interest.
LEVEL = 0.05
#: A pair closer to independence than so many standard deviations has an exact p-value above 5 %. In the
#: extreme G = 0 is that far below its mean: a chance of exp(-1.9**2) = 0.027, of which twice is 0.054. That
#: there is no worse law is tested (all laws of up to 39 runs, and of 100 and 317), not proved.
SCREEN = 1.9
#: Smaller p-values are rounded up to it.
SMALLEST_P = 1e-300

#: Columns of a side of a block: its counts stay in the cache, its bits make products worth their while.
COLUMNS_PER_BLOCK = 1024
_ROWS_PER_BLOCK = 256
#: A block's sum of squared counts must fit 63 bits.
MOST_RUNS = 2**21


class Columns(NamedTuple):
    """The columns that are right in some runs and wrong in others, and how often all columns are right."""

    places_T: Int64  #: which of the n columns
    packed_RB: Packed  #: their bits alone
    c_N: Int64  #: right answers of all n columns


class StrongPairs(NamedTuple):
    """Some pairs of columns, i < j, the least likely under independence first."""

    i_P: Int64
    j_P: Int64
    both_P: Int64  #: runs that are right on both
    z_P: Float64
    p_P: Float64

    @classmethod
    def none(cls) -> Self:
        """Return no pairs."""
        empty = np.zeros(0, np.int64)
        return cls(empty, empty, empty, np.zeros(0), np.zeros(0))

    def strongest(self, others: Self, most: int) -> Self:
        """Return the first of both: by p-value, then by |z|, then by place, so that no order is left open."""
        if len(self.p_P) == most:
            hopeful_P = others.p_P <= self.p_P[-1]
            others = type(self)(*(part[hopeful_P] for part in others))
        joined = [np.concatenate(parts) for parts in zip(self, others, strict=True)]
        i_P, j_P, _, z_P, p_P = joined
        first_P = np.lexsort((j_P, i_P, -np.abs(z_P), p_P))[:most]
        return type(self)(*(part[first_P] for part in joined))


@dataclass(kw_only=True)
class Scan:
    """What is kept of all pairs of the columns that vary."""

    laws: HypergeometricLaws
    c_T: Int64
    least_deviation: int  #: of |R G - c_i c_j|, for a pair to be counted as deviating
    most: int  #: pairs to be kept by themselves
    deviating: int = 0
    squares: int = 0  #: sum of G**2, exact
    p_values: PValues = field(default_factory=PValues)
    strongest: StrongPairs = field(default_factory=StrongPairs.none)

    @property
    def pairs(self) -> int:
        """The number of pairs."""
        return math.comb(len(self.c_T), 2)

    def add(self, first: slice, second: slice, both_NN: npt.NDArray[np.int32]) -> None:
        """Take a block of counts into account: of two different ranges of columns, or of one with itself."""
        R, c_i, c_j = self.laws.R, self.c_T[first].astype(float), self.c_T[second].astype(float)
        same = first == second
        # Every number below is an integer under 2**53 until z, and so exact in float64 in any order.
        numbers_NN = both_NN.astype(np.float64)
        squares = int(np.einsum("ij,ij->i", numbers_NN, numbers_NN).astype(np.int64).sum())
        self.squares += (squares - int(c_i @ c_i)) // 2 if same else squares
        numbers_NN *= R
        numbers_NN -= np.multiply.outer(c_i, c_j)
        deviation_NN = np.abs(numbers_NN, out=numbers_NN)
        if same:
            deviation_NN = np.triu(deviation_NN, 1)
        self.deviating += int(np.count_nonzero(deviation_NN >= self.least_deviation))
        w_i, w_j = (np.sqrt(c * (R - c)) for c in (c_i, c_j))
        limit_NN = np.multiply.outer(w_i, SCREEN / math.sqrt(R - 1) * w_j)
        suspects_P = np.flatnonzero(deviation_NN > limit_NN)
        self._judge(*divmod(suspects_P, len(c_j)), first, second, both_NN)

    def _judge(
        self, i_P: Int64, j_P: Int64, first: slice, second: slice, both_NN: npt.NDArray[np.int32]
    ) -> None:
        """Give suspected pairs their exact p-values."""
        both_P = both_NN[i_P, j_P].astype(np.int64)
        i_P, j_P = i_P + first.start, j_P + second.start
        a_P, b_P, R = self.c_T[i_P], self.c_T[j_P], self.laws.R
        p_P = np.maximum(self.laws.two_sided(both_P, a_P, b_P), SMALLEST_P)
        self.p_values.add(p_P)
        spread_P = np.sqrt((a_P * (R - a_P)).astype(float)) * np.sqrt((b_P * (R - b_P)).astype(float))
        z_P = (both_P * R - a_P * b_P) * math.sqrt(R - 1) / spread_P
        found = StrongPairs(i_P, j_P, both_P, z_P, p_P)
        self.strongest = self.strongest.strongest(found, self.most)


def scan(columns: Columns, least_deviation: int, most: int, block: int = COLUMNS_PER_BLOCK) -> Scan:
    """Return what is kept of all pairs of varying columns; `block`, a multiple of 8, changes no result.

    O(R T**2) for T such columns, in memory for a few blocks of counts besides the packed bits.
    """
    found = Scan(
        laws=HypergeometricLaws(len(columns.packed_RB)),
        c_T=columns.c_N[columns.places_T],
        least_deviation=least_deviation,
        most=most,
    )
    for first, second in _blocks(len(columns.places_T), block):
        left_RB, right_RB = (columns.packed_RB[:, s.start // 8 : (s.stop + 7) // 8] for s in (first, second))
        both_NN = cooccurrence(
            left_RB, right_RB, n_left=first.stop - first.start, n_right=second.stop - second.start
        )
        found.add(first, second, both_NN)
    return found


def _blocks(columns: int, block: int) -> Iterator[tuple[slice, slice]]:
    """Yield pairs of ranges of columns, each pair of ranges once."""
    ranges = [slice(start, min(start + block, columns)) for start in range(0, columns, block)]
    for place, first in enumerate(ranges):
        for second in ranges[place:]:
            yield first, second


def varying(packed_RB: Packed, n: int) -> Columns:
    """Return the columns of n that are right in some rows and wrong in others, packed closely."""
    c_N = np.zeros(n, np.int64)
    for bits_RN in _unpacked(packed_RB, n):
        c_N += bits_RN.sum(axis=0, dtype=np.int64)
    places_T = np.flatnonzero((c_N > 0) & (c_N < len(packed_RB)))
    kept = [
        np.packbits(bits_RN[:, places_T], axis=1, bitorder="little") for bits_RN in _unpacked(packed_RB, n)
    ]
    width = (len(places_T) + 7) // 8
    return Columns(places_T, np.concatenate(kept) if kept else np.zeros((0, width), np.uint8), c_N)


def sum_of_squares(columns: Columns, squares: int) -> int:
    """Return the sum over pairs i < j of (R G - c_i c_j)**2, exact, from that of G**2.

    The pairs of one run give sum_ij c_i c_j G_ij = sum_r (sum_i c_i C_ri)**2, so no pair is looked at again.
    """
    R, c_N = len(columns.packed_RB), columns.c_N[columns.places_T].tolist()
    weights = columns.c_N[columns.places_T].astype(float)
    crossed = -sum(c**3 for c in c_N)
    for bits_RN in _unpacked(columns.packed_RB, len(c_N)):
        crossed += sum(int(w) ** 2 for w in bits_RN @ weights)  # whole numbers below 2**53
    products = sum(c**2 for c in c_N) ** 2 - sum(c**4 for c in c_N)
    twice: int = 2 * R**2 * squares - 2 * R * crossed + products
    return twice // 2


def _unpacked(packed_RB: Packed, n: int) -> Iterator[Packed]:
    for start in range(0, len(packed_RB), _ROWS_PER_BLOCK):
        yield np.unpackbits(packed_RB[start : start + _ROWS_PER_BLOCK], axis=1, count=n, bitorder="little")
