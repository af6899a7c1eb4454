"""Is A better than B, decided while the runs come in: evidence that may be looked at after every pair.

The t-th difference x_t is the accuracy of A's t-th run less that of B's. Under "no difference", whatever the
std, E_t exceeds 1 / alpha at any time with a chance of alpha at most, so that training may stop at the first
pair that says so. The confidence sequence inverts E exactly: it contains the true difference at all times at
once, with a chance of 1 - alpha.

Assumption: differences are independent and normal with one mean. Rare failing runs (5 %, far below) leave
the error of a comparison below alpha, as both arms have them (measured 0.022 at 0.05).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from airbench_var.analysis.estimate import Interval
from airbench_var.errors import UsageError

Decision = Literal["A is better", "B is better", "equivalent", "undecided"]
Floats = TypeVar("Floats", float, npt.NDArray[np.float64])

#: The chance, at most, of any wrong decision.
ALPHA = 0.05

#: The mixture without a std: differences of 3 to 100 % of the std of one difference are looked for.
SCALE_FREE_G = (0.001, 0.01, 0.1, 1.0)

#: A ratio that no pairs reach.
_OUT_OF_REACH = 1e100


class PairSums(NamedTuple):
    """Sums over pairs of the difference in right answers, as integers: nothing depends on their order."""

    pairs: int = 0
    total: int = 0
    squares: int = 0

    def plus(self, difference: int) -> "PairSums":
        """Return the sums with one more pair."""
        return PairSums(self.pairs + 1, self.total + difference, self.squares + difference**2)

    @property
    def scatter(self) -> int:
        """pairs**2 times the mean squared deviation."""
        return self.pairs * self.squares - self.total**2

    @property
    def lacks(self) -> str:
        """Why these pairs have no t statistic, or ''."""
        if self.pairs < 2:
            return "a spread needs two pairs at least"
        return "" if self.scatter else "all differences are equal, which leaves no scale"


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the pairs say at a moment when the rule looks at them; accuracies are fractions."""

    pairs: int
    difference: float  #: mean, A minus B
    statistic: float | None  #: log E or |t|, as the rule says
    threshold: float  #: the statistic that shows a difference; infinite where none would
    interval: Interval | None  #: of the true difference, valid at all looks at once
    absent: str = ""  #: why there is no statistic, or no interval

    def decision(self, margin: float) -> Decision | None:
        """Return what is decided here: a direction, a difference below the margin, or nothing yet."""
        if self.statistic is not None and self.statistic >= self.threshold:
            return "A is better" if self.difference > 0 else "B is better"
        if self.interval is not None and -margin < self.interval[0] and self.interval[1] < margin:
            return "equivalent"
        return None


class Rule(Protocol):
    """When to look at the pairs, and what they must show; fixed before the first run."""

    @property
    def name(self) -> str:
        """What it is called in files."""

    @property
    def statistic(self) -> str:
        """What a look calculates."""

    @property
    def alpha(self) -> float:
        """The chance, at most, of any wrong decision, over all looks together."""

    @property
    def margin(self) -> float:
        """The difference in mean accuracy that is worth detecting; what is smaller counts as none."""

    @property
    def max_runs(self) -> int:
        """Runs of each recipe, at most."""

    def next_look(self, pairs: int) -> int | None:
        """Return the number of pairs at the first look after so many; None when there is none."""

    def look(self, sums: PairSums, examples: int, *, last: bool = False) -> Look:
        """Return what these pairs say; `last` when no more will come."""

    def at(self, alpha: float) -> Self:
        """Return the same rule with another alpha."""

    def to_json(self) -> dict[str, Any]:
        """Return all that a decision depends on besides the runs."""


def log_e(pairs: Floats, ratio: Floats, g: Sequence[float]) -> Floats:
    """Return log E_t of t >= 2 pairs from T**2 / (t - 1), with T Student's statistic of their mean.

    E is the likelihood of T under a mixture over the standardised difference (normal of mean 0 and variance
    g, or the average of several), relative to no difference: a martingale under the latter for any g that is
    fixed before, so that Ville's inequality holds; only power depends on g. Assumption: independent normal
    differences. Source: Robbins, Annals of Mathematical Statistics 1970 (mixtures); Wang and Ramdas, arXiv
    2310.03722 (with unknown variance).
    """
    parts = [_log_e(pairs, ratio, variance) for variance in g]
    value: Floats = np.logaddexp.reduce(parts, axis=0) - math.log(len(g))
    return value


def _log_e(pairs: Floats, ratio: Floats, g: float) -> Floats:
    scale = 1 + pairs * g
    value: Floats = pairs / 2 * (np.log1p(ratio) - np.log1p(ratio / scale)) - np.log(scale) / 2
    return value


def ratio_at(pairs: int, g: Sequence[float], alpha: float) -> float:
    """Return the T**2 / (t - 1) at which E is 1 / alpha; infinite where few pairs can show nothing."""
    low = min(_ratio_at(pairs, variance, alpha) for variance in g)
    if len(g) == 1 or low == math.inf:  # an average is 1 / alpha only where one of them is that or more
        return low

    def excess(log_ratio: float) -> float:
        return float(log_e(float(pairs), math.exp(log_ratio), g)) + math.log(alpha)

    high = low
    while excess(math.log(high)) < 0:
        high *= 4
        if high > _OUT_OF_REACH:
            return math.inf
    return math.exp(float(brentq(excess, math.log(low), math.log(high), xtol=1e-15)))


