"""Halves of a test set: the closed form over all splits is the mean over all splits."""

import itertools

import numpy as np
import pytest

from airbench_var.analysis import halves
from tests.statistical.generator import count


def test_over_splits_is_the_mean_over_every_balanced_split() -> None:
    rng = np.random.default_rng(0)
    correct_RN = rng.random((12, 8)) < np.linspace(0.3, 0.9, 12)[:, None]  # runs differ: a covariance to find
    covariances, variances = [], []
    for first in itertools.combinations(range(8), 4):
        halves_2R = np.array(
            [correct_RN[:, list(half)].mean(1) for half in (first, set(range(8)) - {*first})]
        )
        both = np.cov(halves_2R)
        covariances.append(both[0, 1])
        variances.append(both[0, 0])
    covariance, spread = np.mean(covariances), np.mean(variances)
    assert covariance > 0.01
    counts = count(correct_RN)
    found = halves.split_half_correlation_over_splits(counts, 0.95).value
    assert found == pytest.approx(covariance / spread, rel=1e-12)
    gain = halves.lucky_quarter_gain_over_splits(counts, 0.95).value
    assert gain == pytest.approx(1.2711063 * covariance / np.sqrt(spread), rel=1e-6)


def test_the_best_quarter_shares_its_last_places() -> None:
    for score, weights in (
        ([1, 2, 3, 4, 5, 6, 7, 8], [0, 0, 0, 0, 0, 0, 0.5, 0.5]),
        ([1, 1, 1, 1, 1, 1, 1, 1], [0.125] * 8),
        ([1, 2, 3, 3, 3, 4, 1, 1], [0, 0, 1 / 6, 1 / 6, 1 / 6, 0.5, 0, 0]),
        ([5, 1, 2, 3, 4, 0], [1 / 1.5, 0, 0, 0, 0.5 / 1.5, 0]),
    ):
        np.testing.assert_allclose(halves._quarter_weights(np.array(score, float)), weights)


def test_gain_and_correlation_by_hand() -> None:
    correct_RN = np.random.default_rng(2).random((12, 4001)) < 0.8
    even_R, odd_R = correct_RN[:, ::2].mean(1), correct_RN[:, 1::2].mean(1)
    counts = count(correct_RN)
    correlation = halves.split_half_correlation(counts, 0.95).value
    assert correlation == pytest.approx(np.corrcoef(even_R, odd_R)[0, 1])
    assert np.sort(even_R)[-4] < np.sort(even_R)[-3]  # no tie at the edge
    expected = odd_R[np.argsort(even_R)[-3:]].mean() - odd_R.mean()
    assert halves.lucky_quarter_gain(counts, 0.95).value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("correct_RN", "reason"),
    [
        (np.eye(3, 9), "runs are needed, there are 3"),
        (np.tile([1, 0, 1, 0, 1], (9, 1)), "the same accuracy on one half"),
        (np.ones((9, 1)), "at least 2 examples"),
        (np.repeat([[1, 0], [0, 1]], 5, axis=0), "leaves no scale"),
    ],
)
def test_reasons(correct_RN: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", reason: str) -> None:
    estimate = halves.lucky_quarter_gain(count(correct_RN), 0.95)
    assert (estimate.value, estimate.interval) == (None, None)
    assert reason in estimate.absent
