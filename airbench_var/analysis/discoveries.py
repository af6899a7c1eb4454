"""False discovery rates over more p-values than fit in memory: a histogram is all that is kept of them."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import digamma

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

#: Bins to a factor e: a p-value is rounded up by at most 0.03 %.
_FINENESS = 2**12
#: Factors e with a bin of their own; all below e**-32 = 1e-14 share the last.
_DEPTH = 32


@dataclass(frozen=True, kw_only=True)
class Discoveries:
    """The hypotheses that a step-up procedure rejects: those with a p-value up to the cut-off."""

    number: int
    cut_off: float | None  #: the largest p-value that is rejected, rounded up; None when there is none
    first_bin: int  #: what is rejected lies in this bin of the histogram, or in one of smaller p-values

    def contain(self, p_P: Float64) -> npt.NDArray[np.bool_]:
        """Return which of these p-values are rejected, (P,)."""
        rejected_P: npt.NDArray[np.bool_] = _bin(p_P) >= self.first_bin
        return rejected_P


class PValues:
    """The histogram of p-values, each rounded up to the edge of a fine bin, which keeps a test valid.

    Which p-values were added in which order leaves no trace. Hypotheses whose p-values exceed the level need
    not be added: they are never rejected.
    """

    def __init__(self) -> None:
        self._count_K = np.zeros(_DEPTH * _FINENESS + 1, np.int64)

    def add(self, p_P: Float64) -> None:
        """Count more p-values, (P,), none of them 0."""
        np.add.at(self._count_K, _bin(p_P), 1)

    def benjamini_hochberg(self, hypotheses: int, level: float) -> Discoveries:
        """Return what the step-up procedure rejects among so many hypotheses, at least one.

        The largest cut-off t with t * hypotheses <= level * (p-values up to t). Assumption: p-values are
        independent, or depend positively on one another (PRDS). Source: Benjamini and Hochberg, 1995.
        """
        if hypotheses * math.exp(-_DEPTH) >= level:
            raise ValueError(f"{hypotheses} hypotheses are too many for the bins of a histogram.")
        up_to_K = np.cumsum(self._count_K[::-1])[::-1]  # in this bin, or of smaller p-values
        edge_K = np.exp(-np.arange(len(up_to_K)) / _FINENESS)
        enough_K = np.flatnonzero(hypotheses * edge_K <= level * up_to_K)
        if not len(enough_K):
            return Discoveries(number=0, cut_off=None, first_bin=len(up_to_K))
        first = int(enough_K[0])
        return Discoveries(number=int(up_to_K[first]), cut_off=float(edge_K[first]), first_bin=first)

    def benjamini_yekutieli(self, hypotheses: int, level: float) -> Discoveries:
        """Return what is rejected at a level divided by 1 + 1/2 + ... + 1/hypotheses: under any dependence.

        Source: Benjamini and Yekutieli, Annals of Statistics 2001.
        """
        harmonic = float(digamma(hypotheses + 1)) + np.euler_gamma
        return self.benjamini_hochberg(hypotheses, level / harmonic)


def _bin(p_P: Float64) -> Int64:
    bin_P: Int64 = np.minimum(-np.log(p_P) * _FINENESS, _DEPTH * _FINENESS).astype(np.int64)
    return bin_P