def _ratio_at(pairs: int, g: float, alpha: float) -> float:
    log_scale = math.log1p(pairs * g)
    log_root = (log_scale - 2 * math.log(alpha)) / pairs
    return math.expm1(log_root) / -math.expm1(log_root - log_scale) if log_root < log_scale else math.inf


def interval_around(sums: PairSums, ratio: float, examples: int) -> Interval | None:
    """Return the differences in accuracy with T**2 / (t - 1) up to this ratio; None where it is infinite."""
    if not math.isfinite(ratio):
        return None
    reach, scale = math.sqrt(ratio * sums.scatter), sums.pairs * examples
    return (sums.total - reach) / scale, (sums.total + reach) / scale


@dataclass(frozen=True, kw_only=True)
class TMixture:
    """Look after every pair at the t-mixture e-process; see `log_e`."""

    margin: float
    max_runs: int
    g: tuple[float, ...] = SCALE_FREE_G
    alpha: float = ALPHA

    name = "t-mixture"
    statistic = "log_e"

    def __post_init__(self) -> None:
        refuse_impossible(self.alpha, self.margin, self.max_runs)
        if not (self.g and all(math.isfinite(g) and g > 0 for g in self.g)):
            raise UsageError(f"a mixture of variances {self.g} finds nothing: each must be above 0.")

    def next_look(self, pairs: int) -> int | None:
        """Return one pair more."""
        return pairs + 1

    def look(self, sums: PairSums, examples: int, *, last: bool = False) -> Look:
        """Return log E against log 1 / alpha, and the confidence sequence."""
        absent, value, interval = sums.lacks, None, None
        if not absent:
            value = float(log_e(float(sums.pairs), sums.total**2 / sums.scatter, self.g))
            interval = interval_around(sums, ratio_at(sums.pairs, self.g, self.alpha), examples)
            absent = "" if interval else "so few pairs cannot bound the difference"
        return Look(
            pairs=sums.pairs,
            difference=sums.total / (sums.pairs * examples),
            statistic=value,
            threshold=-math.log(self.alpha),
            interval=interval,
            absent=absent,
        )

    def at(self, alpha: float) -> Self:
        """Return the same rule with another alpha."""
        return replace(self, alpha=alpha)

    def to_json(self) -> dict[str, Any]:
        """Return the rule, alpha, margin, max_runs and g."""
        return {"rule": self.name, **vars(self), "g": list(self.g)}


def g_for(margin: float, std: float | None) -> tuple[float, ...]:
    """Return the g that finds a difference of `margin` soonest, given the std over runs of one recipe.

    It must be known before the first run, so it is never taken from the runs. Without a std it is an average
    over four scales, which takes 12 to 26 % more runs than the right one would, where the difference is 2 to
    100 % of the std of a pair's. A std that is wrong by a factor of 2 costs up to 17 %.

    Raises: UsageError for a std that is not between 0 and 1.
    """
    if std is None:
        return SCALE_FREE_G
    if not 0 < std < 1:
        raise UsageError(f"a std of {std:g} cannot be planned for: it lies between 0 and 1 (0 and 100 %).")
    return (margin**2 / (2 * std**2),)


def refuse_impossible(alpha: float, margin: float, max_runs: int) -> None:
    """Raise UsageError for a rule that cannot be followed."""
    if not (0 < alpha <= 0.5 and 0 < margin < 1 and max_runs >= 2):
        raise UsageError(
            f"a comparison at alpha {alpha:g} with a margin of {margin:g} and {max_runs} runs at most cannot "
            "be made: alpha is above 0 and at most 0.5, the margin between 0 and 1, the runs 2 or more."
        )


class Course:
    """A rule on its way through the pairs: how they are cut into batches changes no bit of it."""

    def __init__(self, rule: Rule, examples: int) -> None:
        self.rule, self.examples = rule, examples
        self.sums = PairSums()  #: up to the decision
        self.looks: list[Look] = []
        self.decision: Decision | None = None  #: None while pairs may still come
        self._looked_at: tuple[PairSums, bool] | None = None

    def extend(self, differences: Iterable[int]) -> None:
        """Take the next pairs: right answers of A's run less those of B's, in the order of run ids.

        Those after the decision are not looked at.
        """
        for difference in differences:
            if self.decision:
                return
            self.sums = self.sums.plus(difference)
            if self.rule.next_look(self.sums.pairs - 1) == self.sums.pairs:
                self._look(last=False)

    def finish(self) -> None:
        """Take note that no more pairs will come: what is not decided then is undecided."""
        if self.decision is None:
            if self.sums.pairs:
                self._look(last=True)
            self.decision = self.decision or "undecided"

    def interval(self, alpha: float) -> Interval | None:
        """Return the interval of the last look for another alpha, to share an error with something else."""
        if self._looked_at is None:
            return None
        sums, last = self._looked_at
        return self.rule.at(alpha).look(sums, self.examples, last=last).interval

    def _look(self, *, last: bool) -> None:
        look = self.rule.look(self.sums, self.examples, last=last)
        if not self.looks or look != self.looks[-1]:  # the last may have been made already
            self.looks.append(look)
        self._looked_at = self.sums, last
        self.decision = look.decision(self.rule.margin)

    def path(self) -> dict[str, list[Any]]:
        """Return pairs and statistic of every look, in order; None where there is none."""
        return {
            "pairs": [look.pairs for look in self.looks],
            self.rule.statistic: [look.statistic for look in self.looks],
        }
