"""The paper's 2 % rule: whole numbers, and what chance makes of them."""

from math import comb

import numpy as np
import pytest

from airbench_var.analysis import joint_frequency
from airbench_var.analysis.hypergeometric import HypergeometricLaws
from airbench_var.analysis.joint_frequency import by_rule, expected_by_chance, least_deviation


@pytest.mark.parametrize("R", [2, 49, 50, 51, 1000, 10_000])
def test_two_percent_is_met_by_the_least_deviation_and_not_by_one_less(R: int) -> None:
    least = least_deviation(R)
    assert 50 * least >= R**2 > 50 * (least - 1)


def brute_force(c: list[int], R: int, deviation: int) -> float:
    expected = 0.0
    for place, a in enumerate(c):
        for b in c[place + 1 :]:
            ways = (comb(a, g) * comb(R - a, b - g) for g in range(b + 1) if abs(R * g - a * b) >= deviation)
            expected += sum(ways) / comb(R, b)
    return expected


@pytest.mark.parametrize(("R", "deviation"), [(5, 2), (12, 20), (60, 300), (60, 700), (60, 3)])
def test_expected_number_is_a_sum_over_all_pairs(
    R: int, deviation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    c = np.random.default_rng([R, deviation]).integers(1, R, 30)
    wanted = brute_force(c.tolist(), R, deviation)
    values, numbers = np.unique(c, return_counts=True)
    laws = HypergeometricLaws(R)
    assert expected_by_chance(laws, values, numbers, deviation) == pytest.approx(wanted, rel=1e-9, abs=1e-6)
    monkeypatch.setattr(joint_frequency, "_PAIRS_PER_BLOCK", 5)
    assert expected_by_chance(laws, values, numbers, deviation) == pytest.approx(wanted, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("R", [60, 1000, 5000])
def test_at_the_other_threshold_chance_makes_half_a_pair(R: int) -> None:
    """With numbers of right answers grouped (5,000 runs) or not (60): exact tails are steep there."""
    rng = np.random.default_rng(R)
    c = rng.binomial(R, rng.beta(1.149, 0.204, 600))
    c = c[(c > 0) & (c < R)]
    threshold = by_rule(c, R, 0).threshold_for_half_a_pair
    assert threshold is not None
    values, numbers = np.unique(c, return_counts=True)
    at, below = (
        expected_by_chance(HypergeometricLaws(R), values, numbers, round(share * threshold * R**2))
        for share in (1, 0.98)
    )
    assert at < 0.51
    assert below > 0.5


def test_few_runs_leave_no_threshold_beyond_chance() -> None:
    found = by_rule(np.array([1, 1, 1, 2, 2]), 3, 10)
    assert found.threshold_for_half_a_pair is None
    assert found.by_chance == 10
    assert found.to_json() == {
        "threshold": 0.02, "pairs": 10, "by_chance": 10.0, "threshold_for_half_a_pair": None
    }  # fmt: skip
