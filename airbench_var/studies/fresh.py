"""What runs do on fresh examples: how much they differ, what luck is worth, whether intervals hold it."""

import math

import numpy as np
from scipy.special import stdtrit

from airbench_var.analysis import intervals
from airbench_var.analysis.summary import LEVEL
from airbench_var.stats import CorrectnessCounts
from airbench_var.studies.arms import Trained
from airbench_var.studies.test_bed import Float64, cut

#: Runs and examples of one interval whose coverage is counted.
GROUP_RUNS, GROUP_EXAMPLES = 20, 1000
#: The share of runs that are called lucky.
LUCKY = 0.01


def measured(one: Trained) -> tuple[float, float]:
    """Return the variance of runs on the distribution, measured on two streams, and its standard error.

    The covariance over runs of the accuracies on both; normal theory for its error.
    """
    a_R, b_R = (accuracies(one, name) for name in ("fresh-5", "fresh-6"))
    covariance = np.cov(a_R, b_R)
    value = float(covariance[0, 1])
    return value, math.sqrt((covariance[0, 0] * covariance[1, 1] + value**2) / (len(a_R) - 1))


def accuracies(one: Trained, test_set: str) -> Float64:
    """Return the accuracy of each run on a test set, (R,)."""
    counts = one.state_of(test_set).correct
    return np.asarray(counts.k_R / counts.n)


def coverage(one: Trained) -> tuple[int, int]:
    """Return how many intervals from few runs and examples hold the measured variance, and of how many."""
    value, _ = measured(one)
    correct_RN = one.correct_RN("fresh-6")
    inside = tried = 0
    for start in range(0, len(correct_RN) - GROUP_RUNS + 1, GROUP_RUNS):
        sets_RMN = cut(correct_RN[start : start + GROUP_RUNS], GROUP_EXAMPLES)
        for place in range(sets_RMN.shape[1]):
            packed_RB = np.packbits(sets_RMN[:, place], axis=1, bitorder="little")
            counts = CorrectnessCounts.of(GROUP_EXAMPLES, "fresh", np.arange(GROUP_RUNS), packed_RB)
            low, high = intervals.distribution_wise_variance_interval(counts, LEVEL)
            inside += low <= value <= high
            tried += 1
    return inside, tried


def lucky_runs(R: int) -> int:
    """Return how many of R runs are called lucky: 1 %, and at least two."""
    return max(2, round(LUCKY * R))


def gains(one: Trained) -> dict[str, tuple[float, float, float]]:
    """Return what the lucky runs gain over all on the test set they were chosen by, and on fresh examples."""
    here_R = accuracies(one, one.store.test_sets[0])
    fresh_R = (accuracies(one, "fresh-5") + accuracies(one, "fresh-6")) / 2
    m, R = lucky_runs(len(here_R)), len(here_R)
    best_m = np.argsort(-here_R, kind="stable")[:m]
    found = {}
    for name, values_R in (("lucky_gain_on_test_set", here_R), ("lucky_gain_on_fresh", fresh_R)):
        gain = float(values_R[best_m].mean() - values_R.mean())
        error = float(values_R.std(ddof=1)) * math.sqrt(1 / m - 1 / R)
        reach = float(stdtrit(R - 1, (1 + LEVEL) / 2)) * error
        found[name] = (gain, gain - reach, gain + reach)
    return found
