"""Theorem 3 on all binary tasks: equal to collapsing the classes and counting again, task by task."""

import numpy as np
import pytest

from airbench_var.analysis import theorems, variance
from airbench_var.stats import CorrectnessCounts, PredictionCounts
from tests.statistical.classes import simulate_classes
from tests.statistical.generator import count


@pytest.mark.parametrize(("runs", "n", "K"), [(2, 2, 3), (3, 17, 4), (9, 40, 5), (2, 30, 10), (70, 12, 3)])
def test_every_task_is_what_collapsing_the_classes_gives(runs: int, n: int, K: int) -> None:
    drawn = simulate_classes(np.random.default_rng(n), n=n, runs=runs, K=K)
    found = theorems.collapses(drawn.counts)
    assert found is not None
    assert len(found.error_T) == 2 ** (K - 1) - 1
    assert len({tuple(sides) for sides in found.positive_TK.tolist()}) == len(found.error_T)
    assert all(0 < sides.sum() < K for sides in found.positive_TK)
    for task, side_K in enumerate(found.positive_TK):
        binary = count(side_K[drawn.predicted_RN] == side_K[drawn.labels_N])
        assert found.error_T[task] == pytest.approx(1 - float(variance.mean_accuracy(binary)))
        for ours, theirs in (
            (found.variance_T, variance.test_set_variance),
            (found.independent_errors_variance_T, variance.independent_errors_variance),
            (found.distribution_wise_variance_T, variance.distribution_wise_variance),
        ):
            assert ours[task] == pytest.approx(float(theirs(binary)), rel=1e-12, abs=1e-18)


def test_the_three_parts_sum_to_the_variance_and_one_is_disagreement_less_error() -> None:
    drawn = simulate_classes(np.random.default_rng(1), n=50, runs=8, K=5)
    found = theorems.collapses(drawn.counts)
    assert found is not None
    real = (1 - 1 / 50) * found.distribution_wise_variance_T
    np.testing.assert_allclose(found.predicted_T + found.calibration_T + real, found.variance_T, rtol=1e-12)
    side_K = found.positive_TK[6]
    sides_RN = side_K[drawn.predicted_RN]
    disagree = np.mean([(sides_RN[r] != sides_RN[s]).mean() for r in range(8) for s in range(8) if r != s])
    assert found.calibration_T[6] == pytest.approx((disagree - found.error_T[6]) / 100)


@pytest.mark.parametrize(("runs", "n", "K"), [(1, 9, 4), (5, 1, 4), (5, 9, 2), (5, 9, 13)])
def test_where_there_is_no_task_or_no_variance_there_is_nothing(runs: int, n: int, K: int) -> None:
    assert theorems.collapses(simulate_classes(np.random.default_rng(2), n=n, runs=runs, K=K).counts) is None


def test_runs_that_are_never_wrong_have_no_ratio() -> None:
    labels_N = np.array([0, 1, 2, 3], np.uint8)
    counts = PredictionCounts.of(4, labels_N, np.tile(labels_N, (5, 1)))
    assert theorems.theorem_3_ratio(counts, [], 0.95) is None
    ratio = theorems.theorem_4_ratio(count(np.ones((5, 4))), 4, 0.95)
    assert (ratio.value, ratio.absent) == (None, "no run is ever wrong")


def test_theorem_4_scales_the_variance_and_its_interval() -> None:
    correct_RN = np.random.default_rng(3).random((50, 200)) < 0.9
    counts: CorrectnessCounts = count(correct_RN)
    ratio = theorems.theorem_4_ratio(counts, 10, 0.95)
    error = 1 - correct_RN.mean()
    assert ratio.value == pytest.approx(correct_RN.mean(axis=1).var(ddof=1) * 200 * 10 / error)
    assert ratio.interval is not None
    assert ratio.interval[0] < ratio.value < ratio.interval[1]


@pytest.mark.parametrize("odd_one", [[0, 1, 2, 0, 1, 1], [1, 0, 2, 1, 1, 2]], ids=["all right", "not"])
def test_runs_that_do_not_differ_but_for_one_have_a_ratio_without_interval(odd_one: list[int]) -> None:
    """Without the odd one there is no variance, whose logarithm is infinite; or, as all are right, 0 / 0."""
    labels_N = np.array([0, 1, 2, 0, 1, 2], np.uint8)
    rows_RN = np.array([labels_N if odd_one[0] == 0 else [0, 1, 1, 0, 2, 2]] * 2 + [odd_one], np.uint8)
    chunks = [PredictionCounts.of(3, labels_N, row_N[None]) for row_N in rows_RN]
    ratio = theorems.theorem_3_ratio(PredictionCounts.of(3, labels_N, rows_RN), chunks, 0.95)
    assert ratio is not None
    assert ratio.value
    assert (ratio.interval, ratio.standard_errors) == (None, {})
    assert "too few runs differ" in ratio.absent


def test_the_interval_of_times_closer_holds_what_infinitely_many_runs_give() -> None:
    """Over-confident runs, so that neither law is right."""
    held = 0
    for seed in range(40):
        drawn = simulate_classes(np.random.default_rng(seed), n=150, runs=64, K=3, temperature=0.6)
        chunks = [chunk.predicted for chunk in drawn.state.chunks.values() if chunk.predicted is not None]
        found, n = theorems.times_closer(drawn.counts, chunks, 0.95), len(drawn.labels_N)
        sides_TK = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1]], bool)
        positive_TN = sides_TK @ drawn.vote_NK.T
        wrong_TN = np.where(sides_TK[:, drawn.labels_N], 1 - positive_TN, positive_TN)
        std_T, error_T = np.sqrt((wrong_TN * (1 - wrong_TN)).sum(axis=1)) / n, wrong_TN.mean(axis=1)
        ours_T, theirs_T = np.sqrt(error_T / (2 * n)), np.sqrt(error_T * (1 - error_T) / n)
        truth = np.mean((std_T - theirs_T) ** 2) / np.mean((std_T - ours_T) ** 2)
        whole = theorems.collapses(drawn.counts)
        assert whole is not None
        assert found.value == whole.fit["times_closer_std"]
        assert found.interval is not None
        held += found.interval[0] <= truth <= found.interval[1]
    assert held >= 33  # of 38 expected; four standard deviations
