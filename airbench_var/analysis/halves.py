"""Do lucky seeds stay lucky? The two halves of a test set, and the mean over all ways to halve it.

The halves are the examples of even and of odd index, as in the paper; what one split shows depends on it.
Over all balanced splits the mean covariance of the halves is the mean covariance of two examples (Eq 3), so
those means follow from the counts without drawing any split. Source: paper, section 3.1, Fig 2.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from airbench_var.analysis import intervals, variance
from airbench_var.analysis.estimate import NO_SCALE, RUNS, Estimate, Interval, too_few
from airbench_var.stats import CorrectnessCounts

Float64 = npt.NDArray[np.float64]

#: E[z | z in the upper quarter] of a standard normal z.
_QUARTER_GAIN = 4 * math.exp(-(float(ndtri(0.75)) ** 2) / 2) / math.sqrt(2 * math.pi)


def split_half_correlation(counts: CorrectnessCounts, level: float) -> Estimate:
    """Return the correlation over runs of the accuracies on even and odd examples, with Fisher's interval.

    Assumption: accuracies are normal; it fails for rare runs that fail on both halves. Needs R >= 4.
    """
    absent, value, interval = _why_not(counts, 4), None, None
    if not absent:
        even_R, odd_R = _halves(counts)
        value = float(np.corrcoef(even_R, odd_R)[0, 1])
        reach = float(ndtri((1 + level) / 2)) / math.sqrt(counts.R - 3)
        centre = math.atanh(min(max(value, -1 + 1e-15), 1 - 1e-15))
        interval = math.tanh(centre - reach), math.tanh(centre + reach)
    method = "Pearson's correlation of examples of even and odd index; Fisher's z over runs"
    return _estimate("split_half_correlation", counts, level, value, interval, absent, method, is_normal=True)


def split_half_correlation_over_splits(counts: CorrectnessCounts, level: float) -> Estimate:
    """Return the mean covariance of two random halves over their mean variance; needs R >= 2.

    The interval is the image of that of the excess variance, the independent errors taken as known.
    """
    method = "mean covariance over mean variance of all balanced splits"
    return _over_splits("split_half_correlation", counts, level, _correlation, method, is_normal=False)


def lucky_quarter_gain(counts: CorrectnessCounts, level: float) -> Estimate:
    """Return what the best quarter of runs on even examples gains over the mean run on odd ones.

    Runs that tie at the edge of the quarter share its last places. Needs R >= 8.
    """
    absent, value, interval = _why_not(counts, 8), None, None
    if not absent:
        even_R, odd_R = _halves(counts)
        weight_R = _quarter_weights(even_R)
        value = float((weight_R - 1 / counts.R) @ odd_R)
        error = float(np.std(odd_R, ddof=1)) * math.sqrt(float(((weight_R - 1 / counts.R) ** 2).sum()))
        interval = intervals.around(value, error, counts.R - 1, level)
    method = "best quarter by examples of even index, judged on those of odd index; Student's t over runs"
    return _estimate("lucky_quarter_gain", counts, level, value, interval, absent, method, is_normal=False)


def lucky_quarter_gain_over_splits(counts: CorrectnessCounts, level: float) -> Estimate:
    """Return the gain of the best quarter in the mean over all balanced splits.

    It is 1.271 times the covariance of the halves over the standard deviation of one, what the best quarter
    of very many runs gains (of 8 runs: 1.14 times); needs R >= 2. Assumption: accuracies are normal.
    """
    method = "for many runs and the mean of all balanced splits"
    return _over_splits("lucky_quarter_gain", counts, level, _gain, method, is_normal=True)


def _over_splits(
    name: str,
    counts: CorrectnessCounts,
    level: float,
    image: Callable[[CorrectnessCounts, float], float],
    method: str,
    *,
    is_normal: bool,
) -> Estimate:
    """Return what grows with the mean covariance of two examples, as the image of it and of its interval."""
    absent, value, interval = _why_not(counts, 2), None, None
    if not absent:
        value = image(counts, float(variance.distribution_wise_variance(counts)))
        low, high = intervals.excess_variance_interval(counts, level)
        interval = image(counts, low), image(counts, high)
    method += ", from Eq 3; image of the interval of excess_variance"
    name += "_over_splits"
    return _estimate(name, counts, level, value, interval, absent, method, is_normal=is_normal)


def _halves(counts: CorrectnessCounts) -> tuple[Float64, Float64]:
    even = (counts.n + 1) // 2
    return counts.even_R / even, (counts.k_R - counts.even_R) / (counts.n - even)


def _quarter_weights(score_R: Float64) -> Float64:
    """Return weights (R,) that sum to 1: equal for the best quarter, shared by those that tie at its edge."""
    R, places = len(score_R), len(score_R) / 4
    edge = np.sort(score_R)[R - math.ceil(places)]
    above_R, tied_R = score_R > edge, score_R == edge
    rest = (places - np.count_nonzero(above_R)) / np.count_nonzero(tied_R)
    return np.asarray((above_R + rest * tied_R) / places)


def _half_variance(counts: CorrectnessCounts, covariance: float) -> float:
    """Return the mean variance of the accuracy on a random half, for this mean covariance of two examples.

    Above 0 wherever runs differ: the least covariance that an interval names leaves some variance.
    """
    half = counts.n / 2
    own = float(variance.independent_errors_variance(counts)) * counts.n
    return own / half + (1 - 1 / half) * covariance


def _correlation(counts: CorrectnessCounts, covariance: float) -> float:
    return covariance / _half_variance(counts, covariance)


def _gain(counts: CorrectnessCounts, covariance: float) -> float:
    return _QUARTER_GAIN * covariance / math.sqrt(_half_variance(counts, covariance))


def _why_not(counts: CorrectnessCounts, runs: int) -> str:
    if absent := too_few("run", counts.R, runs) or too_few("example", counts.n, 2):
        return absent
    if any(np.ptp(half_R) == 0 for half_R in _halves(counts)):
        return "every run has the same accuracy on one half of the examples"
    return NO_SCALE if variance.test_set_variance(counts) == 0 else ""


def _estimate(
    name: str,
    counts: CorrectnessCounts,
    level: float,
    value: float | None,
    interval: Interval | None,
    absent: str,
    method: str,
    *,
    is_normal: bool,
) -> Estimate:
    return Estimate(
        name=name,
        target="this test set",
        value=value,
        interval=interval,
        level=level,
        absent=absent,
        method=method,
        assumption=f"{RUNS}; accuracies are normal" if is_normal else RUNS,
        runs=counts.R,
        examples=counts.n,
    )
