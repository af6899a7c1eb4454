"""The truth: one run at a time, in integers."""

import numpy as np
import numpy.typing as npt

Packed = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]


def cooccurrence(left_RB: Packed, right_RB: Packed, n_left: int, n_right: int) -> Int32:
    """Return the counts (N_left, N_right); arguments as in the public `cooccurrence`, checked there."""
    counts_NN = np.zeros((n_left, n_right), np.int32)
    for left_B, right_B in zip(left_RB, right_RB, strict=True):
        left_N = np.unpackbits(left_B, count=n_left, bitorder="little")
        right_N = np.unpackbits(right_B, count=n_right, bitorder="little")
        counts_NN += np.outer(left_N, right_N)
    return counts_NN
