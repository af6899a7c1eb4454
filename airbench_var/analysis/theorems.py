"""The paper's Theorems 3 and 4: is the variance over runs what the error says it is?

Theorem 3 is about binary tasks; two groups of classes make one, in 2**(K - 1) - 1 ways.

Axis letters: T tasks (511 for ten classes), K classes, P unordered pairs of classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from airbench_var.analysis import intervals, variance
from airbench_var.analysis.estimate import NO_SCALE, RUNS, Estimate, too_few
from airbench_var.analysis.jackknife import estimate_over_chunks
from airbench_var.stats import CorrectnessCounts, PredictionCounts

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Collapses:
    """For every binary task: its error, its variances over runs, and the error that the theorem makes.

    `variance_T` = `predicted_T` + `calibration_T` + (1 - 1/n) `distribution_wise_variance_T`, exactly: what
    the theorem predicts from the error alone, what the ensemble's calibration adds, and what is real.
    """

    examples: int
    runs: int
    positive_TK: npt.NDArray[np.bool_]  #: the classes on the side of class 0
    error_T: Float64
    variance_T: Float64  #: test-set variance of the accuracy
    independent_errors_variance_T: Float64
    distribution_wise_variance_T: Float64

    @property
    def predicted_T(self) -> Float64:
        """err / (2 n). Source: paper, Theorem 3 and Eq 6."""
        return self.error_T / (2 * self.examples)

    @property
    def binomial_T(self) -> Float64:
        """err (1 - err) / n, the prediction if all examples were equally hard. Source: paper, Fig 6."""
        return self.error_T * (1 - self.error_T) / self.examples

    @property
    def calibration_T(self) -> Float64:
        """Disagreement less error, over 2 n: 0 when the ensemble is calibrated on the task."""
        return self.independent_errors_variance_T - self.predicted_T

    @cached_property
    def fit(self) -> dict[str, float]:
        """How well err / (2 n) predicts, on variances and on standard deviations: the paper says R^2 = 0.996.

        `r_squared`: one less the squared distance over that of the mean; `times_closer`: the mean squared
        distance of the binomial law over ours. The tasks share their data, so no interval follows from their
        number; R runs alone leave a relative error of sqrt(2 / R) in each variance.
        """
        found: dict[str, float] = {}
        for scale, root in (("variance", np.asarray), ("std", np.sqrt)):
            observed, ours, theirs = (
                root(values) for values in (self.variance_T, self.predicted_T, self.binomial_T)
            )
            distance = float(np.mean((observed - ours) ** 2))
            spread = float(np.var(observed))
            found[f"r_squared_{scale}"] = 1 - distance / spread if spread else math.nan
            other = float(np.mean((observed - theirs) ** 2))
            found[f"times_closer_{scale}"] = other / distance if distance else math.inf
        return found

    def to_json(self) -> dict[str, Any]:
        """Return tasks, the means over them, and the fit; what is not finite is None."""
        parts = {
            "error": self.error_T,
            "test_set_variance": self.variance_T,
            "predicted_variance": self.predicted_T,
            "calibration_part": self.calibration_T,
            "distribution_wise_variance": self.distribution_wise_variance_T,
        }
        means = {f"mean_{name}": float(values.mean()) for name, values in parts.items()}
        fit = {name: value if math.isfinite(value) else None for name, value in self.fit.items()}
        return {"tasks": len(self.error_T), **means, **fit}


def collapses(counts: PredictionCounts) -> Collapses | None:
    """Return every way to make two classes of K, from the integer counts; None where that cannot be.

    It needs R >= 2, n >= 2, and 3 to 12 classes. O(2**K K**4), whatever R and n are, after one pass over the
    votes. Source: paper, section 3.4 and Fig 6.
    """
    K, R, n = counts.K, counts.R, len(counts.labels_N)
    if R < 2 or n < 2 or K < 3 or not len(counts.pairs_P):
        return None
    codes = np.arange(2 ** (K - 1) - 1)
    positive_TK = np.concatenate(
        [np.ones((len(codes), 1), bool), (codes[:, None] >> np.arange(K - 1) & 1).astype(bool)], axis=1
    )
    first_P, second_P = np.triu_indices(K)
    cut_TP = (positive_TK[:, first_P] != positive_TK[:, second_P]).astype(np.int64)
    # Exact: sums of wrong answers stay below R n**2; the last ratios below are of Python integers.
    wrong_T = cut_TP @ counts.pairs_P
    squares_T = ((cut_TP @ counts.pairs_PP) * cut_TP).sum(axis=1)
    by_example_T = _squared_votes(counts, positive_TK)
    variances = [
        _variances(R, n, int(s1), int(s2), int(q))
        for s1, s2, q in zip(wrong_T, squares_T, by_example_T, strict=True)
    ]
    test_set, independent, distribution = np.array(variances).T
    return Collapses(
        examples=n,
        runs=R,
        positive_TK=positive_TK,
        error_T=wrong_T / (n * R),
        variance_T=test_set,
        independent_errors_variance_T=independent,
        distribution_wise_variance_T=distribution,
    )


def mean_ratio(counts: PredictionCounts) -> float:
    """Return the mean test-set variance over the tasks, over the mean of err / (2 n); NaN without errors."""
    found = collapses(counts)
    assert found is not None
    predicted = float(found.predicted_T.mean())
    return float(found.variance_T.mean()) / predicted if predicted else math.nan


def theorem_3_ratio(
    counts: PredictionCounts, chunks: Sequence[PredictionCounts], level: float
) -> Estimate | None:
    """Return the mean variance of the binary tasks over the mean prediction, 1 if the theorem holds exactly.

    None where there are no such tasks, see `collapses`. Source: paper, Theorem 3.
    """
    found = collapses(counts)
    if found is None or not found.error_T.any():
        return None
    return estimate_over_chunks(
        "theorem_3_ratio", mean_ratio, counts, chunks, level, needs=2, logarithmic=True
    )


def theorem_3_ratio_of_independent_errors(
    counts: PredictionCounts, chunks: Sequence[PredictionCounts], level: float
) -> Estimate | None:
    """Return the same ratio of the variance less (1 - 1/n) times that on the distribution.

    Where runs differ on the distribution it is this that the error predicts if the ensemble is calibrated.
    None where there are no such tasks, see `collapses`. Source: paper, Theorem 3, with both its terms.
    """
    found = collapses(counts)
    if found is None or not found.error_T.any():
        return None

    def ratio(part: PredictionCounts) -> float:
        of_part = collapses(part)
        assert of_part is not None
        predicted = float(of_part.predicted_T.mean())
        return float(of_part.independent_errors_variance_T.mean()) / predicted if predicted else math.nan

    name = "theorem_3_ratio_of_independent_errors"
    return estimate_over_chunks(name, ratio, counts, chunks, level, needs=2, logarithmic=True)


def times_closer(counts: PredictionCounts, chunks: Sequence[PredictionCounts], level: float) -> Estimate:
    """Return `times_closer_std` of `Collapses.fit` with an interval for infinitely many runs.

    The noise that few runs leave in every variance adds as much to one distance as to the other, which draws
    their ratio towards 1 and not across. Needs tasks, see `collapses`. Source: paper, section 3.4 and Fig 6.
    """
    name = "times_closer_std"

    def of(part: PredictionCounts) -> float:
        found = collapses(part)
        assert found is not None
        return found.fit[name]

    return estimate_over_chunks(name, of, counts, chunks, level, needs=2, logarithmic=True)


def theorem_4_ratio(counts: CorrectnessCounts, K: int, level: float) -> Estimate:
    """Return the test-set variance over err / (n K), which calibration puts at 1 or more.

    The interval is that of the variance; the error is taken as known. Source: paper, Theorem 4.
    """
    absent, value, interval = "", None, None
    wrong = counts.n * counts.R - counts.S1
    if counts.R < 2:
        absent = too_few("run", counts.R, 2)
    elif not wrong:
        absent = "no run is ever wrong"
    else:
        scale = counts.n * K * counts.n * counts.R / wrong
        value = float(variance.test_set_variance(counts)) * scale
        if value == 0:
            absent = NO_SCALE
        else:
            low, high = intervals.test_set_variance_interval(counts, level)
            interval = (low * scale, high * scale)
    return Estimate(
        name="theorem_4_ratio",
        target="this test set",
        value=value,
        interval=interval,
        level=level,
        absent=absent,
        method="interval of test_set_variance, over err / (n K)",
        assumption=RUNS,
        runs=counts.R,
        examples=counts.n,
    )


def _squared_votes(counts: PredictionCounts, positive_TK: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return for each task the sum over examples of the squared number of runs that are wrong, (T,)."""
    total_T = np.zeros(len(positive_TK), np.int64)
    for label in range(counts.K):
        V_NK = counts.votes_NK[counts.labels_N == label].astype(np.int64)
        other_TK = (positive_TK != positive_TK[:, [label]]).astype(np.int64)
        total_T += ((other_TK @ (V_NK.T @ V_NK)) * other_TK).sum(axis=1)
    return total_T


def _variances(R: int, n: int, wrong: int, squares: int, by_example: int) -> Sequence[float]:
    """Return test-set, independent-errors and distribution-wise variance; the formulas of `variance`."""
    test_set = (R * squares - wrong**2) / (R * (R - 1) * n**2)
    independent = (R * wrong - by_example) / (R * (R - 1) * n**2)
    both = R * squares - wrong**2 - R * wrong + by_example
    return test_set, independent, both / (n * (n - 1) * R * (R - 1))
