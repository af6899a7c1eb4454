"""Calibration: equal to leaving out each run by hand, and a test that needs enough runs to play the label."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from airbench_var.analysis import calibration
from airbench_var.analysis.jackknife import chunk_standard_error
from airbench_var.stats import PredictionCounts
from tests.statistical.classes import simulate_classes


def by_hand(
    labels_N: npt.NDArray[np.uint8], predicted_RN: npt.NDArray[np.uint8], K: int
) -> npt.NDArray[np.int64]:
    """Return pairs, labels among them, and votes of the run left out among them, by bin, (3, 15)."""
    runs, n = predicted_RN.shape
    found_3B = np.zeros((3, 15), np.int64)
    for r in range(runs):
        for i in range(n):
            for c in range(K):
                others = sum(int(predicted_RN[s, i] == c) for s in range(runs) if s != r)
                place = min(14, int(15 * others / (runs - 1) + 1e-9))
                found_3B[:, place] += 1, labels_N[i] == c, predicted_RN[r, i] == c
    return found_3B


@pytest.mark.parametrize(("runs", "n", "K"), [(2, 7, 3), (5, 11, 4), (16, 9, 2)])
def test_gaps_and_weights_are_those_of_leaving_out_each_run(runs: int, n: int, K: int) -> None:
    drawn = simulate_classes(np.random.default_rng(runs), n=n, runs=runs, K=K)
    found = calibration.reliability(drawn.counts, [drawn.counts])
    assert found is not None
    pairs_B, labels_B, votes_B = by_hand(drawn.labels_N, drawn.predicted_RN, K)
    np.testing.assert_allclose(found.gap_B, (labels_B - votes_B) / (n * runs), atol=1e-12)
    np.testing.assert_allclose(found.weight_B, pairs_B / (n * runs))
    seen_B = pairs_B > 0
    for share_B, count_B in ((found.label_share_B, labels_B), (found.vote_share_B, votes_B)):
        np.testing.assert_allclose(share_B[seen_B], count_B[seen_B] / pairs_B[seen_B])
        assert np.isnan(share_B[~seen_B]).all()
    assert found.standard_error_B is None
    estimate = calibration.calibration_error(found, drawn.counts, [drawn.counts], 0.95)
    assert estimate.value == pytest.approx(np.abs(found.gap_B).sum())


def test_what_examples_contribute_sums_to_the_gaps() -> None:
    counts = simulate_classes(np.random.default_rng(1), n=40, runs=9).counts
    np.testing.assert_allclose(
        calibration._contributions(counts).mean(axis=0), calibration.calibration_gaps(counts), atol=1e-12
    )


def test_a_run_that_plays_the_label_changes_places_with_it() -> None:
    drawn = simulate_classes(np.random.default_rng(2), n=60, runs=12, K=5)
    counts, (all_V, label_V) = drawn.counts, calibration._histograms(drawn.counts)
    for r in range(12):
        others_RN = drawn.predicted_RN.copy()
        others_RN[r] = drawn.labels_N
        swapped = PredictionCounts.of(5, drawn.predicted_RN[r], others_RN)
        ours = calibration._played(counts, all_V, label_V, drawn.predicted_RN[r])
        np.testing.assert_array_equal(ours, calibration._histograms(swapped))


def test_the_p_value_is_the_rank_of_the_true_labels() -> None:
    drawn = simulate_classes(np.random.default_rng(3), n=300, runs=30, temperature=0.5)
    test = calibration.calibration(drawn.counts, drawn.predicted_RN)
    assert test.p_value == test.least_p_value == pytest.approx(1 / 31)  # no run fits the others as badly
    calibrated = simulate_classes(np.random.default_rng(4), n=300, runs=30)
    statistics = [np.abs(calibration.calibration_gaps(calibrated.counts)).sum()]
    for r in range(30):
        others_RN = calibrated.predicted_RN.copy()
        others_RN[r] = calibrated.labels_N
        swapped = PredictionCounts.of(4, calibrated.predicted_RN[r], others_RN)
        statistics.append(np.abs(calibration.calibration_gaps(swapped)).sum())
    rank = sum(value >= statistics[0] - 1e-12 for value in statistics)
    p_value = calibration.calibration(calibrated.counts, calibrated.predicted_RN).p_value
    assert p_value == pytest.approx(rank / 31)


@pytest.mark.parametrize("runs", [1, 2, 18])
def test_too_few_runs_give_no_p_value(runs: int) -> None:
    drawn = simulate_classes(np.random.default_rng(5), n=30, runs=runs)
    test = calibration.calibration(drawn.counts, drawn.predicted_RN)
    assert (test.statistic, test.p_value) == (None, None)
    assert "at least 19 runs are needed" in test.absent


def test_the_interval_is_made_of_the_simultaneous_ones_of_the_gaps() -> None:
    state = simulate_classes(np.random.default_rng(6), n=500, runs=20, temperature=0.3).state
    parts = [chunk.predicted for chunk in state.chunks.values() if chunk.predicted is not None]
    assert state.predicted is not None
    found = calibration.reliability(state.predicted, parts)
    assert found is not None
    assert found.standard_error_B is not None
    runs_only = chunk_standard_error(state.predicted, parts, calibration.calibration_gaps)
    assert np.all(found.standard_error_B >= runs_only)
    estimate = calibration.calibration_error(found, state.predicted, parts, 0.95)
    assert estimate.interval is not None
    assert estimate.value is not None
    assert 0 < estimate.interval[0] < estimate.value < estimate.interval[1]
    size_B, bins = np.abs(found.gap_B), np.count_nonzero(found.weight_B)
    reach_B = stats.norm.ppf(1 - 0.025 / bins) * found.standard_error_B
    assert bins > 5
    assert estimate.interval[0] == pytest.approx(np.maximum(0, size_B - reach_B).sum())
    assert estimate.interval[1] == pytest.approx((size_B + reach_B).sum())
