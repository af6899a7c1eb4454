"""Disagreement, votes and their intervals: small cases by hand, and reasons where there is no number."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from airbench_var.analysis import agreement
from airbench_var.analysis.estimate import Estimate
from airbench_var.stats import PredictionCounts

LABELS_N = np.array([0, 1, 2, 0], np.uint8)


def parts(predicted_RN: object) -> tuple[PredictionCounts, list[PredictionCounts]]:
    rows_RN = np.array(predicted_RN, np.uint8).reshape(-1, 4)
    return PredictionCounts.of(3, LABELS_N, rows_RN), [
        PredictionCounts.of(3, LABELS_N, row[None]) for row in rows_RN
    ]


FOUR = [[0, 1, 2, 1], [0, 1, 0, 1], [0, 2, 1, 1], [0, 1, 1, 0]]


def test_shares_by_hand() -> None:
    counts, _ = parts(FOUR)
    np.testing.assert_allclose(agreement.disagreements(counts), [0, 1 / 2, 5 / 6, 1 / 2])
    np.testing.assert_allclose(agreement.errors(counts), [0, 1 / 4, 3 / 4, 3 / 4])
    np.testing.assert_allclose(agreement.ensemble_correct(counts), [1, 1, 0, 0])
    # q**2 - q**3 from pairs and triples: 1 - 1, 1/2 - 1/4, 1/6 - 0, 1/2 - 1/4
    assert agreement.label_free_variance(counts) == pytest.approx((1 / 4 + 1 / 6 + 1 / 4) / 16)


def test_classes_that_tie_share_the_vote() -> None:
    counts, _ = parts([[0, 1, 2, 1], [0, 2, 1, 0], [0, 0, 0, 2]])
    np.testing.assert_allclose(agreement.ensemble_correct(counts), [1, 1 / 3, 1 / 3, 1 / 3])
    assert agreement.ensemble_accuracy(counts, 0.95).value == pytest.approx(1 / 2)


def test_the_jackknife_of_disagreement_is_that_over_runs_when_each_is_a_chunk() -> None:
    counts, chunks = parts(FOUR)
    estimate = agreement.disagreement(counts, chunks, 0.95)
    left_out = [parts([row for j, row in enumerate(FOUR) if j != i])[0] for i in range(4)]
    values = np.array([agreement.disagreements(part).mean() for part in left_out])
    error = math.sqrt(3 / 4 * ((values - values.mean()) ** 2).sum())
    assert estimate.standard_errors["test_set"] == pytest.approx(error)
    assert estimate.interval is not None
    reach = stats.t.ppf(0.975, 3) * error
    assert estimate.interval == pytest.approx((11 / 24 - reach, 11 / 24 + reach))


@pytest.mark.parametrize(("right", "n"), [(0, 10), (7, 10), (10, 10), (960, 1000)])
def test_the_interval_of_the_vote_is_wilsons(right: int, n: int) -> None:
    labels_N = np.zeros(n, np.uint8)
    row_N = np.where(np.arange(n) < right, 0, 1).astype(np.uint8)
    estimate = agreement.ensemble_accuracy(PredictionCounts.of(2, labels_N, row_N[None]), 0.95)
    ours = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert estimate.interval == pytest.approx((ours.low, ours.high), abs=1e-12)


@pytest.mark.parametrize("runs", [0, 1, 2, 3, 4])
def test_too_few_runs_are_a_reason(runs: int) -> None:
    counts, chunks = parts(FOUR[:runs])
    estimates: dict[int, Estimate] = {
        3: agreement.disagreement(counts, chunks, 0.95),
        4: agreement.predicted_without_labels(counts, chunks, 0.95),
    }
    for needed, estimate in estimates.items():
        assert (estimate.interval is not None) == (runs >= needed)
        assert (f"at least {needed} runs are needed" in estimate.absent) == (runs < needed)
    gap = agreement.disagreement_gap(counts, chunks, 0.95)
    assert gap.interval is None
    assert ("at least 100 examples are needed, there are 4" in gap.absent) == (runs >= 3)
    assert (agreement.ensemble_accuracy(counts, 0.95).interval is not None) == (runs >= 1)


def test_a_chunk_that_holds_nearly_all_runs_allows_no_jackknife() -> None:
    counts, chunks = parts(FOUR)
    lopsided = [chunks[0].merge(chunks[1]).merge(chunks[2]), chunks[3]]
    estimate = agreement.disagreement(counts, lopsided, 0.95)
    assert estimate.value is not None
    assert estimate.interval is None
    assert "too few runs remain" in estimate.absent


def test_three_hundred_thousand_runs_do_not_overflow() -> None:
    """Three votes off the plurality on each of 2,000 examples: R**3 n is three times 2**64."""
    runs, n = 300_000, 2000
    right = PredictionCounts.empty(2, np.zeros(n, np.uint8))
    votes_NK = np.tile(np.array([runs - 3, 3], np.int32), (n, 1))
    q = 3 / runs
    assert agreement.label_free_variance(replace(right, votes_NK=votes_NK)) == pytest.approx(
        (q**2 * (1 - q) + (1 - q) ** 2 * q) / n, rel=1e-4
    )
