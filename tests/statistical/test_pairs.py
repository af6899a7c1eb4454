"""Pairs of examples: no discovery where errors are independent, all where examples are near-duplicates.

Numbers of pairs by chance have a variance of at most their expectation, because deviations of two pairs are
independent of each other.
"""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import ndtr

from airbench_var.analysis.independence import variance_ratio
from airbench_var.analysis.pairs import PairFindings, pairs_of
from airbench_var.analysis.squared_covariance import SquaredCovariance, squared_covariance
from tests.statistical.figures import number, share
from tests.statistical.generator import count, simulate
from tests.statistical.test_unbiasedness import z_score

LEVEL = 0.05
PLANTED = 20

Bools = npt.NDArray[np.bool_]


def independent(rng: np.random.Generator, n: int, runs: int) -> Bools:
    return simulate(rng, n=n, runs=runs, distribution_wise_std=0.0).correct_RN


def findings(correct_RN: Bools) -> PairFindings:
    packed_RB = np.packbits(correct_RN, axis=1, bitorder="little")
    found = pairs_of("simulated", packed_RB, np.full(correct_RN.shape[1], "class")).findings
    assert found is not None
    return found


def squared(correct_RN: Bools) -> SquaredCovariance:
    """The same by products of whole matrices, which is faster where there are few examples."""
    R, c_N = len(correct_RN), correct_RN.sum(axis=0)
    bits_RN = correct_RN.astype(np.float64)
    deviation_NN = R * (bits_RN.T @ bits_RN) - np.outer(c_N, c_N)
    upper = deviation_NN[np.triu_indices(len(c_N), 1)].astype(np.int64)
    return squared_covariance(c_N, R, int(upper @ upper))


def discoveries_by_normal_p_values(correct_RN: Bools) -> int:
    """The wrong way: Benjamini-Hochberg on normal tails, which are too light for rare events."""
    R, c = len(correct_RN), correct_RN.sum(axis=0)
    bits_RN = correct_RN[:, (c > 0) & (c < R)].astype(np.float32)
    c = bits_RN.sum(axis=0, dtype=np.float64)
    spread = np.sqrt(c * (R - c) / R)
    z = (bits_RN.T @ bits_RN - np.outer(c, c) / R) / np.outer(spread, spread) * np.sqrt(R - 1)
    p = np.sort(2 * ndtr(-np.abs(z[np.triu_indices(len(c), 1)])))
    enough = np.flatnonzero(p <= LEVEL * np.arange(1, len(p) + 1) / len(p))
    return int(enough[-1]) + 1 if len(enough) else 0


@pytest.mark.parametrize(("n", "runs"), [(3000, 100), (4000, 200), (2500, 600)])
def test_independent_errors_give_no_discovery_and_normal_p_values_give_many(n: int, runs: int) -> None:
    rng = np.random.default_rng([1, n, runs])
    sets = [independent(rng, n, runs) for _ in range(20)]
    with_discovery = sum(findings(correct_RN).benjamini_hochberg.number > 0 for correct_RN in sets)
    assert number("sets with a discovery, exact tails", with_discovery, None, 2, 20)
    wrong = min(discoveries_by_normal_p_values(correct_RN) for correct_RN in sets[:3])
    assert number("fewest discoveries, the wrong way: normal tails", wrong, 200, None, 3)


def test_near_duplicates_are_found_and_little_else() -> None:
    rng = np.random.default_rng(2)
    correct_RN = independent(rng, 2000, 500)
    c = correct_RN.sum(axis=0)
    uncertain = rng.permutation(np.flatnonzero((c > 100) & (c < 450)))[: 2 * PLANTED]
    planted = {(min(i, j), max(i, j)) for i, j in uncertain.reshape(-1, 2).tolist()}
    for i, j in planted:
        same_R = rng.random(500) < 0.7
        correct_RN[same_R, j] = correct_RN[same_R, i]
    found = findings(correct_RN)
    discovered = {pair.examples for pair in found.deviating}
    assert planted <= discovered
    assert len(discovered - planted) <= 5  # 5 % are one of 21
    assert found.benjamini_yekutieli.number >= PLANTED
    assert all(pair.z > 0 for pair in found.deviating if pair.examples in planted)
    assert (found.squared_covariance.test.p_value or 0) < 1e-6


