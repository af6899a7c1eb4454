"""Correlations over runs between the accuracies on several test sets: the paper's appendix C, Fig 10.

Two test sets that show the same images, one of them corrupted, go together by these images alone: a run that
is wrong on an image is so on its corruption, whether or not it is the better run. As Eq 3 leaves the
variances of single examples out of the variance, these correlations leave the covariances of an image with
itself out of the covariance. What remains is expected of two test sets of the same sizes without a common
image, as the paper's are.

Axis letters: R runs, N images of both test sets.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr
from scipy.stats import false_discovery_control, pearsonr

from airbench_var.analysis import intervals
from airbench_var.stats import CorrectnessCounts

Float64 = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Rows = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Pearson's r over runs between two test sets, or what it would be without their common images."""

    names: tuple[str, str]
    r: float
    low: float
    high: float
    p_value: float  #: two-sided, of no correlation
    method: str


def correlations(
    counts: Sequence[tuple[str, CorrectnessCounts]],
    *,
    level: float,
    same_images: Mapping[str, Rows] | None = None,
) -> list[Correlation]:
    """Return the correlation of accuracies of each two test sets, whose runs are the same.

    same_images: of those test sets that show the same images in the same order, the correctness, zeros and
    ones (R, N), by name; of two such the images that they share are left out. Their intervals leave out one
    run at a time, with Student's t; those of others are Fisher's z, with p-values by Student's t. Estimates
    without common images that lie outside, of few runs, are put at -1 or 1.

    level: of all intervals together (Bonferroni). Test sets whose accuracies do not vary are left out.

    Assumption: runs are independent, accuracies of two test sets normal together; it fails for few examples.

    Raises: ValueError for test sets of other runs, or fewer than 4 of them.
    """
    varying = [(name, of) for name, of in counts if np.ptp(of.k_R)]
    pairs = [(a, b) for place, a in enumerate(varying) for b in varying[place + 1 :]]
    each = 1 - (1 - level) / max(1, len(pairs))
    rows = same_images or {}
    found = []
    for (name_a, a), (name_b, b) in pairs:
        if a.R < 4 or not np.array_equal(a.run_ids_R, b.run_ids_R):
            raise ValueError(f"{name_a} and {name_b} need the same runs, four at least.")
        names = (name_a, name_b)
        if name_a in rows and name_b in rows:
            found.append(_without_common_images(names, rows[name_a], rows[name_b], each))
        else:
            found.append(_pearson(names, a, b, each))
    return found


def _pearson(names: tuple[str, str], a: CorrectnessCounts, b: CorrectnessCounts, level: float) -> Correlation:
    result = pearsonr(a.k_R.astype(float), b.k_R.astype(float))
    low, high = result.confidence_interval(level)
    return Correlation(
        names=names,
        r=float(result.statistic),
        low=float(low),
        high=float(high),
        p_value=float(result.pvalue),
        method="Pearson, Fisher's z for all pairs together (Bonferroni)",
    )


def _without_common_images(names: tuple[str, str], a_RN: Rows, b_RN: Rows, level: float) -> Correlation:
    """Return the covariance over pairs of distinct images, over both standard deviations.

    The mean covariance of two different images is n / (n - 1) times the covariance of the accuracies less
    the part of each image with itself, as in Eq 3 (paper, section 3.3), of which it is the form for two test
    sets; its bias and its error over runs are by the jackknife, whose sums follow from integers in one pass.
    """
    R = len(a_RN)
    r, left_out_R = _of_distinct_images(a_RN, b_RN)
    error = math.inf  # where the accuracies of all runs but one are the same
    if np.isfinite(left_out_R).all():
        r = R * r - (R - 1) * float(left_out_R.mean())  # few runs draw the ratio downwards
        r = min(1.0, max(-1.0, r))
        error = math.sqrt((R - 1) / R * float(((left_out_R - left_out_R.mean()) ** 2).sum()))
    low, high = intervals.around(r, error, R - 1, level)
    return Correlation(
        names=names,
        r=r,
        low=max(-1.0, low),
        high=min(1.0, high),
        p_value=2 * float(stdtr(R - 1, -abs(r) / error)) if error else float(r == 0),
        method="covariance of distinct images over the stds of both test sets; each run left out once, "
        "Student's t for all pairs together (Bonferroni)",
    )


def _of_distinct_images(a_RN: Rows, b_RN: Rows) -> tuple[float, Float64]:
    """Return the correlation without common images, of all runs and without each, (R,)."""
    R, n = a_RN.shape
    a_N, b_N = (rows.sum(axis=0, dtype=np.int64) for rows in (a_RN, b_RN))
    k_R, l_R = (rows.sum(axis=1, dtype=np.int64) for rows in (a_RN, b_RN))
    both_R = (a_RN & b_RN).sum(axis=1, dtype=np.int64)
    # Sums over images of the product of both numbers of runs, of all and without each of the runs.
    products = int(a_N @ b_N)
    products_R = products - a_RN @ b_N - b_RN @ a_N + both_R

    def less(own_R: Integers) -> Integers:
        return np.asarray(own_R.sum() - own_R)

    def correlation(runs: int, sums: Sequence[Integers], products: Integers | int) -> Float64:
        """Return it of sums of k, l, k k, l l, k l and of images that are right in both."""
        k, l, kk, ll, kl, both = sums  # noqa: E741 - as k_R of the other test set
        # `runs` times each sum of centred products: exact, below 2**63 up to 10,000 runs of 50,000 images.
        covariance = runs * kl - k * l - (runs * both - products)
        stds = np.sqrt(runs * kk - k**2) * np.sqrt(runs * ll - l**2)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(n / (n - 1) * covariance / stds)

    own = (k_R, l_R, k_R**2, l_R**2, k_R * l_R, both_R)
    whole = correlation(R, [of_R.sum() for of_R in own], products)
    return float(whole), correlation(R - 1, [less(of_R) for of_R in own], products_R)


def discoveries(found: Sequence[Correlation], rate: float = 0.05) -> int:
    """Return how many of these there are at a false discovery rate, though they share runs.

    Source: Benjamini and Yekutieli, Annals of Statistics 2001.
    """
    if not found:
        return 0
    p_P: npt.NDArray[np.float64] = false_discovery_control([one.p_value for one in found], method="by")
    return int((p_P <= rate).sum())
