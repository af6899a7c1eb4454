"""Tails of the hypergeometric law: against whole numbers, against SciPy, and as p-values that are valid."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from scipy import stats

from airbench_var.analysis.hypergeometric import HypergeometricLaws
from airbench_var.analysis.pair_scan import LEVEL, SCREEN


def chance(R: int, a: int, b: int, both: int) -> Fraction:
    return Fraction(comb(a, both) * comb(R - a, b - both), comb(R, b)) if 0 <= both <= b else Fraction(0)


def laws_of(R: int) -> list[tuple[int, int]]:
    return [(a, b) for a in range(1, R) for b in range(1, R)]


@pytest.mark.parametrize("R", [2, 3, 5, 8, 11])
def test_p_values_are_those_of_whole_numbers_and_valid(R: int) -> None:
    for a, b in laws_of(R):
        pmf = {g: chance(R, a, b, g) for g in range(max(0, a + b - R), min(a, b) + 1)}
        outcomes = np.array([*pmf])
        ours = HypergeometricLaws(R).two_sided(outcomes, np.full_like(outcomes, a), np.full_like(outcomes, b))
        exact = {}
        for g in pmf:
            tail = sum(p for h, p in pmf.items() if (h >= g if g * R >= a * b else h <= g))
            exact[g] = min(Fraction(1), 2 * tail)
        assert ours.tolist() == pytest.approx([float(p) for p in exact.values()], rel=1e-12)
        for level in exact.values():  # P(p-value <= level) <= level, at every level where it could fail
            assert sum(pmf[g] for g in pmf if exact[g] <= level) <= level


@pytest.mark.parametrize("R", [2, 3, 7, 10])
@pytest.mark.parametrize("deviation", [1, 2, 5, 13, 30])
def test_chance_of_a_deviation_is_a_sum_over_outcomes(R: int, deviation: int) -> None:
    pairs = laws_of(R)
    ours = HypergeometricLaws(R).deviating(deviation, *np.array(pairs).T)
    exact = [
        sum(chance(R, a, b, g) for g in range(R + 1) if abs(R * g - a * b) >= deviation) for a, b in pairs
    ]
    assert ours.tolist() == pytest.approx([float(p) for p in exact], rel=1e-12)


@pytest.mark.parametrize("R", [1000, 60_000])
def test_many_runs_agree_with_scipy_far_into_the_tails(R: int) -> None:
    rng = np.random.default_rng(R)
    a, b = rng.integers(1, R, (2, 300))
    spread = np.sqrt(a * (R - a) * b * (R - b) / (R**2 * (R - 1.0)))
    both = np.rint(a * b / R + rng.uniform(-8, 8, 300) * spread).astype(np.int64)
    both = np.clip(both, np.maximum(0, a + b - R), np.minimum(a, b))
    law = stats.hypergeom(R, a, b)
    tail = np.where(both * R >= a * b, law.sf(both - 1), law.cdf(both))
    assert HypergeometricLaws(R).two_sided(both, a, b) == pytest.approx(np.minimum(1, 2 * tail), rel=1e-8)


@pytest.mark.parametrize("R", [*range(2, 40), 100, 317])
def test_what_the_screen_drops_is_never_below_the_level(R: int) -> None:
    """Every law: the outcomes on either side that are the last to be dropped."""
    a, b = np.array(laws_of(R)).T
    spread = np.sqrt(a * (R - a) * b * (R - b) / (R**2 * (R - 1.0)))
    inside = [np.floor(a * b / R + SCREEN * spread), np.ceil(a * b / R - SCREEN * spread)]
    for both in inside:
        both = np.clip(both.astype(np.int64), np.maximum(0, a + b - R), np.minimum(a, b))
        assert HypergeometricLaws(R).two_sided(both, a, b).min() > LEVEL


def test_the_screen_holds_for_many_runs_where_it_is_tightest() -> None:
    """No outcome both are right on, 1.9 standard deviations below the mean: the Poisson law's extreme."""
    R = 100_000
    a = np.arange(1, R // 2)
    b = np.floor(SCREEN**2 * R * (R - a) / (a * (R - 1) + SCREEN**2 * (R - a))).astype(np.int64)
    some = (b >= 1) & (b < R) & (a + b <= R)
    p = HypergeometricLaws(R).two_sided(np.zeros(some.sum(), np.int64), a[some], b[some])
    assert LEVEL < p.min() < 1.15 * LEVEL


def test_a_law_is_the_same_in_any_company() -> None:
    rng = np.random.default_rng(0)
    R = 5000
    a, b = rng.integers(1, R, (2, 20_011))
    both = np.clip((a * b) // R + rng.integers(0, 90, len(a)), 0, np.minimum(a, b))
    laws = HypergeometricLaws(R)
    together = laws.at_least(both, a, b)
    some = slice(3, None, 7)
    assert np.array_equal(together[some], laws.at_least(both[some], a[some], b[some]))
    assert together[17:18].tolist() == laws.at_least(both[17:18], a[17:18], b[17:18]).tolist()