@pytest.mark.parametrize(("n", "runs", "sets"), [(1000, 100, 5), (2000, 500, 10), (3000, 1000, 10)])
def test_chance_makes_as_many_pairs_of_the_paper_as_expected(n: int, runs: int, sets: int) -> None:
    rng = np.random.default_rng([3, n, runs])
    rules = [findings(independent(rng, n, runs)).joint_frequency for _ in range(sets)]
    observed, expected = sum(rule.pairs for rule in rules), sum(rule.by_chance for rule in rules)
    assert expected > 100
    off = abs(observed - expected) / np.sqrt(expected)
    assert number("|z|, pairs of the paper's rule less expected", off, None, 3, sets)


@pytest.mark.parametrize(("n", "runs"), [(200, 5), (200, 30), (300, 200)])
def test_squared_covariance_less_that_of_chance_is_0_on_average(n: int, runs: int) -> None:
    rng = np.random.default_rng([4, n, runs])
    drawn = [squared(independent(rng, n, runs)) for _ in range(600)]

    z = abs(z_score([found.excess for found in drawn], 0.0))
    assert number("|z|, excess squared covariance", z, None, 3, 600)
    z = z_score([found.mean for found in drawn], 0.0)
    assert number("z, nothing taken off", z, 3, None, 600)


def rejections(n: int, runs: int, sets: int, seed: int) -> float:
    rng = np.random.default_rng([seed, n, runs])
    tests = [squared(independent(rng, n, runs)).test for _ in range(sets)]
    p_values = [test.p_value for test in tests if test.p_value is not None]
    assert len(p_values) == sets
    return float(np.mean(np.array(p_values) <= LEVEL))


def require_level(value: float, sets: int) -> None:
    assert share("type-I error, squared covariance", value, 0.035, 0.06, sets)


@pytest.mark.parametrize(("n", "runs"), [(200, 10), (200, 60)])
def test_squared_covariance_rejects_as_often_as_its_level(n: int, runs: int) -> None:
    require_level(rejections(n, runs, sets=600, seed=5), sets=600)


def test_squared_covariance_sees_what_the_variance_of_runs_does_not() -> None:
    """Half of the pairs go together, half against each other: the mean covariance is nothing."""
    rng = np.random.default_rng(6)
    seen = {"squared": 0, "variance": 0}
    for _ in range(40):
        sign_N = np.where(np.arange(100) % 2, 1, -1)
        chance_RN = 0.5 + 0.1 * np.outer(rng.choice([-1, 1], 200), sign_N)
        correct_RN = rng.random((200, 100)) < chance_RN
        seen["squared"] += (squared(correct_RN).test.p_value or 0) <= LEVEL
        seen["variance"] += (variance_ratio(count(correct_RN)).p_value or 0) <= LEVEL
    assert seen["squared"] == 40
    assert seen["variance"] <= 6


@pytest.mark.statistics
@pytest.mark.parametrize(("n", "runs"), [(200, 5), (200, 10), (200, 60), (1000, 100), (500, 500)])
def test_squared_covariance_keeps_its_level_over_two_thousand_sets(n: int, runs: int) -> None:
    require_level(rejections(n, runs, sets=2000, seed=7), sets=2000)


@pytest.mark.statistics
@pytest.mark.parametrize(("n", "runs"), [(4000, 200), (4000, 1000), (10_000, 1000), (10_000, 5000)])
def test_independent_errors_give_no_discovery_in_large_sets(n: int, runs: int) -> None:
    rng = np.random.default_rng([8, n, runs])
    observed = expected = with_discovery = 0.0
    for _ in range(20):
        found = findings(independent(rng, n, runs))
        with_discovery += found.benjamini_hochberg.number > 0
        observed += found.joint_frequency.pairs
        expected += found.joint_frequency.by_chance
    assert number("sets with a discovery, exact tails", with_discovery, None, 2, 20)
    off = (abs(observed - expected) - 0.5) / np.sqrt(max(expected, 1e-9))
    assert number("z, pairs of the paper's rule off what is expected", off, None, 3, 20)
