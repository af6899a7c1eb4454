"""The law of a sum of independent coin flips with different rates: the accuracies of the paper's Fig 3.

Source: characteristic function on a grid (Hong, Computational Statistics and Data Analysis 2013), on a window
around the mean outside of which less than 1e-15 lies, so that a short transform is exact to rounding.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_TAIL = 1e-15
_GROUPS_PER_BLOCK = 1024  # 1,024 groups on 1,024 frequencies are 16 MB


class Law(NamedTuple):
    """Probabilities of `first`, `first` + 1, ...: errors below 1e-13 absolute, not relative, in the tails."""

    first: int
    pmf_K: npt.NDArray[np.float64]  #: (K,)

    @property
    def mean(self) -> float:
        """The expectation."""
        return self.first + float(np.arange(len(self.pmf_K)) @ self.pmf_K)


def poisson_binomial(c_N: npt.NDArray[np.int64], R: int) -> Law:
    """Return the law of the number of right answers when example i is right with chance c_i / R, by itself.

    Examples of one rate are one group, so the cost is O(groups log + groups x window), not O(n**2).
    """
    counts_G, sizes_G = np.unique(c_N[(c_N > 0) & (c_N < R)], return_counts=True)
    certain = int(np.count_nonzero(c_N == R))
    p_G = counts_G / R
    mean, variance = float(sizes_G @ p_G), float(sizes_G @ (p_G * (1 - p_G)))
    log_tail = math.log(2 / _TAIL)
    reach = log_tail / 3 + math.sqrt(log_tail**2 / 9 + 2 * variance * log_tail)  # Bernstein's inequality
    length = 1 << math.ceil(math.log2(2 * reach + 2))
    first = max(0, math.floor(mean - reach))
    turns_L = np.exp(2j * math.pi / length * np.arange(length)) - 1
    log_size_L, angle_L = np.zeros(length), np.zeros(length)
    with np.errstate(divide="ignore"):  # a factor of 0 is log -inf, and its power 0
        for start in range(0, len(p_G), _GROUPS_PER_BLOCK):
            block = slice(start, start + _GROUPS_PER_BLOCK)
            factor_GL = 1 + p_G[block, None] * turns_L
            log_size_L += sizes_G[block] @ np.log(np.abs(factor_GL))
            angle_L += sizes_G[block] @ np.angle(factor_GL)
    wrapped_L = np.fft.fft(np.exp(log_size_L + 1j * angle_L)).real / length
    pmf_K = np.maximum(0.0, wrapped_L[np.arange(first, first + length) % length])
    return Law(certain + first, pmf_K[: len(c_N) - certain - first + 1])
