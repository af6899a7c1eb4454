"""Do errors of examples go together, whatever the sign? The mean squared covariance over all pairs.

The distribution-wise variance is the mean covariance, to which positive and negative ones add up to nothing.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import perm
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from airbench_var.analysis.independence import ASSUMPTION, LEAST_VARIANCE, HypothesisTest, why_too_few_errors

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SquaredCovariance:
    """The mean of cov**2 over pairs of distinct examples, on accuracies as fractions of 1."""

    mean: float
    by_chance: float  #: its exact mean under independence, given how often each example is right
    excess: float  #: the difference: 0 on average if errors are independent
    test: HypothesisTest

    def to_json(self) -> dict[str, Any]:
        """Return mean, by_chance, excess, and test (see its `to_json`)."""
        return {**vars(self), "test": self.test.to_json()}


def squared_covariance(c_N: Int64, R: int, sum_of_squares: int) -> SquaredCovariance:
    """Return the mean squared covariance of n >= 2 examples, right in c_N of R >= 2 runs, with its test.

    sum_of_squares: of R G_ij - c_i c_j over pairs i < j, where G_ij runs are right on both; at least two
    examples are neither always nor never right. Given the counts the mean and the variance under independence
    are exact, because deviations of two pairs are independent even when they share an example; a chi-square
    law is matched to them. Source: paper, Definition 1.
    """
    n = len(c_N)
    chance = _under_independence(c_N, R)
    total = Fraction(2 * sum_of_squares, R**2)
    scale = (R - 1) ** 2 * n * (n - 1)
    p_value, absent = None, ""
    if not chance.variance:
        absent = "with so few runs or examples it has one value only"
    elif sum(c * (R - c) for c in c_N.tolist()) < LEAST_VARIANCE * R * (R - 1):
        absent = why_too_few_errors()
    else:
        freedom = 2 * chance.spread**2 / chance.variance
        p_value = float(chdtrc(float(freedom), float(freedom * (1 + (total - chance.mean) / chance.spread))))
    return SquaredCovariance(
        mean=float(total / scale),
        by_chance=float(chance.mean / scale),
        excess=float((total - chance.mean) / scale),
        test=HypothesisTest(
            name="squared_covariance",
            null="errors are independent, so that the ratio to the mean by chance is 1; larger is against it",
            statistic=float(total / chance.mean),
            p_value=p_value,
            method="chi-square with the exact mean and variance of the null, given the counts of examples",
            assumption=ASSUMPTION,
            absent=absent,
        ),
    )


@dataclass(frozen=True)
class _Chance:
    """Of the sum over ordered pairs of T**2, T = G - c_i c_j / R, when every column is shuffled by itself."""

    mean: Fraction
    variance: Fraction
    spread: Fraction  #: the mean of the squared norm to which the sum belongs


def _under_independence(c_N: Int64, R: int) -> _Chance:
    """Return mean and variance of the sum from the exact moments of a permutation statistic.

    With x_r a centred column, s2 = sum x**2 = u / R and s4 = sum x**4 = (R**2 u - 3 u**2) / R**3 for
    u = c (R - c). E T**2 = s2 s2' / (R - 1), and E T**4 adds, over the ways in which four runs can coincide,
    the augmented symmetric sum of x times that of y over the number of choices.

    The sum is the squared norm of sum_i (x_i x_i' - its mean), less the squared norms of the terms, which the
    counts fix; the mean of that norm is what makes a chi-square law of it.
    """
    u_N = [c * (R - c) for c in c_N.tolist()]
    u1, u2, u3, u4 = (sum(u**power for u in u_N) for power in (1, 2, 3, 4))
    # s4 and s2**2 of every column, times R**3, and the sums of their products over columns.
    sums = (R**2 * u1 - 3 * u2, R * u2)
    products = (R**4 * u2 - 6 * R**2 * u3 + 9 * u4, R**3 * u3 - 3 * R * u4, R**2 * u4)

    def over_pairs(a: int, b: int) -> int:
        """Return the sum over i != j of f_i f_j, where f = a s4 + b s2**2."""
        square = a**2 * products[0] + 2 * a * b * products[1] + b**2 * products[2]
        return int((a * sums[0] + b * sums[1]) ** 2 - square)

    #: Runs that coincide: ways, distinct runs, the augmented sum of a centred column in s4 and s2**2.
    patterns = ((1, 1, 1, 0), (4, 2, -1, 0), (3, 2, -1, 1), (6, 3, 2, -1), (1, 4, -6, 3))
    fourth = sum(
        (Fraction(ways * over_pairs(a, b), perm(R, runs)) for ways, runs, a, b in patterns if runs <= R),
        Fraction(0),
    )
    squared_second = Fraction(u2**2 - u4, R**4 * (R - 1) ** 2)
    return _Chance(
        mean=Fraction(u1**2 - u2, R**2 * (R - 1)),
        variance=2 * (fourth / R**6 - squared_second),
        spread=Fraction(u2 * (R - 2), R**2 * (R - 1)),
    )
