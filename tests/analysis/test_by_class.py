"""Accuracies by class, against NumPy on the rows themselves."""

import numpy as np
import pytest
from scipy.stats import chi2, t

from airbench_var.analysis.by_class import OneClass, by_class, votes_right
from airbench_var.analysis.calibration import reliability, reliability_by_class
from airbench_var.stats import ClassCounts, PredictionCounts


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


def found(counts: PredictionCounts, predicted_RN: np.ndarray, *, votes: bool = True) -> tuple[OneClass, ...]:
    right_RN = predicted_RN == counts.labels_N
    packed_RB = np.packbits(right_RN, axis=1, bitorder="little")
    of_classes = ClassCounts.empty(counts.K, counts.labels_N).of(np.arange(len(right_RN)), packed_RB)
    return by_class(of_classes, counts if votes else None, 0.95)


@pytest.mark.parametrize("votes", [True, False])
@pytest.mark.parametrize("K", [2, 3, 10, 40])
def test_means_spreads_and_intervals_are_those_of_the_rows(K: int, votes: bool) -> None:
    """With predicted classes and without: labels suffice, but for the vote."""
    counts, predicted_RN = drawn(K)
    for k, one in enumerate(found(counts, predicted_RN, votes=votes)):
        mine = counts.labels_N == k
        accuracy_R = (predicted_RN[:, mine] == k).mean(axis=1)
        assert one.accuracy is not None
        assert one.std is not None
        assert (one.label, one.examples) == (k, mine.sum())
        assert one.accuracy.value == pytest.approx(accuracy_R.mean())
        std = accuracy_R.std(ddof=1)
        reach = t.ppf(0.975, 29) * std / np.sqrt(30)
        low, high = max(0, accuracy_R.mean() - reach), min(1, accuracy_R.mean() + reach)
        assert one.accuracy.interval == pytest.approx((low, high))
        assert one.std.value == pytest.approx(std)
        assert one.std.interval is not None
        low, high = std * np.sqrt(29 / chi2.ppf([0.975, 0.025], 29))
        assert one.std.interval[0] <= low * (1 + 1e-9)  # kurtosis may only widen it
        assert one.std.interval[1] >= min(0.5, high * (1 - 1e-9))  # no share has a larger one
        assert one.accuracy.runs == one.std.runs == 30
        assert (one.vote_accuracy is None) == (not votes)


def test_what_cannot_be_said_is_absent_with_its_reason() -> None:
    few = found(*drawn(3, runs=1))[0]
    assert few.accuracy is not None
    assert few.std is not None
    assert few.accuracy.value is not None
    assert few.std.value is None
    for one in (few.accuracy, few.std):
        assert (one.interval, one.absent) == (None, "at least 2 runs are needed, there is 1")
    counts, predicted_RN = drawn(3)
    still = found(counts, np.repeat(predicted_RN[:1], 30, axis=0))[0]
    assert still.accuracy is not None
    assert "every run has the same accuracy" in still.accuracy.absent
    nobody = found(*drawn(3, absent=1))[1]
    assert (nobody.examples, nobody.accuracy, nobody.std, nobody.vote_accuracy) == (0, None, None, None)
    none = found(*drawn(3, runs=0))[0]
    assert none.accuracy is not None
    assert none.accuracy.value is None
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
