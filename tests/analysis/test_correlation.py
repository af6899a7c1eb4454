"""Correlations over runs: what halves are for, and the level of intervals and discoveries."""

import numpy as np
import numpy.typing as npt
import pytest

from airbench_var.analysis.correlation import Correlation, correlations, discoveries
from airbench_var.stats import CorrectnessCounts


def counts_of(correct_RN: npt.NDArray[np.bool_]) -> CorrectnessCounts:
    packed_RB = np.packbits(correct_RN, axis=1, bitorder="little")
    return CorrectnessCounts.of(correct_RN.shape[1], "t", np.arange(len(correct_RN)), packed_RB)


def same_images_twice(seed: int, runs: int = 60, examples: int = 400) -> list[tuple[str, CorrectnessCounts]]:
    """Return two test sets that show the same images, by runs that do not differ on the distribution.

    Errors of a run on an image are the same on both, as of a light corruption.
    """
    generator = np.random.default_rng(seed)
    right_RN = generator.random((runs, examples)) < 0.7
    slips_RN = generator.random((runs, examples)) < 0.1
    return [("plain", counts_of(right_RN)), ("corrupted", counts_of(right_RN ^ slips_RN))]


def test_halves_hold_their_level_where_whole_test_sets_do_not() -> None:
    """No run is better than another: whole test sets go together by their images alone."""
    rejected = dict.fromkeys((True, False), 0)
    for seed in range(400):
        both = same_images_twice(seed)
        for halves in rejected:
            [found] = correlations(both, halves=halves, level=0.95)
            rejected[halves] += found.p_value < 0.05
    assert 7 <= rejected[True] <= 35  # 20 expected, four standard deviations
    assert rejected[False] > 380


def test_intervals_hold_for_all_pairs_together() -> None:
    generator, missed, single = np.random.default_rng(0), 0, 0
    for _ in range(300):
        sets = [(str(place), counts_of(generator.random((40, 200)) < 0.7)) for place in range(5)]
        found = correlations(sets, halves=True, level=0.95)
        assert len(found) == 10
        missed += any(one.low > 0 or one.high < 0 for one in found)
        single += any(one.p_value < 0.05 for one in found)  # an interval for each pair alone
    assert missed <= 15 + 4 * np.sqrt(300 * 0.05 * 0.95)
    assert single > 75


def test_runs_that_are_better_everywhere_are_found() -> None:
    generator = np.random.default_rng(0)
    skill_R1 = generator.normal(0.7, 0.05, (80, 1))
    sets = [(str(place), counts_of(generator.random((80, 600)) < skill_R1)) for place in range(4)]
    found = correlations(sets, halves=True, level=0.95)
    assert all(one.low > 0.3 for one in found)
    assert discoveries(found) == 6
    assert discoveries([]) == 0


def test_what_does_not_vary_is_left_out_and_other_runs_are_refused() -> None:
    varying = counts_of(np.random.default_rng(0).random((10, 50)) < 0.5)
    constant = counts_of(np.ones((10, 50), bool))
    assert correlations([("a", varying), ("b", constant)], halves=False, level=0.95) == []
    other = counts_of(np.random.default_rng(1).random((9, 50)) < 0.5)
    odd = counts_of(np.where(np.arange(50) % 2, True, np.random.default_rng(2).random((10, 50)) < 0.5))
    assert (
        correlations([("a", varying), ("odd", odd)], halves=True, level=0.95) == []
    )  # its odd half is constant
    few = [
        (name, counts_of(np.random.default_rng(seed).random((3, 50)) < 0.5)) for seed, name in enumerate("ab")
    ]
    with pytest.raises(ValueError, match="four at least"):
        correlations(few, halves=False, level=0.95)
    with pytest.raises(ValueError, match="a and c need the same runs"):
        correlations([("a", varying), ("c", other)], halves=False, level=0.95)


def test_discoveries_allow_for_pairs_that_share_runs() -> None:
    """By Benjamini and Yekutieli four p-values of 0.03 are 0.03 (1 + 1/2 + 1/3 + 1/4) each."""
    found = [Correlation(names=("a", "b"), r=0.3, low=0.1, high=0.5, p_value=0.03)] * 4
    assert discoveries(found) == 0
    assert discoveries(found, rate=0.063) == 4
