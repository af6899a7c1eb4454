"""Mean and variance of the squared covariances under independence, against all shuffles of small columns."""

from itertools import permutations, product

import numpy as np
import pytest

from airbench_var.analysis.squared_covariance import _under_independence, squared_covariance


@pytest.mark.parametrize("c", [(1, 2, 3), (2, 2, 2), (1, 1, 3), (0, 2, 3), (1, 3, 4)])
def test_moments_are_those_of_all_shuffles(c: tuple[int, ...]) -> None:
    R = 4
    columns = [sorted(set(permutations([1] * k + [0] * (R - k)))) for k in c]
    sums, norms = [], []
    for shuffled in product(*columns):
        centred_RN = np.array(shuffled).T - np.array(c) / R
        T_NN = centred_RN.T @ centred_RN
        sums.append((T_NN**2).sum() - (np.diag(T_NN) ** 2).sum())
        mean_RR = np.diag(T_NN).sum() / (R - 1) * (np.eye(R) - 1 / R)
        norms.append(((centred_RN @ centred_RN.T - mean_RR) ** 2).sum())
    chance = _under_independence(np.array(c), R)
    assert float(chance.mean) == pytest.approx(np.mean(sums), rel=1e-12)
    assert float(chance.variance) == pytest.approx(np.var(sums), rel=1e-12)
    assert float(chance.spread) == pytest.approx(np.mean(norms), rel=1e-12)
    assert np.var(np.subtract(norms, sums)) == pytest.approx(0, abs=1e-20)  # the counts fix the difference


def test_excess_is_the_mean_squared_covariance_less_the_null_of_the_variances() -> None:
    rng = np.random.default_rng(0)
    R, n = 30, 25
    correct_RN = rng.random((R, n)) < rng.random(n)
    c_N = correct_RN.sum(axis=0)
    covariance_NN = np.cov(correct_RN.T)
    v_N = np.diag(covariance_NN)
    mean = ((covariance_NN**2).sum() - v_N @ v_N) / (n * (n - 1))
    null = (v_N.sum() ** 2 - v_N @ v_N) / ((R - 1) * n * (n - 1))
    both_NN = correct_RN.T.astype(int) @ correct_RN.astype(int)
    deviations = (R * both_NN - np.outer(c_N, c_N))[np.triu_indices(n, 1)]
    found = squared_covariance(c_N, R, int(deviations @ deviations))
    assert (found.mean, found.by_chance) == pytest.approx((mean, null), rel=1e-12)
    assert found.excess == pytest.approx(mean - null, rel=1e-9)
    assert found.test.statistic == pytest.approx(mean / null)
    assert found.to_json()["test"]["p_value"] == found.test.p_value


def test_two_runs_leave_nothing_to_test() -> None:
    found = squared_covariance(np.array([1, 1, 0]), 2, 1)
    assert found.test.p_value is None
    assert found.test.absent == "with so few runs or examples it has one value only"
    assert found.excess == 0
