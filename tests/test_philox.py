"""Philox4x32-10 against the published known answers."""

import numpy as np
import pytest

from airbench_var.philox import below, philox4x32

# Random123, tests/kat_vectors, philox 4x32 with 10 rounds: counter, key, words.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]) -> None:
    drawn = philox4x32(key[1] << 32 | key[0], *counter)
    assert tuple(int(word) for word in drawn) == words


def test_counters_broadcast_and_keep_their_low_32_bits() -> None:
    single = [[int(philox4x32(7, a, b)[3]) for b in (1, 2)] for a in (3, 4, 5)]
    together = philox4x32(7, np.array([[3], [4], [5 + 2**32]]), np.array([1, 2]))[3]
    assert together.dtype == np.uint64
    assert together.tolist() == single


def test_below_maps_the_ends_of_the_words_to_the_ends_of_the_range() -> None:
    words = np.array([0, 2**32 // 25, 2**32 // 25 + 1, 2**31, 2**32 - 1], dtype=np.uint64)
    assert below(words, 25).tolist() == [0, 0, 1, 12, 24]
    assert below(words, 1).tolist() == [0] * 5
    assert below(words, 2**32).tolist() == words.tolist()
