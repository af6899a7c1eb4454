"""A comparison with a few planned looks: the boundaries of O'Brien and Fleming, calculated for any number.

At look k of K, z must reach c * sqrt(K / k): nearly out of reach early, nearly that of one look at the end.
Source: O'Brien and Fleming, Biometrics 1979; the recursion is that of Armitage, McPherson and Rowe, Journal
of the Royal Statistical Society A 1969.
"""

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Self

import numpy as np
from scipy.optimize import brentq
from scipy.special import nctdtr, ndtr, ndtri, stdtrit

from airbench_var.analysis.planning import smallest_runs
from airbench_var.analysis.sequential import ALPHA, Look, PairSums, interval_around, refuse_impossible
from airbench_var.errors import UsageError

#: Looks beyond it change the constant in the third digit only; to look after every pair, use the t-mixture.
MOST_LOOKS = 100


@cache
def critical_constant(looks: int, alpha: float) -> float:
    """Return c: under no difference, |z| reaches c * sqrt(K / k) at any of K looks with a chance of alpha."""
    one_look, union_bound = (float(-ndtri(alpha / (2 * k))) for k in (1, looks))
    if looks == 1:
        return one_look
    return float(brentq(lambda c: crossing(looks, c) - alpha, one_look, union_bound, xtol=1e-13))


def crossing(looks: int, constant: float, shift: float = 0.0) -> float:
    """Return the chance that |z| reaches its boundary at any look, when z at the last has mean `shift`.

    With S_k the sum of k standard normals, z_k = S_k / sqrt(k), and the boundary is |S_k| = c * sqrt(K) at
    each look: the density of the S_k that have not crossed is carried from look to look by Gauss-Legendre
    quadrature, whose error is below 1e-12 (it is a smooth integrand on a fixed interval).
    """
    bound, step = constant * math.sqrt(looks), shift / math.sqrt(looks)
    nodes_M, weights_M = np.polynomial.legendre.leggauss(max(64, math.ceil(8 * bound)))
    s_M, weights_M = bound * nodes_M, bound * weights_M
    density_M = _normal(s_M - step)
    carry_MM = _normal(s_M[:, None] - s_M[None, :] - step) * weights_M
    for _ in range(looks - 1):
        density_M = carry_MM @ density_M
    return 1 - float(weights_M @ density_M)


def _normal(x: Any) -> Any:
    return np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def max_runs_for(
    difference: float, std: float, looks: int, *, power: float = 0.8, alpha: float = ALPHA
) -> int:
    """Return the runs per recipe, at most, with which this many looks see the difference with this power.

    The number for one look at the end (a t test of the pairs, exact) times what looking costs (on normal
    theory: 1.028 for five looks). Assumption: both recipes have this std over runs, and normal accuracies.

    Raises: UsageError for values that no number of runs can serve.
    """
    refuse_impossible(alpha, difference, 2)
    if not (0 < std < 1 and alpha < power < 1):
        raise UsageError(f"a std of {std:g} and a power of {power:g} cannot be planned for.")

    def power_of_one_look(pairs: int) -> float:
        shift, critical = difference / std * math.sqrt(pairs / 2), -float(stdtrit(pairs - 1, alpha / 2))
        return 1 - float(nctdtr(pairs - 1, shift, critical)) + float(nctdtr(pairs - 1, shift, -critical))

    inflation = (_shift_for(looks, power, alpha) / _shift_for(1, power, alpha)) ** 2
    return math.ceil(smallest_runs(power_of_one_look, power) * inflation)


def _shift_for(looks: int, power: float, alpha: float) -> float:
    """Return the mean of z at the last look that gives this power."""
    constant = critical_constant(looks, alpha)
    return float(brentq(lambda shift: crossing(looks, constant, shift) - power, 0, 20, xtol=1e-10))


@dataclass(frozen=True, kw_only=True)
class OBrienFleming:
    """Look `looks` times, at equal shares of `max_runs` pairs; the last look is at the pairs there are.

    The boundary of z becomes that of Student's t at the same tail probability, which is approximate. Where
    pairs are left out, looks are closer together than planned, and the error is below alpha. The interval
    is the repeated one, valid at all looks at once. Source: Jennison and Turnbull, "Group Sequential
    Methods", 2000, sections 2.4 and 9.2.
    """

    margin: float
    max_runs: int
    looks: int
    alpha: float = ALPHA

    name = "obrien-fleming"
    statistic = "abs_t"

    def __post_init__(self) -> None:
        refuse_impossible(self.alpha, self.margin, self.max_runs)
        if not 1 <= self.looks <= min(MOST_LOOKS, self.max_runs // 2):
            raise UsageError(
                f"{self.looks} looks at {self.max_runs} pairs cannot be planned: there are 1 to {MOST_LOOKS} "
                "looks, with two more pairs at each. To look after every pair, leave out --looks."
            )

    @property
    def schedule(self) -> tuple[int, ...]:
        """Pairs at each look."""
        return tuple(math.ceil(k * self.max_runs / self.looks) for k in range(1, self.looks + 1))

    def next_look(self, pairs: int) -> int | None:
        """Return the number of pairs at the first planned look after so many."""
        return next((look for look in self.schedule if look > pairs), None)

    def look(self, sums: PairSums, examples: int, *, last: bool = False) -> Look:
        """Return |t| against its boundary, and the repeated confidence interval."""
        k = self.looks if last else self.schedule.index(sums.pairs) + 1
        absent, value, interval, boundary = sums.lacks, None, None, math.inf
        if not absent:
            z = critical_constant(self.looks, self.alpha) * math.sqrt(self.looks / k)
            boundary = -float(stdtrit(sums.pairs - 1, ndtr(-z)))
            value = math.sqrt(sums.total**2 * (sums.pairs - 1) / sums.scatter)
            interval = interval_around(sums, boundary**2 / (sums.pairs - 1), examples)
            absent = "" if interval else "so early a look cannot bound the difference"
        return Look(
            pairs=sums.pairs,
            difference=sums.total / (sums.pairs * examples),
            statistic=value,
            threshold=boundary,
            interval=interval,
            absent=absent,
        )

    def at(self, alpha: float) -> Self:
        """Return the same rule with another alpha."""
        return replace(self, alpha=alpha)

    def to_json(self) -> dict[str, Any]:
        """Return the rule, alpha, margin, max_runs and looks."""
        return {"rule": self.name, **vars(self)}
