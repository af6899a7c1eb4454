"""A machine that changed on the way is seen, and Eq 3 within chunks does not have it."""

import numpy as np
import pytest
from scipy import stats

from airbench_var.analysis import summarize
from airbench_var.analysis.drift import drift, within_chunk_variance
from airbench_var.analysis.variance import distribution_wise_variance
from tests.statistical.generator import count, state_with_classes


def test_the_test_is_a_one_way_analysis_of_variance() -> None:
    correct_RN = np.random.default_rng(0).random((100, 50)) < 0.7
    test = drift(count(correct_RN))
    theirs = stats.f_oneway(*np.array_split(correct_RN.sum(1), 12))
    assert test.statistic == pytest.approx(theirs.statistic)
    assert test.p_value == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize(
    ("correct_RN", "reason"),
    [(np.eye(15), "at least 16 runs are needed, there are 15"), (np.eye(16), "all have the same accuracy")],
)
def test_reasons(correct_RN: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", reason: str) -> None:
    test = drift(count(correct_RN))
    assert (test.statistic, test.p_value) == (None, None)
    assert reason in test.absent


def test_a_machine_that_changed_on_the_way() -> None:
    chance_R = np.where(np.arange(128) < 64, 0.9, 0.8)
    correct_RN = np.random.default_rng(1).random((128, 400)) < chance_R[:, None]
    state = state_with_classes(correct_RN, 3)
    summary = summarize("cifar10", state)
    p_value = summary.tests["drift"].p_value
    assert p_value is not None
    assert p_value < 1e-6
    whole = summary.estimates["distribution_wise_variance"].value
    assert whole is not None
    assert whole == pytest.approx(0.05**2, rel=0.2)
    assert summary.within_chunk_variance is not None
    assert abs(summary.within_chunk_variance) < 0.1 * whole


def test_no_chunk_of_two_runs_is_nothing_to_compare() -> None:
    assert within_chunk_variance([]) is None
    assert within_chunk_variance([count(np.eye(1, 5)), count(np.eye(3, 1))]) is None


def test_chunks_count_by_their_degrees_of_freedom() -> None:
    rng = np.random.default_rng(2)
    small, large = (count(rng.random((runs, 30)) < 0.7) for runs in (2, 9))
    one, other = (float(distribution_wise_variance(counts)) for counts in (small, large))
    assert one != pytest.approx(other)
    assert within_chunk_variance([small, large]) == pytest.approx((one + 8 * other) / 9)
