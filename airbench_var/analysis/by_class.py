"""The accuracy of runs on the examples of one class."""

import math

import numpy as np

from airbench_var.analysis import intervals
from airbench_var.analysis.agreement import ensemble_correct
from airbench_var.analysis.estimate import NO_SCALE, RUNS, Estimate, too_few
from airbench_var.stats import PredictionCounts


def accuracies(counts: PredictionCounts, level: float) -> list[Estimate | None]:
    """Return the mean accuracy of runs on the examples of each class, (K,); None where there is no example.

    From the votes alone where there are too many classes for the second moments of right answers: then there
    is no interval. Assumption: runs are independent and identically distributed.
    """
    R, K = counts.R, counts.K
    place_K = np.cumsum([0, *range(K, 1, -1)])  # of each class with itself in `pairs_P`
    found: list[Estimate | None] = []
    for k in range(K):
        mine_N = counts.labels_N == k
        n = int(np.count_nonzero(mine_N))
        if not n:
            found.append(None)
            continue
        right = int(counts.votes_NK[mine_N, k].sum())
        absent = too_few("run", R, 2)
        error = 0.0
        if not absent and not len(counts.pairs_P):
            absent = f"the moments that it takes are not kept for {K} classes"
        if not absent:
            squares = int(counts.pairs_PP[place_K[k], place_K[k]])
            error = math.sqrt((R * squares - right**2) / (R * (R - 1)) / R) / n
            absent = "" if error else NO_SCALE
        value = right / (R * n) if R else None
        interval = None
        if value is not None and not absent:
            low, high = intervals.around(value, error, R - 1, level)
            interval = max(0.0, low), min(1.0, high)
        found.append(
            Estimate(
                name="class_accuracy",
                target="this test set",
                value=value,
                interval=interval,
                level=level,
                absent=absent,
                standard_errors={} if absent else {"test_set": error},
                method="Student's t over runs",
                assumption=RUNS,
                runs=R,
                examples=n,
            )
        )
    return found


def votes_right(counts: PredictionCounts) -> list[float | None]:
    """Return the accuracy of the plurality vote on each class, (K,), ties shared; None without an example."""
    if not counts.R:
        return [None] * counts.K
    right_N = ensemble_correct(counts)
    return [
        float(right_N[counts.labels_N == k].mean()) if (counts.labels_N == k).any() else None
        for k in range(counts.K)
    ]
