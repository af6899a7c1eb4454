"""Intervals against their definitions; that they cover is shown in tests/statistical."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from airbench_var.analysis import intervals, variance
from tests.statistical.generator import count, simulate

LEVEL = 0.95


def with_k(*k: int) -> "np.ndarray[tuple[int, int], np.dtype[np.bool_]]":
    """Return a matrix whose runs have these right answers, of 100 examples."""
    return np.arange(100) < np.array(k)[:, None]


def test_three_runs_give_the_textbook_chi_square_interval() -> None:
    state = count(with_k(90, 93, 96))  # too few runs for a kurtosis
    low, high = intervals.test_set_variance_interval(state, LEVEL)
    assert low == pytest.approx(2 * 9e-4 / stats.chi2.ppf(0.975, 2))
    assert high == pytest.approx(2 * 9e-4 / stats.chi2.ppf(0.025, 2))


@pytest.mark.parametrize("outlier", [50, 95], ids=["heavy tails", "light tails"])
def test_degrees_of_freedom_follow_the_kurtosis(outlier: int) -> None:
    k = [*range(88, 97)] * 14 + [outlier]
    state = count(with_k(*k))
    kurtosis = 3 + float(stats.kurtosis(k, bias=False))
    R, V = len(k), float(variance.test_set_variance(state))
    nu = 2 * R / (kurtosis - (R - 3) / (R - 1))
    assert (nu < R - 1) == (outlier == 50)
    low, high = intervals.test_set_variance_interval(state, LEVEL)
    assert low == pytest.approx(nu * V / stats.chi2.ppf(0.975, nu))
    assert high == pytest.approx(nu * V / stats.chi2.ppf(0.025, nu))


def test_below_100_runs_light_tails_do_not_narrow_the_interval() -> None:
    k = [88, 89, 90, 91] * 10
    low, high = intervals.test_set_variance_interval(count(with_k(*k)), LEVEL)
    V = np.var(k, ddof=1) / 1e4
    assert low == pytest.approx(39 * V / stats.chi2.ppf(0.975, 39))
    assert high == pytest.approx(39 * V / stats.chi2.ppf(0.025, 39))


def test_excess_interval_is_the_other_less_the_independent_part() -> None:
    state = simulate(np.random.default_rng(20), n=50, runs=30, distribution_wise_std=0.01).counts
    independent = float(variance.independent_errors_variance(state))
    for end, excess in zip(
        intervals.test_set_variance_interval(state, LEVEL),
        intervals.excess_variance_interval(state, LEVEL),
        strict=True,
    ):
        assert excess == pytest.approx(50 / 49 * (end - independent))


def test_example_part_equals_its_definition() -> None:
    """From the matrix: each example's mean covariance with the others, and the noise that finite R adds."""
    correct_RN = np.random.default_rng(21).random((12, 30)) < np.linspace(0.3, 0.95, 30)
    runs, n = correct_RN.shape
    covariance_NN = np.cov(correct_RN.T.astype(float))
    mean_N = (covariance_NN.sum(axis=1) - np.diag(covariance_NN)) / (n - 1)
    assert mean_N.mean() == pytest.approx(float(variance.distribution_wise_variance(count(correct_RN))))
    k_R = correct_RN.sum(axis=1)
    products_RN = (correct_RN - correct_RN.mean(axis=0)) * (k_R - k_R.mean())[:, None]
    noise_N = products_RN.var(axis=0) / ((runs - 1) * (n - 1) ** 2)
    expected = 4 / n * (mean_N.var(ddof=1) - noise_N.mean())
    assert intervals._example_part(count(correct_RN)) == pytest.approx(max(0.0, expected), rel=1e-9)
    assert expected > 0


@pytest.mark.parametrize("std", [0.0, 0.02], ids=["near 0", "far from 0"])
def test_distribution_wise_interval_is_wider_than_that_of_the_runs(std: float) -> None:
    """MOVER: the distance of each end is the root of the squared distances of both parts."""
    state = simulate(np.random.default_rng(24), n=400, runs=30, distribution_wise_std=std).counts
    estimate = float(variance.distribution_wise_variance(state))
    reach = 1.959963984540054 * math.sqrt(intervals._example_part(state))
    runs, both = (
        f(state, LEVEL)
        for f in (intervals.excess_variance_interval, intervals.distribution_wise_variance_interval)
    )
    assert (estimate > reach) == (std > 0)
    examples = (estimate - reach, estimate + reach)
    if std > 0:
        root = math.sqrt(estimate)
        examples = ((root - reach / 2 / root) ** 2, (root + reach / 2 / root) ** 2)
    for end in (0, 1):
        assert abs(both[end] - estimate) == pytest.approx(
            math.hypot(runs[end] - estimate, examples[end] - estimate)
        )


