"""The law of independent errors against direct convolution and SciPy."""

import numpy as np
import pytest
from scipy import stats

from airbench_var.analysis.poisson_binomial import poisson_binomial


def convolved(p_N: np.ndarray) -> np.ndarray:
    """Return the law by adding one example after the other."""
    law = np.ones(1)
    for p in p_N:
        law = np.convolve(law, [1 - p, p])
    return law


def whole(c_N: np.ndarray, R: int) -> np.ndarray:
    law = poisson_binomial(c_N, R)
    pmf = np.zeros(len(c_N) + 1)
    pmf[law.first : law.first + len(law.pmf_K)] = law.pmf_K
    return pmf


@pytest.mark.parametrize("seed", range(60))
def test_equals_direct_convolution(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, R = int(rng.integers(1, 80)), int(rng.integers(1, 40))
    c_N = rng.integers(0, R + 1, n)
    np.testing.assert_allclose(whole(c_N, R), convolved(c_N / R), rtol=0, atol=1e-13)


@pytest.mark.parametrize("share", [0, 1, 2])  # no group, rates of a half (a factor of 0), all certain
def test_special_rates(share: int) -> None:
    np.testing.assert_allclose(
        whole(np.full(9, share), 2), convolved(np.full(9, share / 2)), rtol=0, atol=1e-13
    )


def test_ten_thousand_examples_against_convolution_and_scipy() -> None:
    rng = np.random.default_rng(0)
    R = 1000
    c_N = rng.binomial(R, np.where(rng.random(10_000) < 0.7, 1.0, rng.beta(1.149, 0.204, 10_000)))
    law, pmf = poisson_binomial(c_N, R), whole(c_N, R)
    np.testing.assert_allclose(pmf, convolved(c_N / R), rtol=0, atol=1e-13)
    assert law.pmf_K.sum() == pytest.approx(1, abs=1e-12)
    assert law.mean == pytest.approx(c_N.sum() / R, abs=1e-9)
    if hasattr(stats, "poisson_binom"):  # SciPy 1.15 and later
        places = np.arange(law.first, law.first + len(law.pmf_K))
        np.testing.assert_allclose(law.pmf_K, stats.poisson_binom.pmf(places, c_N / R), rtol=0, atol=1e-13)
