"""Philox4x32-10: random words as a pure function of (key, counter), the same on every machine.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. It is the
generator behind `tl.philox`, so a Triton kernel and NumPy draw the same words.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)

Words = npt.NDArray[np.uint64]


def philox4x32(key: int, c0: Any, c1: Any = 0, c2: Any = 0, c3: Any = 0) -> tuple[Words, Words, Words, Words]:
    """Return four words, each uint64 in [0, 2**32), for a 64-bit key and broadcast 32-bit counters."""
    x0, x1, x2, x3 = np.broadcast_arrays(*(np.asarray(c, dtype=np.uint64) & _LOW for c in (c0, c1, c2, c3)))
    k0, k1 = key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF
    for _ in range(10):
        p0, p1 = x0 * _M0, x2 * _M1
        x0, x1, x2, x3 = (
            p1 >> _32 ^ x1 ^ np.uint64(k0),
            p1 & _LOW,
            p0 >> _32 ^ x3 ^ np.uint64(k1),
            p0 & _LOW,
        )
        k0, k1 = k0 + _W0 & 0xFFFFFFFF, k1 + _W1 & 0xFFFFFFFF
    return x0, x1, x2, x3


def below(words: Words, bound: int) -> npt.NDArray[np.int64]:
    """Map 32-bit words onto 0 ... bound - 1 by multiply and shift (relative bias under bound / 2**32)."""
    return (words * np.uint64(bound) >> _32).astype(np.int64)
