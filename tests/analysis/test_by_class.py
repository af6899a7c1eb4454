"""Accuracies by class, against NumPy on the rows themselves."""

import numpy as np
import pytest
from scipy.stats import t

from airbench_var.analysis.by_class import accuracies, votes_right
from airbench_var.analysis.calibration import reliability, reliability_by_class
from airbench_var.stats import PredictionCounts


def drawn(
    K: int, runs: int = 30, n: int = 200, absent: int | None = None
) -> tuple[PredictionCounts, np.ndarray]:
    rng = np.random.default_rng(K)
    classes = [k for k in range(K) if k != absent]
    labels_N = rng.choice(classes, n).astype(np.uint8)
    wrong_RN = rng.random((runs, n)) < 0.4
    predicted_RN = np.where(wrong_RN, (labels_N + rng.integers(1, K, (runs, n))) % K, labels_N).astype(
        np.uint8
    )
    return PredictionCounts.of(K, labels_N, predicted_RN), predicted_RN


@pytest.mark.parametrize("K", [2, 3, 10, 12])
def test_mean_and_interval_are_those_of_the_rows(K: int) -> None:
    counts, predicted_RN = drawn(K)
    for k, one in enumerate(accuracies(counts, 0.95)):
        mine = counts.labels_N == k
        accuracy_R = (predicted_RN[:, mine] == k).mean(axis=1)
        assert one is not None
        assert one.value == pytest.approx(accuracy_R.mean())
        reach = t.ppf(0.975, 29) * accuracy_R.std(ddof=1) / np.sqrt(30)
        assert one.interval == pytest.approx((accuracy_R.mean() - reach, accuracy_R.mean() + reach))
        assert (one.runs, one.examples) == (30, mine.sum())


def test_what_cannot_be_said_is_absent_with_its_reason() -> None:
    few = accuracies(drawn(3, runs=1)[0], 0.95)[0]
    many = accuracies(drawn(13)[0], 0.95)[0]
    assert few is not None
    assert many is not None
    assert (few.interval, few.absent) == (None, "at least 2 runs are needed, there is 1")
    assert many.value is not None
    assert many.interval is None
    assert "not kept for 13 classes" in many.absent
    assert accuracies(drawn(3, absent=1)[0], 0.95)[1] is None
    assert votes_right(drawn(3, absent=1)[0])[1] is None
    assert accuracies(drawn(3, runs=0)[0], 0.95)[0].value is None  # type: ignore[union-attr]
    assert votes_right(drawn(3, runs=0)[0]) == [None] * 3


def test_votes_are_right_where_the_plurality_is() -> None:
    labels_N = np.array([0, 0, 1], np.uint8)
    counts = PredictionCounts.of(2, labels_N, np.array([[0, 1, 1], [0, 0, 0], [1, 1, 1]], np.uint8))
    assert votes_right(counts) == [0.5, 1.0]


def test_reliability_of_the_classes_sums_to_that_of_all() -> None:
    counts, _ = drawn(5)
    whole, parts = reliability(counts, [counts]), reliability_by_class(counts)
    assert whole is not None
    np.testing.assert_allclose(sum(part.gap_B for part in parts), whole.gap_B, atol=1e-12)
    np.testing.assert_allclose(sum(part.weight_B for part in parts), whole.weight_B)
    assert np.abs([part.gap_B for part in parts]).max() > 0.001
