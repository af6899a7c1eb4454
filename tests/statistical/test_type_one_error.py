"""Tests of independence reject independent errors as often as they say; the tempting wrong ones do not."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from airbench_var.analysis import independence
from airbench_var.analysis.independence import goodness_of_fit, under_dispersion_p_value, variance_ratio
from airbench_var.analysis.poisson_binomial import poisson_binomial
from airbench_var.stats import CorrectnessCounts
from tests.statistical.figures import number, share
from tests.statistical.generator import count, simulate

LEVEL = 0.05

PValue = Callable[[CorrectnessCounts], float]


def p_of_ratio(counts: CorrectnessCounts) -> float:
    p_value = variance_ratio(counts).p_value
    assert p_value is not None
    return p_value


def p_of_fit(counts: CorrectnessCounts) -> float:
    p_value = goodness_of_fit(counts, draws=199).p_value
    assert p_value is not None
    return p_value


def plain_kolmogorov_smirnov(counts: CorrectnessCounts) -> float:
    """The wrong way: the law with the estimated rates, taken for known."""
    law = poisson_binomial(counts.c_N, counts.R)
    observed_K = np.bincount(counts.k_R - law.first, minlength=len(law.pmf_K))
    distance = np.max(np.abs(np.cumsum(observed_K) / counts.R - np.cumsum(law.pmf_K)))
    return float(stats.kstwo.sf(distance, counts.R))


def simulated_with_fixed_rates(counts: CorrectnessCounts) -> float:
    """The paper's way: compare with samples of p = c / R, whose variance is too small by a share of 1 / R."""
    v = float((counts.c_N / counts.R) @ (1 - counts.c_N / counts.R))
    freedom = counts.R - 1
    return float(stats.chi2.sf(freedom * counts.k_R.var(ddof=1) / v, freedom))


def rejections(p_value: PValue, *, n: int, runs: int, sets: int, seed: int = 0) -> float:
    rng = np.random.default_rng([seed, n, runs])
    drawn = (simulate(rng, n=n, runs=runs, distribution_wise_std=0.0).counts for _ in range(sets))
    return float(np.mean([p_value(counts) <= LEVEL for counts in drawn]))


@pytest.mark.parametrize(
    ("p_value", "low", "high"),
    [(p_of_ratio, 0.04, 0.055), (under_dispersion_p_value, 0.04, 0.055), (p_of_fit, 0.035, 0.06)],
)
@pytest.mark.parametrize(("n", "runs"), [(200, 30), (1000, 100)])
def test_independent_errors_are_rejected_as_often_as_the_level(
    p_value: PValue, low: float, high: float, n: int, runs: int
) -> None:
    sets = 600
    assert share("type-I error", rejections(p_value, n=n, runs=runs, sets=sets), low, high, sets)


@pytest.mark.statistics
@pytest.mark.parametrize(
    ("p_value", "low", "high"),
    [(p_of_ratio, 0.04, 0.055), (under_dispersion_p_value, 0.04, 0.055), (p_of_fit, 0.035, 0.06)],
)
@pytest.mark.parametrize(("n", "runs"), [(200, 30), (1000, 100), (4000, 50)])
def test_type_one_error_over_four_thousand_sets(
    p_value: PValue, low: float, high: float, n: int, runs: int
) -> None:
    sets = 4000
    assert share("type-I error", rejections(p_value, n=n, runs=runs, sets=sets, seed=1), low, high, sets)


def test_a_plain_kolmogorov_smirnov_test_never_rejects() -> None:
    value = rejections(plain_kolmogorov_smirnov, n=1000, runs=100, sets=400)
    assert number("type-I error, the wrong way", value, None, 0.01, 400)


def test_rates_taken_for_known_reject_too_often() -> None:
    value = rejections(simulated_with_fixed_rates, n=1000, runs=20, sets=2000)
    assert number("type-I error, the wrong way", value, 0.055, None, 2000)


def test_the_ratio_sees_what_the_distance_hardly_sees() -> None:
    """Power against a distribution-wise std of a third of the independent one, at 1,000 examples."""
    rng = np.random.default_rng(8)
    drawn = [simulate(rng, n=1000, runs=200, distribution_wise_std=0.0025).counts for _ in range(150)]
    by_ratio, by_fit = (np.mean([p(counts) <= LEVEL for counts in drawn]) for p in (p_of_ratio, p_of_fit))
    assert by_ratio > by_fit + 0.1


def test_a_distance_of_two_runs_would_reject_too_often_which_is_why_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    two = simulate(np.random.default_rng(9), n=200, runs=2, distribution_wise_std=0.0)
    assert goodness_of_fit(two.counts).absent
    monkeypatch.setattr(independence, "_RUNS_FOR_FIT", 2)
    rng = np.random.default_rng(9)
    drawn = [simulate(rng, n=1000, runs=2, distribution_wise_std=0.0).counts for _ in range(400)]
    value = float(np.mean([p_of_fit(counts) <= 0.01 for counts in drawn]))
    assert number("type-I error at 1 %, the wrong way: a distance of two runs", value, 0.03, None, 400)


def test_a_smooth_law_for_a_handful_of_errors_would_reject_too_often_in_its_tail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(10)
    drawn = [count(rng.random((100, 20)) < 0.995) for _ in range(4000)]
    assert all(variance_ratio(counts).absent for counts in drawn)
    monkeypatch.setattr(independence, "LEAST_VARIANCE", 0)
    value = float(np.mean([(variance_ratio(counts).p_value or 1) <= 0.001 for counts in drawn]))
    assert number("type-I error at 0.1 %, the wrong way: a law for few errors", value, 0.003, None, 4000)
