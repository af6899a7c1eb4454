"""The fast path in host memory, by NumPy alone: a float32 product that counts two columns at once."""

import numpy as np
import numpy.typing as npt

Packed = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]

#: A float32 holds every integer up to 2**24: two counts of 12 bits each, over at most 2**12 - 1 runs.
_BITS = 12
_MOST_RUNS = 2**_BITS - 1


def cooccurrence(left_RB: Packed, right_RB: Packed, n_left: int, n_right: int) -> Int32:
    """Return the counts (N_left, N_right); arguments as in the public `cooccurrence`, checked there.

    Half of the left columns are multiplied by 2**12 and added to the other half, so that one product counts
    both; every partial sum is an integer below 2**24, exact in any order of summation.
    """
    counts_NN = np.zeros((n_left, n_right), np.int32)
    half, runs = (n_left + 1) // 2, len(left_RB)
    pieces = -(-runs // _MOST_RUNS)
    for piece in range(pieces):
        rows = slice(piece * runs // pieces, (piece + 1) * runs // pieces)
        left_RN = np.unpackbits(left_RB[rows], axis=1, count=n_left, bitorder="little")
        right_RN = np.unpackbits(right_RB[rows], axis=1, count=n_right, bitorder="little")
        both_RH = left_RN[:, :half].astype(np.float32)
        both_RH[:, : n_left - half] += left_RN[:, half:] * np.float32(2**_BITS)
        both_HN = (both_RH.T @ right_RN.astype(np.float32)).astype(np.int32)
        counts_NN[:half] += both_HN & _MOST_RUNS
        counts_NN[half:] += both_HN[: n_left - half] >> _BITS
    return counts_NN
