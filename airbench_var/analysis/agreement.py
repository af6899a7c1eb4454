"""Do runs agree with one another, and is that as often as they are right? From the votes of each example.

V of R runs call example i class c. Products V (V - 1) ... over R (R - 1) ... are unbiased for the powers of
the share q that infinitely many runs would give. Source: paper, section 3.4, App B; Jiang et al., ICLR 2022.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from airbench_var.analysis.estimate import EXAMPLES, RUNS, Estimate, too_few
from airbench_var.analysis.intervals import wilson
from airbench_var.analysis.jackknife import (
    LEAST_EXAMPLES,
    chunk_standard_error,
    estimate_over_chunks,
    why_not,
)
from airbench_var.stats import PredictionCounts

Float64 = npt.NDArray[np.float64]


def disagreements(counts: PredictionCounts) -> Float64:
    """Return the share of pairs of runs that call each example two classes, (N,); needs R >= 2."""
    V_NK, R = counts.votes_NK.astype(np.int64), counts.R
    return np.asarray(1 - (V_NK * (V_NK - 1)).sum(axis=1) / (R * (R - 1)))


def errors(counts: PredictionCounts) -> Float64:
    """Return the share of runs that are wrong on each example, (N,); needs R >= 1."""
    right_N = counts.votes_NK[np.arange(len(counts.labels_N)), counts.labels_N]
    return np.asarray(1 - right_N / counts.R)


def label_free_variance(counts: PredictionCounts) -> float:
    """Return the independent-errors variance that the votes alone predict under calibration; needs R >= 3.

    With q the share of runs that call an example class c, calibration makes q the chance that c is its label,
    and the variance of a coin of rate q, weighted so, sums to q**2 (1 - q). Source: paper, Theorem 4's proof.
    """
    V_NK, R = counts.votes_NK.astype(np.int64), counts.R
    second_NK = V_NK * (V_NK - 1)
    # R**3 of one example is below 2**63 up to 2,000,000 runs; of all of them it is not from 100,000 on.
    third_N = (second_NK * (V_NK - 2)).sum(axis=1) / (R * (R - 1) * (R - 2))
    return float((second_NK.sum(axis=1) / (R * (R - 1)) - third_N).sum()) / len(V_NK) ** 2


def ensemble_correct(counts: PredictionCounts) -> Float64:
    """Return whether the plurality of runs is right on each example, (N,); k classes that tie share it."""
    V_NK = counts.votes_NK
    first_NK = V_NK.max(axis=1, keepdims=True) == V_NK
    return np.asarray(first_NK[np.arange(len(V_NK)), counts.labels_N] / first_NK.sum(axis=1))


def disagreement(counts: PredictionCounts, chunks: Sequence[PredictionCounts], level: float) -> Estimate:
    """Return the chance that two runs call an example of this test set two classes; needs R >= 3."""
    return estimate_over_chunks(
        "disagreement", lambda part: float(disagreements(part).mean()), counts, chunks, level, needs=2
    )


def predicted_without_labels(
    counts: PredictionCounts, chunks: Sequence[PredictionCounts], level: float
) -> Estimate:
    """Return `label_free_variance` with its interval; needs R >= 4."""
    return estimate_over_chunks("label_free_variance", label_free_variance, counts, chunks, level, needs=3)


def disagreement_gap(counts: PredictionCounts, chunks: Sequence[PredictionCounts], level: float) -> Estimate:
    """Return disagreement less error on the distribution, 0 when the ensemble is calibrated; needs R >= 3.

    Runs and examples both vary: the spread over examples and the jackknife over chunks of runs are added,
    which counts the noise of few runs twice (wide for R < 10). It fails where few examples show any gap: the
    interval needs 100 examples. Source: paper, App B.5, Theorem 5.
    """
    n = len(counts.labels_N)
    absent = why_not(counts, chunks, needs=2) or too_few("example", n, LEAST_EXAMPLES)
    value = _mean_gap(counts) if counts.R >= 2 else None
    interval, interval_of_examples, standard_errors = None, None, {}
    if not absent:
        assert value is not None
        of_examples = float(np.std(disagreements(counts) - errors(counts), ddof=1)) / math.sqrt(n)
        error = math.hypot(of_examples, float(chunk_standard_error(counts, chunks, _mean_gap)))
        z = float(ndtri((1 + level) / 2))
        interval, standard_errors = (value - z * error, value + z * error), {"distribution": error}
        interval_of_examples = value - z * of_examples, value + z * of_examples
    return Estimate(
        name="disagreement_gap",
        target="the distribution",
        value=value,
        interval=interval,
        interval_of_examples=interval_of_examples,
        level=level,
        absent=absent,
        standard_errors=standard_errors,
        method="normal; spread over examples, and over chunks of runs left out once each",
        assumption=f"{RUNS}; {EXAMPLES}",
        runs=counts.R,
        examples=len(counts.labels_N),
    )


def ensemble_accuracy(counts: PredictionCounts, level: float) -> Estimate:
    """Return the accuracy of the plurality vote of these runs, with Wilson's interval for fresh examples.

    It is of these networks as they are: other runs would make another ensemble. Assumption: examples are
    independent draws. A tie among k classes counts 1 / k, which Wilson's formula takes as it is.
    """
    n, R = len(counts.labels_N), counts.R
    value = interval = None
    if R >= 1:
        value = float(ensemble_correct(counts).mean())
        interval = wilson(value, n, level)
    return Estimate(
        name="ensemble_accuracy",
        target="the distribution",
        value=value,
        interval=interval,
        interval_of_examples=interval,
        level=level,
        absent=too_few("run", R, 1),
        method="plurality vote of these runs; Wilson's interval over examples",
        assumption=f"{EXAMPLES}; the networks are these",
        runs=R,
        examples=n,
    )


def _mean_gap(counts: PredictionCounts) -> float:
    return float((disagreements(counts) - errors(counts)).mean())
