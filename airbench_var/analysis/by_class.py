"""The accuracy of runs on the examples of one class: which classes are hard, and on which runs differ."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from airbench_var.analysis import intervals
from airbench_var.analysis.agreement import ensemble_correct
from airbench_var.analysis.estimate import NO_SCALE, RUNS, Estimate, too_few
from airbench_var.stats import ClassCounts, PredictionCounts


@dataclass(frozen=True, kw_only=True)
class OneClass:
    """What runs get right of one class, on this test set."""

    label: int
    examples: int
    #: None, as the other two, where there is no example.
    accuracy: Estimate | None
    std: Estimate | None  #: over runs, of their accuracies on this class
    vote_accuracy: float | None  #: of the plurality of all runs; None also without predicted classes

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON values."""
        return {
            "label": self.label,
            "examples": self.examples,
            "accuracy": self.accuracy and self.accuracy.to_json(),
            "std": self.std and self.std.to_json(),
            "vote_accuracy": self.vote_accuracy,
        }


def by_class(counts: ClassCounts, predicted: PredictionCounts | None, level: float) -> tuple[OneClass, ...]:
    """Return what runs get right of every class, (K,), in the order of the labels.

    Assumption: runs are independent and identically distributed.
    """
    sizes_K = counts.sizes_K.tolist()
    votes = [None] * len(sizes_K) if predicted is None else votes_right(predicted)
    found = []
    for label, (n, vote) in enumerate(zip(sizes_K, votes, strict=True)):
        accuracy = std = None
        if n:
            accuracy, std = _mean_and_spread(counts, label, n, level)
        found.append(OneClass(label=label, examples=n, accuracy=accuracy, std=std, vote_accuracy=vote))
    return tuple(found)


def _mean_and_spread(counts: ClassCounts, label: int, n: int, level: float) -> tuple[Estimate, Estimate]:
    """Return the mean over runs of the accuracy on a class of n examples, and its standard deviation."""
    R, right_R = counts.R, counts.right_RK[:, label].astype(np.int64)
    value = int(right_R.sum()) / (R * n) if R else None
    absent = too_few("run", R, 2)
    variance = float(np.var(right_R, ddof=1)) / n**2 if not absent else None
    if not absent and not variance:
        absent = NO_SCALE
    interval = of_variance = None
    if value is not None and variance:
        interval = intervals.share_around(value, math.sqrt(variance / R), R - 1, level)
        of_variance = intervals.below_the_largest(
            intervals.variance_interval(variance, right_R, level), variance
        )
    accuracy = Estimate(
        name="class_accuracy",
        target="this test set",
        value=value,
        interval=interval,
        level=level,
        absent=absent,
        standard_errors={"test_set": math.sqrt(variance / R)} if variance else {},
        method="Student's t over runs",
        assumption=RUNS,
        runs=R,
        examples=n,
    )
    spread = Estimate(
        name="class_variance",
        target="this test set",
        value=variance,
        interval=of_variance,
        level=level,
        absent=absent,
        method="chi-square over runs, degrees of freedom adjusted to their kurtosis",
        assumption=RUNS,
        runs=R,
        examples=n,
    )
    return accuracy, spread.standard_deviation("class_std")


def votes_right(counts: PredictionCounts) -> list[float | None]:
    """Return the accuracy of the plurality vote on each class, (K,), ties shared; None without an example."""
    if not counts.R:
        return [None] * counts.K
    right_N = ensemble_correct(counts)
    return [
        float(right_N[counts.labels_N == k].mean()) if (counts.labels_N == k).any() else None
        for k in range(counts.K)
    ]
