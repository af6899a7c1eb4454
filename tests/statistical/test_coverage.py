"""The intervals contain the truth as often as they say, and the tempting wrong one does not."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from airbench_var.analysis import intervals
from airbench_var.analysis.estimate import Interval
from airbench_var.stats import CorrectnessCounts
from tests.statistical.figures import share
from tests.statistical.generator import MEAN_ACCURACY, RunEffects, SimulatedTestSet, simulate

LEVEL = 0.95


def as_std(interval_of: "IntervalOf") -> "IntervalOf":
    """Return the squared interval of the standard deviation: a negative variance has a std of 0."""

    def squared(counts: CorrectnessCounts, level: float) -> Interval:
        low, high = interval_of(counts, level)
        return max(0.0, low), max(0.0, high)

    return squared


IntervalOf = Callable[[CorrectnessCounts, float], Interval]
TruthOf = Callable[[SimulatedTestSet], float]

#: Estimate, its interval, its truth. "run-only" is the wrong one: it knows nothing of the examples.
CLAIMS: dict[str, tuple[IntervalOf, TruthOf]] = {
    "accuracy": (intervals.accuracy_interval, lambda drawn: drawn.mean_accuracy),
    "distribution-wise accuracy": (intervals.distribution_wise_accuracy_interval, lambda _: MEAN_ACCURACY),
    "test-set": (intervals.test_set_variance_interval, lambda drawn: drawn.test_set_variance),
    "independent": (intervals.independent_errors_interval, lambda drawn: drawn.independent_errors_variance),
    "excess": (intervals.excess_variance_interval, lambda drawn: drawn.excess_variance),
    "distribution-wise": (
        intervals.distribution_wise_variance_interval,
        lambda drawn: drawn.distribution_wise_variance,
    ),
    "excess, std": (as_std(intervals.excess_variance_interval), lambda drawn: drawn.excess_variance),
    "distribution-wise, std": (
        as_std(intervals.distribution_wise_variance_interval),
        lambda drawn: drawn.distribution_wise_variance,
    ),
    "run-only": (intervals.excess_variance_interval, lambda drawn: drawn.distribution_wise_variance),
}


@dataclass(frozen=True)
class Coverage:
    sets: int
    hits: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CLAIMS, 0))

    def require(self, claim: str, low: float, high: float = 1.0) -> None:
        value = self.hits[claim] / self.sets
        assert share(f"coverage, {claim}", value, low, high, self.sets), f"{claim}: {value:.3f}"


def coverage(*, n: int, runs: int, std: float, sets: int, effects: RunEffects = "normal") -> Coverage:
    result = Coverage(sets)
    rng = np.random.default_rng([5, n, runs, round(1e6 * std)])
    for _ in range(sets):
        drawn = simulate(rng, n=n, runs=runs, distribution_wise_std=std, effects=effects)
        for claim, (interval_of, truth_of) in CLAIMS.items():
            low, high = interval_of(drawn.counts, LEVEL)
            result.hits[claim] += low <= truth_of(drawn) <= high
    return result


@pytest.mark.parametrize(("runs", "std"), [(50, 0.005), (50, 0.0), (5, 0.005), (500, 0.005)])
def test_intervals_cover(runs: int, std: float) -> None:
    covered = coverage(n=1000, runs=runs, std=std, sets=1000)
    for claim in ("accuracy", "distribution-wise accuracy", "test-set", "excess"):
        covered.require(claim, 0.93, 0.98)
    covered.require("independent", 0.92, 0.985 if runs >= 50 else 1.0)
    covered.require("distribution-wise", 0.925, 0.99)
    if (runs, std) == (500, 0.005):  # the more runs, the more an interval without the examples is wrong
        covered.require("run-only", 0.0, 0.80)


def test_two_runs_cover_at_the_price_of_width() -> None:
    covered = coverage(n=1000, runs=2, std=0.0, sets=1000)
    covered.require("independent", 0.92)
    covered.require("distribution-wise accuracy", 0.92, 0.98)


def test_intervals_cover_when_runs_fail_now_and_then() -> None:
    covered = coverage(n=1000, runs=200, std=0.005, sets=1000, effects="failing")
    covered.require("excess", 0.92)
    covered.require("distribution-wise", 0.92)


@pytest.mark.statistics
@pytest.mark.parametrize("std", [0.0, 0.0003, 0.005])
@pytest.mark.parametrize("runs", [50, 500, 2000])
@pytest.mark.parametrize("n", [1000, 10_000])
def test_coverage_grid(n: int, runs: int, std: float) -> None:
    covered = coverage(n=n, runs=runs, std=std, sets=2000)
    covered.require("excess", 0.93, 0.98)
    covered.require("distribution-wise", 0.925, 0.99)
    if std == 0:  # a std of 0 is the end of what is possible, which only a lower end can miss
        covered.require("excess, std", 0.96, 0.995)
        covered.require("distribution-wise, std", 0.96, 1.0)
    if (n, runs, std) == (1000, 500, 0.005):
        covered.require("run-only", 0.0, 0.80)


@pytest.mark.statistics
@pytest.mark.parametrize(("n", "runs"), [(1000, 200), (10_000, 500), (10_000, 2000)])
def test_coverage_with_failing_runs(n: int, runs: int) -> None:
    covered = coverage(n=n, runs=runs, std=0.005, sets=2000, effects="failing")
    covered.require("excess", 0.92)
    covered.require("distribution-wise", 0.92)
