"""How many runs does it take to see a difference, and when is the test set the limit?"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from scipy.special import nctdtr, ndtri, stdtrit

from airbench_var.analysis import intervals, variance
from airbench_var.analysis.comparison import example_part, runs_that_help
from airbench_var.analysis.estimate import Interval
from airbench_var.analysis.summary import LEVEL
from airbench_var.errors import StoreRefusedError, UsageError
from airbench_var.stats import CorrectnessCounts

MOST_RUNS = 10**9


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What it takes to detect a difference in mean accuracy between two recipes with as many runs each."""

    difference: float  #: to be detected, a fraction
    std: float  #: over runs, of one recipe, on the test set
    std_interval: Interval | None  #: where it is an estimate from pilots
    level: float  #: one less the chance to see a difference where there is none
    power: float  #: the chance to see the difference
    runs: int  #: per recipe, for this test set
    #: At the ends of the interval of the std; None for the upper one above `MOST_RUNS`.
    runs_interval: tuple[int, int | None] | None
    power_at_runs: float
    #: The smallest difference on the distribution that this test set can show, however many runs there are,
    #: and how many runs per recipe help before the test set is the limit; known once both recipes have runs.
    distribution_floor: float | None = None
    runs_that_help: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        return dict(vars(self))


def plan(
    difference: float,
    std: float,
    *,
    power: float = 0.8,
    level: float = 0.95,
    std_interval: Interval | None = None,
    pilots: tuple[CorrectnessCounts, CorrectnessCounts] | None = None,
) -> Plan:
    """Return the smallest number of runs per recipe with which Welch's t sees the difference with this power.

    `difference` and `std` (over runs, of one recipe, on the test set) are fractions: 0.002 is 0.2 %.
    `std_interval` is that of a std that was estimated, as `std_interval_of` gives it: a plan from few runs
    is as uncertain as their std. `pilots` are some runs of both recipes on the test set, as
    `airbench_var.analysis.count_store(path)["cifar10"]` counts them: how their differences spread over its
    examples says what the test set can show. Method: the exact noncentral t law. Assumption: both recipes
    have this std and normal accuracies; with few runs of a recipe that has outliers the power is another.

    Raises: UsageError for values that no number of runs can serve, StoreRefusedError for pilots that ran on
    different test sets.
    """
    if pilots:
        _refuse_pilots(*pilots)
    if not (0 < difference < 1 and 0 < std < 1):
        raise UsageError(
            f"a difference of {difference:g} and a std of {std:g} cannot be planned for: both must lie "
            "between 0 and 1 (0 and 100 %)."
        )
    if not (0.5 <= level < 1 and 1 - level < power < 1):
        raise UsageError(
            f"a power of {power:g} at level {level:g} cannot be planned for: without a difference one is "
            f"seen with a chance of {1 - level:.2g}. Choose a power between that and 1, as 0.8."
        )

    def power_of(runs: int, std: float = std) -> float:
        freedom, shift = 2 * runs - 2, difference / std * math.sqrt(runs / 2)
        critical = float(stdtrit(freedom, (1 + level) / 2))
        return 1 - float(nctdtr(freedom, shift, critical)) + float(nctdtr(freedom, shift, -critical))

    runs = smallest_runs(power_of, power)
    runs_interval = None
    if std_interval:
        low, high = (_smallest_runs(partial(power_of, std=end), power) for end in std_interval)
        runs_interval = (low or runs, high)  # the lower end takes no more than the std itself
    floor = helpful = None
    if pilots:
        floor = float(ndtri((1 + level) / 2) + ndtri(power)) * math.sqrt(example_part(*pilots))
        helpful = runs_that_help(*pilots)
    return Plan(
        difference=difference,
        std=std,
        level=level,
        power=power,
        std_interval=std_interval,
        runs=runs,
        runs_interval=runs_interval,
        power_at_runs=power_of(runs),
        distribution_floor=floor,
        runs_that_help=helpful,
    )


def _refuse_pilots(a: CorrectnessCounts, b: CorrectnessCounts) -> None:
    if (a.n, a.test_set_hash) != (b.n, b.test_set_hash):
        raise StoreRefusedError(
            f"the runs of A and B are on different test sets ({a.n} examples, {a.test_set_hash[:12]}; "
            f"{b.n} examples, {b.test_set_hash[:12]}), so that no example has a difference. Plan with "
            "runs on one test set."
        )
    if a.n < 2:
        raise UsageError("how a difference spreads over examples takes two of them at least, there is 1.")


def smallest_runs(power_of: Callable[[int], float], power: float) -> int:
    """Return the smallest number of runs from 2 on that has the power; raise UsageError above `MOST_RUNS`."""
    runs = _smallest_runs(power_of, power)
    if runs is None:
        raise UsageError(f"more than {MOST_RUNS:,} runs per recipe would be needed; detect something larger.")
    return runs


def _smallest_runs(power_of: Callable[[int], float], power: float) -> int | None:
    """Return the same by doubling, then halving; None above `MOST_RUNS`."""
    high = 2
    while power_of(high) < power:
        high *= 2
        if high > MOST_RUNS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= power else (middle, high)
    return high


def std_of(*pilots: CorrectnessCounts) -> float:
    """Return the std over runs to plan with: the root of the mean test-set variance of these campaigns."""
    return math.sqrt(sum(float(variance.test_set_variance(counts)) for counts in pilots) / len(pilots))


def std_interval_of(*pilots: CorrectnessCounts, level: float = LEVEL) -> Interval | None:
    """Return the interval of `std_of`; None where these runs give none.

    Method: that of the test-set variance for one campaign; for two their mean's by MOVER (Zou and Donner,
    Statistics in Medicine 2008). Assumption: runs are independent, and the campaigns of each other.
    """
    values = [float(variance.test_set_variance(counts)) for counts in pilots]
    if not all(values):
        return None
    ends = [intervals.test_set_variance_interval(counts, level) for counts in pilots]
    below = math.hypot(*(value - low for value, (low, _) in zip(values, ends, strict=True)))
    above = math.hypot(*(high - value for value, (_, high) in zip(values, ends, strict=True)))
    total, count = sum(values), len(pilots)
    ends_of_mean = ((total - below) / count, (total + above) / count)
    low, high = intervals.below_the_largest(ends_of_mean, total / count)
    return math.sqrt(low), math.sqrt(high)
