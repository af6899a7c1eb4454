"""Confidence intervals for the variances, from the same integer counts; O(n + R) each.

Two estimands, never mixed: this test set (infinitely many runs on these examples) and the distribution (the
examples are random too). Assumption throughout: runs are independent and identically distributed.
Resampling examples is no way to the second: two copies of one example look like a pair whose covariance is
its variance, which biases the distribution-wise variance upwards by the whole independent-errors variance.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri, ndtri, stdtrit

from airbench_var.analysis.estimate import Interval
from airbench_var.analysis.variance import (
    distribution_wise_variance,
    independent_errors_variance,
    test_set_variance,
)
from airbench_var.stats import CorrectnessCounts

Float64 = npt.NDArray[np.float64]

#: Of accuracies, which lie between 0 and 1.
LARGEST_VARIANCE = 0.25
#: Below this many runs the kurtosis is too uncertain to narrow an interval: it may only widen it.
_RUNS_FOR_KURTOSIS = 100


def example_variances(counts: CorrectnessCounts) -> Float64:
    """Return the unbiased variance over runs of each example's correctness, (N,); needs R >= 2."""
    return np.asarray(counts.c_N * (counts.R - counts.c_N) / (counts.R * (counts.R - 1)))


def accuracy_standard_errors(counts: CorrectnessCounts) -> Interval:
    """Return the standard errors of the mean accuracy: for this test set, for the distribution; R, n >= 2."""
    of_runs, of_examples = _accuracy_error_parts(counts)
    return math.sqrt(of_runs), math.sqrt(of_runs + of_examples)


def accuracy_interval(counts: CorrectnessCounts, level: float) -> Interval:
    """Return the interval of the mean accuracy on this test set, infinitely many runs; Student's t, R - 1."""
    return share_around(_mean(counts), accuracy_standard_errors(counts)[0], counts.R - 1, level)


def distribution_wise_accuracy_interval(counts: CorrectnessCounts, level: float) -> Interval:
    """Return the interval of the mean accuracy on the distribution; Student's t, Satterthwaite's freedom.

    It is no narrower than that on this test set, which it is about more than: of few runs Satterthwaite's
    freedom is that of the many examples.

    Assumption: examples are independent draws; near-duplicates in a test set make it too narrow.
    """
    of_runs, of_examples = _accuracy_error_parts(counts)
    squares = of_runs**2 / (counts.R - 1) + of_examples**2 / (counts.n - 1)
    freedom = (of_runs + of_examples) ** 2 / squares if squares else counts.R - 1
    fresh = share_around(_mean(counts), accuracy_standard_errors(counts)[1], freedom, level)
    return hull(accuracy_interval(counts, level), fresh)


def accuracy_interval_of_examples(counts: CorrectnessCounts, level: float) -> Interval:
    """Return the interval of the mean accuracy on the distribution that unlimited runs would leave."""
    reach = float(ndtri((1 + level) / 2)) * math.sqrt(_accuracy_error_parts(counts)[1])
    return _mean(counts) - reach, _mean(counts) + reach


def test_set_variance_interval(counts: CorrectnessCounts, level: float) -> Interval:
    """Return the chi-square interval of the test-set variance, with kurtosis-adjusted degrees of freedom.

    The plain R - 1 assumes normal accuracies and covers half of the time when 5 % of the runs fail. Below
    100 runs the wider of both is taken. Limit: rare failures that 50 runs may not show (coverage 0.86).
    """
    return variance_interval(float(test_set_variance(counts)), counts.k_R, level)


def variance_interval(variance: float, k_R: npt.NDArray[np.int64], level: float) -> Interval:
    """Return the same interval of any variance over runs, whose right answers are k_R."""
    freedoms, tail = _freedoms(k_R), (1 - level) / 2
    lows = [nu * variance / float(chdtri(nu, tail)) for nu in freedoms]
    highs = [nu * variance / float(chdtri(nu, 1 - tail)) for nu in freedoms]
    return min(lows), max(highs)


