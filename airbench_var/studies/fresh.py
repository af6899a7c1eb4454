"""What runs do on fresh examples: how much they differ, what luck is worth, whether intervals hold it."""

import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from airbench_var.analysis import Estimate, intervals
from airbench_var.analysis.estimate import NO_SCALE, RUNS, too_few
from airbench_var.analysis.summary import LEVEL
from airbench_var.stats import CorrectnessCounts
from airbench_var.studies.arms import Trained
from airbench_var.studies.test_bed import Float64, cut

#: Runs and examples of one interval whose coverage is counted.
GROUP_RUNS, GROUP_EXAMPLES = 20, 1000
#: The share of runs that are called lucky.
LUCKY = 0.01
#: Test sets of fresh examples that measure every run; they share no example.
STREAMS = ("fresh-5", "fresh-6")


def measured(one: Trained) -> Estimate:
    """Return the variance of runs on the distribution, measured on two streams; needs R >= 2.

    The covariance over runs of the accuracies on both: without bias, as the streams share no example, and
    with no part of Eq 3. Normal theory for its error, which is that of the runs and of finite streams.
    """
    a_R, b_R = (accuracies(one, name) for name in STREAMS)
    R, covariance = len(a_R), np.cov(a_R, b_R)
    value = float(covariance[0, 1])
    error = math.sqrt((covariance[0, 0] * covariance[1, 1] + value**2) / (R - 1))
    reach = float(ndtri((1 + LEVEL) / 2)) * error
    return Estimate(
        name="measured_variance",
        target="the distribution",
        value=value,
        interval=(value - reach, value + reach),
        level=LEVEL,
        standard_errors={"distribution": error},
        method="covariance over runs of the accuracies on two streams of fresh examples; normal theory",
        assumption=f"{RUNS}; accuracies are normal",
        runs=R,
        examples=fresh_examples(one),
    )


def accuracies(one: Trained, test_set: str) -> Float64:
    """Return the accuracy of each run on a test set, (R,)."""
    counts = one.state_of(test_set).correct
    return np.asarray(counts.k_R / counts.n)


def fresh_accuracies(one: Trained) -> Float64:
    """Return the mean of each run's accuracies on both streams, (R,)."""
    return np.asarray(np.mean([accuracies(one, name) for name in STREAMS], axis=0))


def fresh_examples(one: Trained) -> int:
    """Return how many fresh examples both streams have."""
    return sum(one.state_of(name).correct.n for name in STREAMS)


def coverage(one: Trained) -> tuple[int, int]:
    """Return how many intervals from few runs and examples hold the measured variance, and of how many."""
    value = measured(one).value
    assert value is not None
    correct_RN = one.correct_RN(STREAMS[1])
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


def lucky(one: Trained) -> npt.NDArray[np.int64]:
    """Return the places of the runs that are best on the test set: 1 % of them, and at least two."""
    here_R = accuracies(one, one.store.test_sets[0])
    return np.argsort(-here_R, kind="stable")[: max(2, round(LUCKY * len(here_R)))]


def gain_here(one: Trained) -> float:
    """Return what the lucky runs gain over all on the test set that they were chosen by."""
    here_R = accuracies(one, one.store.test_sets[0])
    return float(here_R[lucky(one)].mean() - here_R.mean())


def gain_on_fresh(one: Trained) -> Estimate:
    """Return what the lucky runs gain over all on fresh examples, for runs of these test-set accuracies.

    What the test set foretells of the runs chosen by it is the gain itself and no error: chance is what it
    does not foretell. So the standard error is that of the mean residual of m runs out of R, about the
    regression of fresh on test-set accuracies; with the spread of the fresh accuracies in its place, gain
    would count as chance. Student's t, R - 2. Needs R >= 3, and accuracies on the test set that vary.
    Assumption: residuals are normal, of one spread about a line; it matters where m is small.
    """
    here_R, fresh_R, best_m = accuracies(one, one.store.test_sets[0]), fresh_accuracies(one), lucky(one)
    R, m = len(here_R), len(best_m)
    value = float(fresh_R[best_m].mean() - fresh_R.mean())
    absent, interval, standard_errors = too_few("run", R, 3), None, {}
    if not absent and np.ptp(here_R) == 0:
        absent = NO_SCALE
    if not absent:
        apart_R = here_R - here_R.mean()
        slope = float(apart_R @ fresh_R) / float(apart_R @ apart_R)
        residual_R = fresh_R - fresh_R.mean() - slope * apart_R
        error = math.sqrt(float(residual_R @ residual_R) / (R - 2) * (1 / m - 1 / R))
        interval, standard_errors = intervals.around(value, error, R - 2, LEVEL), {"distribution": error}
    return Estimate(
        name="lucky_gain_on_fresh",
        target="the distribution",
        value=value,
        interval=interval,
        level=LEVEL,
        absent=absent,
        standard_errors=standard_errors,
        method=f"mean of the best {m} runs on the test set less that of all, on fresh examples; Student's t "
        "over the residuals about the regression on test-set accuracies, which are given",
        assumption=f"{RUNS}; residuals are normal, of one spread about a line",
        runs=R,
        examples=fresh_examples(one),
    )
