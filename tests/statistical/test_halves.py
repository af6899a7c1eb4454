"""Intervals for halves and lucky seeds cover; the drift test holds its level; seeds are fixed."""

import numpy as np
import pytest

from airbench_var.analysis import halves
from airbench_var.analysis.drift import drift
from tests.statistical.generator import MEAN_PQ, simulate
from tests.statistical.test_type_one_error import within

LEVEL = 0.95
QUARTER_GAIN = 1.2711063


def coverages(sets: int, n: int, runs: int, std: float) -> dict[str, float]:
    """Return how often each interval contains the truth of its test set: of infinitely many runs on it."""
    rng = np.random.default_rng([1, n, runs])
    hits: dict[str, int] = {}
    for _ in range(sets):
        drawn = simulate(rng, n=n, runs=runs, distribution_wise_std=std)
        own = n * drawn.independent_errors_variance
        spread = own / (n / 2) + (1 - 2 / n) * drawn.excess_variance
        truths = {
            halves.split_half_correlation_over_splits: drawn.excess_variance / spread,
            halves.lucky_quarter_gain_over_splits: QUARTER_GAIN * drawn.excess_variance / np.sqrt(spread),
            # One split has a truth of its own; with 1,000 examples and more it is close to the mean.
            halves.split_half_correlation: drawn.excess_variance / spread,
            halves.lucky_quarter_gain: QUARTER_GAIN * drawn.excess_variance / np.sqrt(spread),
        }
        for estimator, truth in truths.items():
            interval = estimator(drawn.counts, LEVEL).interval
            assert interval is not None
            hits.setdefault(estimator.__name__, 0)
            hits[estimator.__name__] += interval[0] <= truth <= interval[1]
    return {name: hit / sets for name, hit in hits.items()}


@pytest.mark.parametrize(("runs", "std"), [(60, 0.0), (60, 0.005), (200, 0.002)])
def test_intervals_cover(runs: int, std: float) -> None:
    for name, share in coverages(500, 1000, runs, std).items():
        assert within(share, 0.93, 0.985, 500), f"{name}: {share}"


@pytest.mark.statistics
@pytest.mark.parametrize(("n", "runs", "std"), [(1000, 60, 0.005), (1000, 500, 0.0), (10_000, 300, 0.0005)])
def test_intervals_cover_in_many_sets(n: int, runs: int, std: float) -> None:
    for name, share in coverages(2000, n, runs, std).items():
        assert within(share, 0.93, 0.985, 2000), f"{name}: {share}"


def drift_rejections(sets: int, runs: int, std: float) -> float:
    rng = np.random.default_rng([2, runs])
    drawn = (simulate(rng, n=200, runs=runs, distribution_wise_std=std).counts for _ in range(sets))
    return float(np.mean([(drift(counts).p_value or 0) <= 1 - LEVEL for counts in drawn]))


@pytest.mark.parametrize(("runs", "std"), [(16, 0.0), (100, MEAN_PQ / 2)])
def test_without_drift_there_is_none(runs: int, std: float) -> None:
    assert within(drift_rejections(1000, runs, std), 0.035, 0.06, 1000)


@pytest.mark.statistics
@pytest.mark.parametrize(("runs", "std"), [(16, 0.0), (100, MEAN_PQ / 2), (500, 0.0)])
def test_without_drift_there_is_none_in_many_sets(runs: int, std: float) -> None:
    assert within(drift_rejections(4000, runs, std), 0.04, 0.06, 4000)