def below_the_largest(interval: Interval, variance: float) -> Interval:
    """Cut an interval of a variance of accuracies where no share has a larger one: no coverage is lost."""
    return interval[0], min(interval[1], max(LARGEST_VARIANCE, variance))


def run_freedoms(counts: CorrectnessCounts) -> list[float]:
    """Return the degrees of freedom of the test-set variance; where there are two, the wider interval counts.

    The one follows from the kurtosis of the accuracies; below 100 runs that of a normal law is taken as well.
    """
    return _freedoms(counts.k_R)


def _freedoms(k_R: npt.NDArray[np.int64]) -> list[float]:
    normal = [len(k_R) - 1.0] if len(k_R) < _RUNS_FOR_KURTOSIS else []
    return [_kurtosis_freedom(k_R), *normal]


def independent_errors_interval(counts: CorrectnessCounts, level: float) -> Interval:
    """Return the interval of the independent-errors variance of this test set; Student's t, R - 1.

    The influence of run r is sum_i C_ri (1 - 2 p_i). Its variance would need all pairs of examples; here it
    is the part explained by k_r, exactly, plus independent residuals. The last term is what remains of a
    U-statistic when influences vanish (R = 2). Assumption: one common run effect.
    """
    R, n = counts.R, counts.n
    v_N, p_N = example_variances(counts), counts.c_N / R
    k_variance = float(test_set_variance(counts)) * n**2
    slope = float(p_N @ _covariances_with_k(counts)) / k_variance if k_variance else 0.0
    influence_variance = (1 - 2 * slope) ** 2 * k_variance + 4 * float(v_N @ (p_N - slope) ** 2)
    standard_error = math.sqrt(influence_variance / R + 2 * float(v_N @ v_N) / (R * (R - 1))) / n**2
    return around(float(independent_errors_variance(counts)), standard_error, R - 1, level)


def binomial_interval(counts: CorrectnessCounts, level: float) -> Interval:
    """Return the interval of p (1 - p) / n, the image of the interval of the mean accuracy p."""
    low, high = accuracy_interval(counts, level)
    ends = [p * (1 - p) / counts.n for p in (low, high)]
    return min(ends), 0.25 / counts.n if low < 0.5 < high else max(ends)


def excess_variance_interval(counts: CorrectnessCounts, level: float) -> Interval:
    """Return the interval of the mean covariance over pairs of examples of this test set; needs n >= 2.

    The independent-errors variance is taken as known: its relative error is far below that of the variance.
    """
    low, high = test_set_variance_interval(counts, level)
    independent, scale = float(independent_errors_variance(counts)), counts.n / (counts.n - 1)
    return scale * (low - independent), scale * (high - independent)


def distribution_wise_variance_interval(counts: CorrectnessCounts, level: float) -> Interval:
    """Return the interval of the distribution-wise variance: runs and examples both vary; needs n >= 2.

    The interval of the runs and that of the examples are combined by the distances of their ends from the
    estimate (MOVER). Source: Zou and Donner, Statistics in Medicine 2008. Assumption: examples are
    independent draws; squared pairwise covariances are left out (they matter beyond some 10,000 runs).
    """
    estimate = float(distribution_wise_variance(counts))
    low, high = excess_variance_interval(counts, level)
    example_low, example_high = variance_interval_of_examples(counts, level)
    return (
        estimate - math.hypot(estimate - low, estimate - example_low),
        estimate + math.hypot(high - estimate, example_high - estimate),
    )