def test_accuracy_errors_equal_their_definition() -> None:
    correct_RN = np.random.default_rng(23).random((9, 40)) < np.linspace(0.5, 1, 40)
    state = count(correct_RN)
    V = correct_RN.mean(axis=1).var(ddof=1)
    between = correct_RN.mean(axis=0).var(ddof=1) - correct_RN.var(axis=0, ddof=1).mean() / 9
    here, fresh = intervals.accuracy_standard_errors(state)
    assert here**2 == pytest.approx(V / 9)
    assert fresh**2 == pytest.approx(V / 9 + between / 40)
    low, high = intervals.accuracy_interval(state, LEVEL)
    assert (low + high) / 2 == pytest.approx(correct_RN.mean())
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 8) * here)


def test_distribution_wise_accuracy_has_satterthwaites_freedom() -> None:
    state = count(np.random.default_rng(26).random((3, 40)) < np.linspace(0, 1, 40))
    here, fresh = intervals.accuracy_standard_errors(state)
    parts = {2: here**2, 39: fresh**2 - here**2}
    freedom = sum(parts.values()) ** 2 / sum(part**2 / f for f, part in parts.items())
    low, high = intervals.distribution_wise_accuracy_interval(state, LEVEL)
    assert 3 < freedom < 41
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, freedom) * fresh)


def test_independent_errors_interval_follows_the_influence_of_each_run() -> None:
    state = simulate(np.random.default_rng(27), n=60, runs=12, distribution_wise_std=0.02).counts
    runs, n, p_N, v_N = 12, 60, state.c_N / 12, intervals.example_variances(state)
    covariance_N = (state.h_N - state.c_N * state.k_R.mean()) / (runs - 1)
    influence_with_k = float((1 - 2 * p_N) @ covariance_N)
    explained = influence_with_k**2 / state.k_R.var(ddof=1)
    slope = influence_with_k / state.k_R.var(ddof=1)
    residual = float(v_N @ (1 - 2 * p_N - slope) ** 2)
    variance_of_sum = (explained + residual) / runs + 2 * float((v_N**2).sum()) / (runs * (runs - 1))
    low, high = intervals.independent_errors_interval(state, LEVEL)
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 11) * math.sqrt(variance_of_sum) / n**2)


def test_of_few_runs_the_distribution_is_known_no_better_than_this_test_set() -> None:
    """Satterthwaite alone takes the many examples for freedom, and gives the narrower interval."""
    chance_RN = np.clip(np.linspace(0.3, 1.2, 300) + np.array([[-0.02], [0.02]]), 0, 1)
    state = count(np.random.default_rng(2).random((2, 300)) < chance_RN)
    here, fresh = intervals.accuracy_standard_errors(state)
    parts = {1: here**2, 299: fresh**2 - here**2}
    freedom = sum(parts.values()) ** 2 / sum(part**2 / f for f, part in parts.items())
    low, high = intervals.accuracy_interval(state, LEVEL)
    assert 2 * stats.t.ppf(0.975, freedom) * fresh < high - low
    assert intervals.distribution_wise_accuracy_interval(state, LEVEL) == (low, high)


def test_accuracies_stay_between_0_and_1() -> None:
    """Two runs of 95 and 90 right of 100: Student's t with one degree of freedom reaches far beyond 1."""
    counts = count(np.arange(100) < np.array([[95], [90]]))
    for interval in (intervals.accuracy_interval, intervals.distribution_wise_accuracy_interval):
        low, high = interval(counts, 0.95)
        assert 0 <= low < 0.9
        assert high == 1


def test_a_wider_level_contains_a_narrower_one() -> None:
    state = simulate(np.random.default_rng(24), n=300, runs=40, distribution_wise_std=0.01).counts
    for interval_of in (
        intervals.accuracy_interval,
        intervals.distribution_wise_accuracy_interval,
        intervals.test_set_variance_interval,
        intervals.independent_errors_interval,
        intervals.excess_variance_interval,
        intervals.distribution_wise_variance_interval,
    ):
        for (low, high), (lower, higher) in itertools.pairwise(
            interval_of(state, p) for p in (0.5, 0.9, 0.99)
        ):
            assert lower < low < high < higher


def test_the_binomial_interval_is_the_image_of_that_of_the_accuracy() -> None:
    state = count(np.random.default_rng(30).random((9, 50)) < 0.8)
    low, high = intervals.accuracy_interval(state, LEVEL)
    image = sorted(p * (1 - p) / 50 for p in (low, high))
    assert intervals.binomial_interval(state, LEVEL) == pytest.approx(image)
    half = count(np.random.default_rng(31).random((9, 50)) < 0.5)
    assert intervals.binomial_interval(half, LEVEL)[1] == 0.25 / 50
