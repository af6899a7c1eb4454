"""The tests of independent errors: exact moments of the null, and silence where there is no test."""

import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats

from airbench_var.analysis import summarize
from airbench_var.analysis.independence import goodness_of_fit, under_dispersion_p_value, variance_ratio
from tests.statistical.generator import count, simulate, state_of


def test_the_null_mean_and_variance_are_those_of_shuffled_columns() -> None:
    """Every column of 0s and 1s shuffled by itself, in all ways, against the two moments the test matches."""
    correct_RN = np.array([[1, 1, 0, 1], [0, 1, 0, 1], [1, 0, 0, 1]])
    columns = [sorted(set(itertools.permutations(column))) for column in correct_RN.T.tolist()]
    values = [np.var(np.sum(shuffled, axis=0), ddof=1) for shuffled in itertools.product(*columns)]
    v_N = correct_RN.var(axis=0, ddof=1)
    assert np.mean(values) == pytest.approx(v_N.sum())
    assert np.var(values) == pytest.approx(2 / (3 - 1) * (v_N.sum() ** 2 - v_N @ v_N))
    state = count(correct_RN)
    freedom = 2 * v_N.sum() ** 2 / np.var(values)
    observed = correct_RN.sum(axis=1).var(ddof=1)
    test = variance_ratio(state)
    assert test.statistic == pytest.approx(observed / v_N.sum())
    assert test.p_value == pytest.approx(stats.chi2.sf(freedom * observed / v_N.sum(), freedom))
    assert under_dispersion_p_value(state) == pytest.approx(1 - (test.p_value or 0))


def test_a_common_effect_is_found_and_its_absence_is_not() -> None:
    rng = np.random.default_rng(3)
    without = simulate(rng, n=2000, runs=200, distribution_wise_std=0.0).counts
    with_effect = simulate(rng, n=2000, runs=200, distribution_wise_std=0.005).counts
    for test in (variance_ratio, goodness_of_fit):
        assert (test(without).p_value or 0) > 0.05
        assert (test(with_effect).p_value or 1) < 0.01


def test_the_same_runs_give_the_same_p_value() -> None:
    state = simulate(np.random.default_rng(4), n=300, runs=40, distribution_wise_std=0.01).counts
    assert goodness_of_fit(state) == goodness_of_fit(state)


def test_the_least_p_value_is_that_of_no_draw_beyond() -> None:
    far = simulate(np.random.default_rng(3), n=2000, runs=200, distribution_wise_std=0.02).counts
    test = goodness_of_fit(far, draws=99)
    assert (test.p_value, test.least_p_value) == (0.01, 0.01)
    assert variance_ratio(far).least_p_value == 0  # of a law, not of draws


@pytest.mark.parametrize(
    ("correct_RN", "reason"),
    [
        (np.ones((0, 5)), "runs are needed, there are 0"),
        (np.eye(1, 5), "runs are needed, there is 1"),
        (np.ones((5, 9)), "at least 2 examples must be right in some runs and wrong in others, here 0"),
        (np.eye(5, 1), "at least 2 examples must be right in some runs and wrong in others, here 1"),
    ],
)
def test_no_p_value_is_given_where_there_is_nothing_to_compare(
    correct_RN: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", reason: str
) -> None:
    summary = summarize("cifar10", state_of(count(correct_RN)))
    for test in (summary.tests["variance_ratio"], summary.tests["goodness_of_fit"]):
        assert (test.statistic, test.p_value) == (None, None)
        assert reason in test.absent
    json.dumps(summary.to_json(), allow_nan=False)


def test_under_dispersion_has_a_small_p_value_and_independence_has_not() -> None:
    rng = np.random.default_rng(25)
    half_RN = rng.random((60, 100)) < 0.8
    mirrored_RN = np.concatenate([half_RN, ~half_RN], axis=1)  # every run right on 100 of 200
    mirrored_RN[0, 0] ^= True
    assert under_dispersion_p_value(count(mirrored_RN)) < 1e-6
    p_values = [under_dispersion_p_value(count(rng.random((30, 100)) < 0.8)) for _ in range(400)]
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / 400))
    assert under_dispersion_p_value(count(np.ones((5, 9)))) == 1


@pytest.mark.parametrize(("runs", "absent"), [(4, "at least 5 runs are needed, there are 4"), (5, "")])
def test_a_distribution_takes_five_runs(runs: int, absent: str) -> None:
    counts = simulate(np.random.default_rng(5), n=200, runs=runs, distribution_wise_std=0.0).counts
    assert (goodness_of_fit(counts, draws=9).absent, goodness_of_fit(counts).p_value is None) == (
        absent,
        bool(absent),
    )
    assert variance_ratio(counts).p_value is not None


def test_a_handful_of_errors_has_no_chi_square_law() -> None:
    """Of the 13 wrong answers of 100 runs one run has four; a smooth law takes that for impossible."""
    correct_RN = np.ones((100, 20), bool)
    correct_RN[np.arange(10) + 5, np.arange(10)] = False
    correct_RN[5, :4] = False
    test = variance_ratio(count(correct_RN))
    assert (test.statistic, test.p_value) == (None, None)
    assert "errors are too few" in test.absent
