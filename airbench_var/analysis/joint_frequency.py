"""How many pairs deviate by 2 % or more in how often both are right: as the paper counts, and by chance.

The paper finds 5 such pairs among those of 10,000 examples. With few runs chance makes many more.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from airbench_var.analysis.hypergeometric import HypergeometricLaws

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

#: The paper's 2 % as one over a whole number, so that the rule is one of integers.
ONE_IN = 50
#: Pairs by chance that the other threshold leaves.
HALF_A_PAIR = 0.5

#: Distinct counts that the search for that threshold tells apart.
_GROUPS = 256
#: What may be left out of an expected number, in pairs.
_NEGLIGIBLE = 1e-6
_PAIRS_PER_BLOCK = 2**18


@dataclass(frozen=True, kw_only=True)
class JointFrequency:
    """Pairs whose frequency of being right together is off the product of frequencies by a threshold."""

    threshold: float  #: a fraction of 1
    pairs: int
    by_chance: float  #: the number that is expected under independence at these counts
    threshold_for_half_a_pair: (
        float | None
    )  #: at which chance gives half a pair; None where all may be chance

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return dict(vars(self))


def least_deviation(R: int) -> int:
    """Return the least |R G - c_i c_j| of a pair that deviates by the rule."""
    return -(-(R**2) // ONE_IN)


def by_rule(c_N: Int64, R: int, pairs: int) -> JointFrequency:
    """Return the rule's number of pairs with what chance makes of it; c_N excludes always and never right.

    The expected number is a sum of hypergeometric tails over all pairs. Those of one number of right answers
    have one law; for the other threshold neighbouring numbers, of 256 groups, share one as well, which moves
    it by less than its last printed digit. Assumption: independent, identically distributed runs.
    """
    laws = HypergeometricLaws(R)
    values_D, numbers_D = np.unique(c_N, return_counts=True)
    return JointFrequency(
        threshold=1 / ONE_IN,
        pairs=pairs,
        by_chance=expected_by_chance(laws, values_D, numbers_D, least_deviation(R)),
        threshold_for_half_a_pair=_threshold(laws, *_grouped(values_D, numbers_D)),
    )


def runs_needed(c_N: Int64, R: int, most: float) -> int | None:
    """Return how many runs leave at most so many pairs to chance: R times a power of two, None above 256 R.

    Assumption: examples keep their frequencies. Few runs show them more extreme than they are, and leave out
    those that would vary among more: an order of magnitude, and no promise.
    """
    values_D, numbers_D = np.unique(c_N, return_counts=True)
    for times in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        laws = HypergeometricLaws(R * times)
        if expected_by_chance(laws, values_D * times, numbers_D, least_deviation(R * times)) <= most:
            return R * times
    return None


def expected_by_chance(laws: HypergeometricLaws, values_D: Int64, numbers_D: Int64, deviation: int) -> float:
    """Return the expected number of pairs with |R G - c_i c_j| >= deviation, which is at least 1.

    numbers_D examples are right in values_D of R runs. Pairs that Bernstein's inequality rules out are left
    out: G is a sum of independent indicators, so P(|G - mean| >= t) <= 2 exp(-t**2 / (2 var + 2 t / 3)).
    """
    R, examples = laws.R, int(numbers_D.sum())
    u_D = (values_D * (R - values_D)).astype(np.float64)  # var G = u u' / (R**2 (R - 1))
    order_D = np.argsort(-u_D, kind="stable")
    values_D, numbers_D, u_D = values_D[order_D], numbers_D[order_D], u_D[order_D]
    t, exponent = deviation / R, math.log(max(examples, 2) ** 2 / _NEGLIGIBLE)
    least_variance = max(0.0, t**2 / (2 * exponent) - t / 3)
    reach_D = np.searchsorted(-u_D, -(least_variance * R**2 * (R - 1)) / u_D, side="right")
    partners_D = np.maximum(reach_D - np.arange(len(u_D)), 0)  # from itself on: each pair once
    ends_D = np.cumsum(partners_D)
    expected, first = 0.0, 0
    while first < len(u_D):
        done = int(ends_D[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends_D, done + _PAIRS_PER_BLOCK, side="right")))
        a_P = np.repeat(np.arange(first, last), partners_D[first:last])
        b_P = a_P + np.arange(done, done + len(a_P)) - (ends_D - partners_D)[a_P]
        twice_P = numbers_D[a_P] * np.where(a_P == b_P, numbers_D[a_P] - 1, 2 * numbers_D[b_P])
        expected += float(twice_P @ laws.deviating(deviation, values_D[a_P], values_D[b_P])) / 2
        first = last
    return expected


def _threshold(laws: HypergeometricLaws, values_D: Int64, numbers_D: Int64) -> float | None:
    """Return the least threshold, to 0.1 %, at which chance gives half a pair at most."""
    low, high = 1, laws.R**2 // 4  # no pair deviates by more
    if expected_by_chance(laws, values_D, numbers_D, high) > HALF_A_PAIR:
        return None
    while high - low > max(1, low // 1000):
        middle = max(low + 1, math.isqrt(low * high))
        if expected_by_chance(laws, values_D, numbers_D, middle) > HALF_A_PAIR:
            low = middle
        else:
            high = middle
    return high / laws.R**2


def _grouped(values_D: Int64, numbers_D: Int64) -> tuple[Int64, Int64]:
    """Return at most so many numbers of right answers, each the mean of its neighbours, rounded."""
    width = -(-int(values_D[-1] - values_D[0] + 1) // _GROUPS)
    group_D = (values_D - values_D[0]) // width
    numbers_G = np.bincount(group_D, numbers_D)
    means_G = np.bincount(group_D, numbers_D * values_D)[numbers_G > 0] / numbers_G[numbers_G > 0]
    return np.rint(means_G).astype(np.int64), numbers_G[numbers_G > 0].astype(np.int64)
