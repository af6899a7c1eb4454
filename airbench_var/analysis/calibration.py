"""Is the ensemble calibrated: of the examples that a share q of runs calls class c, is a share q of class c?

Under class-wise calibration the label behaves as one more run. So each run in turn is left out, examples are
sorted by the votes of the others, and the label is compared with the run that was left out. That difference
has mean 0 under calibration for every R >= 2; sorting by all R votes would find an error in any ensemble of
few runs. Source: paper, section 3.4, Definition 2; Jiang et al., ICLR 2022 (class-aggregated error, 15 bins).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from airbench_var.analysis.estimate import EXAMPLES, RUNS, Estimate, Interval, too_few
from airbench_var.analysis.independence import HypothesisTest
from airbench_var.analysis.jackknife import LEAST_EXAMPLES, chunk_standard_error, why_not
from airbench_var.stats import PredictionCounts

BINS = 15

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Signed gaps by share of votes, in 15 bins of equal width: label less vote, a share of all examples."""

    gap_B: Float64  #: (15,); positive: the ensemble is too timid there
    weight_B: Float64  #: (15,): pairs of example and class in each bin, over examples; sums to K
    label_B: Float64  #: (15,): of these the pairs whose class is the label, over examples; sums to 1
    standard_error_B: Float64 | None  #: (15,), of the gaps on the distribution; None with too few runs
    example_error_B: Float64 | None = None  #: (15,), what of it unlimited runs would leave

    @property
    def label_share_B(self) -> Float64:
        """How often the label is the class, (15,); NaN in a bin without pairs."""
        return _share(self.label_B, self.weight_B)

    @property
    def vote_share_B(self) -> Float64:
        """How often the run that was left out calls it so, (15,); under calibration as often, in the mean."""
        return _share(self.label_B - self.gap_B, self.weight_B)

    def to_json(self) -> dict[str, Any]:
        """Return the edges of the bins and the arrays as lists."""
        errors = None if self.standard_error_B is None else self.standard_error_B.tolist()
        return {
            "share_of_votes": [b / BINS for b in range(BINS + 1)],
            "gap": self.gap_B.tolist(),
            "weight": self.weight_B.tolist(),
            "label": self.label_B.tolist(),
            "standard_error": errors,
        }


def calibration_gaps(counts: PredictionCounts) -> Float64:
    """Return the signed gap of each bin, (15,); needs R >= 2. Their absolute values sum to the CACE."""
    return _gaps(*_histograms(counts), counts.R) / (len(counts.labels_N) * counts.R)


def reliability(counts: PredictionCounts, chunks: Sequence[PredictionCounts]) -> Reliability | None:
    """Return gaps, weights and standard errors; None for fewer than 2 runs.

    The standard errors are for fresh examples and other runs. Assumption: both are independent draws.
    """
    if counts.R < 2:
        return None
    n, R = len(counts.labels_N), counts.R
    weight_B, label_B = (_weights(votes_V, R) / (n * R) for votes_V in _histograms(counts))
    errors_B = of_examples_B = None
    if not (why_not(counts, chunks, needs=2) or too_few("example", n, LEAST_EXAMPLES)):
        of_examples_B = np.std(_contributions(counts), axis=0, ddof=1) / np.sqrt(n)
        errors_B = np.hypot(of_examples_B, chunk_standard_error(counts, chunks, calibration_gaps))
    return Reliability(
        gap_B=calibration_gaps(counts),
        weight_B=weight_B,
        label_B=label_B,
        standard_error_B=errors_B,
        example_error_B=of_examples_B,
    )


def reliability_by_class(counts: PredictionCounts) -> tuple[Reliability, ...]:
    """Return the reliability of every class by itself, (K,), without standard errors; needs R >= 2.

    Their gaps and weights sum to those of `reliability`. Source: paper, Definition 2, which is class-wise.
    """
    n, R = len(counts.labels_N), counts.R
    found = []
    for k in range(counts.K):
        all_V, label_V = (
            np.bincount(votes, minlength=R + 1)
            for votes in (counts.votes_NK[:, k], counts.votes_NK[counts.labels_N == k, k])
        )
        gap_B = _gaps(all_V, label_V, R) / (n * R)
        weight_B, label_B = (_weights(votes_V, R) / (n * R) for votes_V in (all_V, label_V))
        found.append(Reliability(gap_B=gap_B, weight_B=weight_B, label_B=label_B, standard_error_B=None))
    return tuple(found)


def calibration_error(
    found: Reliability | None, counts: PredictionCounts, chunks: Sequence[PredictionCounts], level: float
) -> Estimate:
    """Return the class-aggregated calibration error (CACE), the sum of the absolute gaps of 15 bins.

    `found` is the `reliability` of these runs.
    Even of a calibrated ensemble it is above 0 on a finite test set; the interval therefore combines the
    simultaneous intervals of the signed gaps, so that it covers with more than its level. Assumption: runs
    and examples are independent; it fails in bins that a handful of examples reach.
    """
    value = interval = interval_of_examples = None
    absent = why_not(counts, chunks, needs=2) or too_few("example", len(counts.labels_N), LEAST_EXAMPLES)
    if found is not None:
        value = float(np.abs(found.gap_B).sum())
        interval = _error_interval(found, found.standard_error_B, level)
        interval_of_examples = _error_interval(found, found.example_error_B, level)
    return Estimate(
        name="calibration_error",
        target="the distribution",
        value=value,
        interval=interval,
        interval_of_examples=interval_of_examples,
        level=level,
        absent=absent,
        method=f"votes of the other runs in {BINS} bins; simultaneous normal intervals of the signed gaps "
        "(Bonferroni), which is conservative",
        assumption=f"{RUNS}; {EXAMPLES}",
        runs=counts.R,
        examples=len(counts.labels_N),
    )


