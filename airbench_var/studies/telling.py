"""How many runs would tell what these cannot: an extrapolation, if values stay where they are.

Of an interval the part of the runs narrows with the root of their number; what the choice of examples adds
stays, however many runs there are, and narrows with the root of the number of examples.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from airbench_var.analysis import Estimate

#: Up to so many times the runs, or the examples, are asked about.
MOST_TIMES = 1e9
_HALVINGS = 100  # of a factor from 1 to 1e9: far below one run


@dataclass(frozen=True, kw_only=True)
class Needed:
    """What it takes to tell: so many runs, or, where no number of runs would do, so many examples."""

    runs: int | None = None
    examples: int | None = None


def narrowed(estimate: Estimate, runs_times: float, examples_times: float = 1.0) -> Estimate:
    """Return the estimate as it would be of so many times the runs and examples, if its value stays.

    Assumption: both parts of the interval are independent, so that their reaches add by squares. It fails for
    an interval that ends where the value can be no lower. Of an estimate of the distribution whose part of
    examples is not known, nothing is narrowed.
    """
    kept = estimate.interval_with_unlimited_runs
    if estimate.value is None or estimate.interval is None or kept is None:
        return estimate
    ends = []
    for sign, end, kept_end in zip((-1, 1), estimate.interval, kept, strict=True):
        of_examples = abs(kept_end - estimate.value)
        of_runs = math.sqrt(max(0.0, (end - estimate.value) ** 2 - of_examples**2))
        reach = math.hypot(of_runs / math.sqrt(runs_times), of_examples / math.sqrt(examples_times))
        ends.append(estimate.value + sign * reach)
    return replace(estimate, interval=(ends[0], ends[1]))


def needed(is_told: Callable[..., bool], *estimates: Estimate) -> Needed:
    """Return what it would take until `is_told`, of estimates with narrower intervals, is true.

    Runs are those of the estimate with the fewest; nothing where no narrower interval would tell.
    """

    def told(runs_times: float, examples_times: float = 1.0) -> bool:
        return is_told(*(narrowed(one, runs_times, examples_times) for one in estimates))

    if told(MOST_TIMES):
        runs = min(one.runs if isinstance(one.runs, int) else min(one.runs) for one in estimates)
        return Needed(runs=math.ceil(runs * _least(told)))
    if told(math.inf, MOST_TIMES):
        times = _least(lambda times: told(math.inf, times))
        return Needed(examples=math.ceil(min(one.examples for one in estimates) * times))
    return Needed()


def _least(told: Callable[[float], bool]) -> float:
    """Return the smallest factor that tells, by halving its logarithm: all larger ones tell as well."""
    low, high = 0.0, math.log(MOST_TIMES)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if told(math.exp(middle)) else (middle, high)
    return math.exp(high)