def variance_interval_of_examples(counts: CorrectnessCounts, level: float) -> Interval:
    """Return the interval of the distribution-wise variance that unlimited runs would leave; needs n >= 2.

    Assumption: examples are independent draws; normal, where the estimate is large as a standard deviation.
    """
    estimate = float(distribution_wise_variance(counts))
    reach = float(ndtri((1 + level) / 2)) * math.sqrt(_example_part(counts))
    if estimate > reach:  # on the scale of the standard deviation, where the example part is closer to normal
        root, half = math.sqrt(estimate), reach / (2 * math.sqrt(estimate))
        return (root - half) ** 2, (root + half) ** 2
    return estimate - reach, estimate + reach


def _mean(counts: CorrectnessCounts) -> float:
    return counts.S1 / (counts.n * counts.R)


def wilson(share: float, n: int, level: float) -> Interval:
    """Return Wilson's score interval of a share of n. Source: Wilson, JASA 1927."""
    z2 = float(ndtri((1 + level) / 2)) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return max(0.0, centre - reach), min(1.0, centre + reach)


def hull(a: Interval, b: Interval) -> Interval:
    """Return the smallest interval that holds both."""
    return min(a[0], b[0]), max(a[1], b[1])


def around(value: float, standard_error: float, freedom: float, level: float) -> Interval:
    """Return the interval of Student's t around a value."""
    reach = float(stdtrit(freedom, (1 + level) / 2)) * standard_error
    return value - reach, value + reach


def share_around(value: float, standard_error: float, freedom: float, level: float) -> Interval:
    """Return the interval of Student's t around a share of 1, as an accuracy is, within 0 and 1."""
    low, high = around(value, standard_error, freedom, level)
    return max(0.0, low), min(1.0, high)  # no share lies outside, so this loses no coverage


def _accuracy_error_parts(counts: CorrectnessCounts) -> Interval:
    """Return the parts of the mean accuracy's squared standard error that are due to runs and to examples."""
    R, n = counts.R, counts.n
    between = float(np.var(counts.c_N / R, ddof=1)) - float(example_variances(counts).mean()) / R
    return float(test_set_variance(counts)) / R, max(0.0, between) / n


def _kurtosis_freedom(k_R: npt.NDArray[np.int64]) -> float:
    """Return 2 E(s^2)^2 / Var(s^2) with the unbiased excess kurtosis of k; R - 1 for a normal law."""
    R = len(k_R)
    centred_R = k_R - k_R.mean()
    square = float(np.mean(centred_R**2))
    if R < 4 or square == 0:
        return R - 1
    excess = float(np.mean(centred_R**4)) / square**2 - 3
    unbiased = (R - 1) / ((R - 2) * (R - 3)) * ((R + 1) * excess + 6)
    spread = 3 + unbiased - (R - 3) / (R - 1)
    return min(max(2 * R / spread, 2.0), 10.0 * R) if spread > 0 else 10.0 * R


def _covariances_with_k(counts: CorrectnessCounts) -> Float64:
    """Return the covariance over runs of each example's correctness with k_r, (N,)."""
    return np.asarray((counts.h_N - counts.c_N * (counts.S1 / counts.R)) / (counts.R - 1))


def _example_part(counts: CorrectnessCounts) -> float:
    """Return the variance of the estimate that comes from which examples were drawn; at least 0.

    It is 4 / n times the variance over examples of their mean covariance with the others, less the noise
    that finite R adds to those means.
    """
    R, n = counts.R, counts.n
    centre = counts.S1 / R
    q_N = counts.c_N / R
    first_N = counts.h_N - centre * counts.c_N  # sum_r C_ri (k_r - centre), and with the square:
    second_N = counts.h2_N - 2 * centre * counts.h_N + centre**2 * counts.c_N
    squares = counts.S2 - counts.S1 * centre
    mean_covariance_N = (_covariances_with_k(counts) - example_variances(counts)) / (n - 1)
    noise_N = ((second_N * (1 - 2 * q_N) + q_N**2 * squares) / R - (first_N / R) ** 2) / (
        (R - 1) * (n - 1) ** 2
    )
    return max(0.0, 4 / n * (float(np.var(mean_covariance_N, ddof=1)) - float(noise_N.mean())))
