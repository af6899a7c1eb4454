"""The four formulas against their definitions, as exact fractions."""

from fractions import Fraction
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from airbench_var.analysis import variance
from airbench_var.stats import CorrectnessCounts
from tests.statistical.generator import count


def sample_variance(values: list[Fraction]) -> Fraction:
    mean = sum(values, Fraction(0)) / len(values)
    return sum(((v - mean) ** 2 for v in values), Fraction(0)) / (len(values) - 1)


def mean_pair_covariance(correct_RN: npt.NDArray[Any]) -> Fraction:
    """Return the mean over r != s and i != j of (C_ri - C_si)(C_rj - C_sj) / 2: Eq 3 from its definition."""
    runs, n = correct_RN.shape
    cells = correct_RN.astype(int).tolist()
    total = sum(
        (cells[r][i] - cells[s][i]) * (cells[r][j] - cells[s][j])
        for r, s in permutations(range(runs), 2)
        for i, j in permutations(range(n), 2)
    )
    return Fraction(total, 2 * runs * (runs - 1) * n * (n - 1))


def cases() -> list[npt.NDArray[np.bool_]]:
    """Return 60 small matrices: R = 2, n = 2, all right, all wrong, ragged last bytes, and random ones."""
    rng = np.random.default_rng(10)
    shapes = [
        (2, 2),
        (2, 9),
        (6, 2),
        (3, 8),
        *zip(rng.integers(2, 8, 52), rng.integers(2, 14, 52), strict=True),
    ]
    matrices = [rng.random((int(runs), int(n))) < rng.random(int(n)) for runs, n in shapes]
    return [
        *matrices,
        np.ones((4, 7), bool),
        np.zeros((3, 10), bool),
        np.eye(5, dtype=bool),
        ~np.eye(3, 11, dtype=bool),
    ]


@pytest.mark.parametrize("correct_RN", cases(), ids=lambda matrix: "x".join(map(str, matrix.shape)))
def test_equals_the_definition_exactly(correct_RN: npt.NDArray[np.bool_]) -> None:
    state, (runs, n) = count(correct_RN), correct_RN.shape
    accuracies = [Fraction(int(row.sum()), n) for row in correct_RN]
    per_example = [sample_variance([Fraction(int(x)) for x in column]) for column in correct_RN.T]

    assert variance.mean_accuracy(state) == sum(accuracies, Fraction(0)) / runs
    p = variance.mean_accuracy(state)
    assert variance.binomial_variance(state) == p * (1 - p) / n
    assert variance.test_set_variance(state) == sample_variance(accuracies)
    assert variance.independent_errors_variance(state) == sum(per_example, Fraction(0)) / n**2
    assert variance.distribution_wise_variance(state) == mean_pair_covariance(correct_RN)


def test_distribution_wise_variance_is_the_papers_equation() -> None:
    state = count(np.random.default_rng(11).random((40, 33)) < 0.7)
    excess = variance.test_set_variance(state) - variance.independent_errors_variance(state)
    assert variance.distribution_wise_variance(state) == Fraction(33, 32) * excess


def test_no_integer_overflows_in_a_large_campaign() -> None:
    """60,000 runs on 50,000 examples, half of them wrong on the same 20,000: a closed form."""
    runs, n, hard = 60_000, 50_000, 20_000
    k_R = np.where(np.arange(runs) % 2 == 0, n, n - hard)
    is_hard_N = np.arange(n) < hard
    good, all_runs = k_R[k_R == n], k_R
    sums = {
        name: np.where(is_hard_N, (good**power).sum(), (all_runs**power).sum())
        for name, power in (("c_N", 0), ("h_N", 1), ("h2_N", 2))
    }
    state = CorrectnessCounts(
        n=n,
        test_set_hash="synthetic",
        run_ids_R=np.arange(runs),
        k_R=k_R,
        even_R=k_R // 2,
        row_hash_RB=np.zeros((runs, 16), np.uint8),
        **sums,
    )
    assert runs * state.S2 > 2**62
    different = Fraction(runs, 2 * (runs - 1))  # chance that two runs are of different halves
    assert variance.distribution_wise_variance(state) == different * Fraction(
        hard * (hard - 1), 2 * n * (n - 1)
    )
    assert variance.independent_errors_variance(state) == different * Fraction(hard, 2 * n**2)
    p = variance.mean_accuracy(state)
    assert variance.binomial_variance(state) == p * (1 - p) / n
    assert variance.test_set_variance(state) == different * Fraction(hard**2, 2 * n**2)