def _error_interval(found: Reliability, error_B: Float64 | None, level: float) -> Interval | None:
    """Return the ends of the sum of the absolute gaps when each may be off by its error, all together."""
    if error_B is None:
        return None
    size_B, bins = np.abs(found.gap_B), max(1, int(np.count_nonzero(found.weight_B)))
    reach_B = float(ndtri(1 - (1 - level) / (2 * bins))) * error_B
    return float(np.maximum(0, size_B - reach_B).sum()), float((size_B + reach_B).sum())


def calibration(counts: PredictionCounts, witness_WN: npt.NDArray[np.uint8]) -> HypothesisTest:
    """Test whether the ensemble is calibrated by letting runs play the part of the labels.

    `witness_WN` are predictions of some of the R runs. Under calibration and independent errors the labels
    and the predictions of a run are exchangeable, so the rank of the true calibration error among those with
    a run for labels is uniform: exact but for ties, whatever R and n are. Runs that move on many examples at
    once make it timid, since labels do not: then look at the gaps and at `disagreement_gap`.
    Source: paper, Definition 2.
    """
    R, W = counts.R, len(witness_WN)
    absent = "" if R >= 2 and W >= 19 else f"at least 19 runs are needed for a level of 5 %, there are {W}"
    statistic = p_value = None
    if not absent:
        histograms = _histograms(counts)
        true = int(np.abs(_gaps(*histograms, R)).sum())
        played = [int(np.abs(_gaps(*_played(counts, *histograms, row), R)).sum()) for row in witness_WN]
        statistic = true / (len(counts.labels_N) * R)
        p_value = (1 + sum(value >= true for value in played)) / (W + 1)
    return HypothesisTest(
        name="calibration",
        null="among examples that a share q of runs calls class c, a share q is of class c",
        statistic=statistic,
        p_value=p_value,
        method=f"rank of the calibration error among {W} with the predictions of a run for labels",
        assumption="runs are exchangeable, errors independent; where runs move as a whole, p is too large",
        absent=absent,
        least_p_value=1 / (W + 1),
    )


def _histograms(counts: PredictionCounts) -> tuple[Int64, Int64]:
    """Return how many pairs (example, class), and how many (example, label), have V votes, (R + 1,)."""
    votes_NK, R = counts.votes_NK, counts.R
    of_label_N = votes_NK[np.arange(len(votes_NK)), counts.labels_N]
    return (
        np.bincount(votes_NK.reshape(-1), minlength=R + 1),
        np.bincount(of_label_N, minlength=R + 1),
    )


def _played(
    counts: PredictionCounts, all_V: Int64, label_V: Int64, row_N: npt.NDArray[np.uint8]
) -> tuple[Int64, Int64]:
    """Return the histograms when this run is the label, and the true label one of the runs."""
    size = len(all_V)
    wrong_N = np.flatnonzero(row_N != counts.labels_N)
    of_label = counts.votes_NK[wrong_N, counts.labels_N[wrong_N]]
    of_row = counts.votes_NK[wrong_N, row_N[wrong_N]]
    changed_V = all_V.copy()
    for votes, sign in ((of_label, -1), (of_label + 1, 1), (of_row, -1), (of_row - 1, 1)):
        changed_V += sign * np.bincount(votes, minlength=size)
    played_V = label_V - np.bincount(of_label, minlength=size) + np.bincount(of_row - 1, minlength=size)
    return changed_V, played_V


def _gaps(all_V: Int64, label_V: Int64, R: int) -> Int64:
    """Return n R times the signed gap of each bin, exactly."""
    V = np.arange(R + 1)
    gap_B = np.zeros(BINS, np.int64)
    np.add.at(gap_B, _bin(V - 1, R)[1:], (V * (label_V - all_V))[1:])  # the run left out has called it c
    np.add.at(gap_B, _bin(V, R)[:-1], ((R - V) * label_V)[:-1])  # it has not
    return gap_B


def _share(part_B: Float64, weight_B: Float64) -> Float64:
    with np.errstate(invalid="ignore"):
        return np.clip(part_B / weight_B, 0, 1)  # rounding alone leads out of it


def _weights(all_V: Int64, R: int) -> Float64:
    """Return n R times the weight of each bin, by how many pairs of example and class have V votes."""
    V = np.arange(R + 1)
    weight_B = np.zeros(BINS)
    np.add.at(weight_B, _bin(V - 1, R)[1:], (all_V * V)[1:])
    np.add.at(weight_B, _bin(V, R)[:-1], (all_V * (R - V))[:-1])
    return weight_B


def _bin(others: Int64, R: int) -> Int64:
    """Return the bin of so many votes of the R - 1 other runs."""
    return np.minimum(BINS - 1, BINS * others // (R - 1))


def _contributions(counts: PredictionCounts) -> Float64:
    """Return what each example adds to the gap of each bin, (N, 15)."""
    R, n = counts.R, len(counts.labels_N)
    V_NK = counts.votes_NK.astype(np.int64)
    label_NK = np.zeros(V_NK.shape, np.int64)
    label_NK[np.arange(n), counts.labels_N] = 1
    place_NK = np.arange(n)[:, None] * BINS
    called, spared = V_NK > 0, V_NK < R
    total = np.bincount(
        (place_NK + _bin(V_NK - 1, R))[called], ((label_NK - 1) * V_NK)[called], minlength=n * BINS
    ) + np.bincount((place_NK + _bin(V_NK, R))[spared], (label_NK * (R - V_NK))[spared], minlength=n * BINS)
    return np.asarray(total.reshape(n, BINS) / R)
