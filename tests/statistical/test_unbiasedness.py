"""V, I and Eq 3 are right on average, also from two runs; the plug-in form of Eq 3 is not."""

from collections.abc import Callable

import numpy as np
import pytest

from airbench_var.analysis import variance
from airbench_var.stats import CorrectnessCounts
from tests.statistical.figures import number
from tests.statistical.generator import MEAN_PQ, simulate

SETS = 6000


def plug_in(state: CorrectnessCounts) -> float:
    """Eq 3 with p(1-p) in place of the unbiased variance of an example: too large by I / R."""
    p_N = state.c_N / state.R
    return float(variance.test_set_variance(state)) - float(p_N @ (1 - p_N)) / state.n**2


def z_score(estimates: list[float], truth: float) -> float:
    return float((np.mean(estimates) - truth) / (np.std(estimates, ddof=1) / np.sqrt(len(estimates))))


@pytest.mark.parametrize(
    ("n", "runs", "std"),
    [(20, 2, 0.02), (2, 2, 0.02), (30, 5, 0.0), (15, 3, 0.01)],
    ids=["two runs", "two runs, two examples", "no effect", "three runs"],
)
def test_variances_are_unbiased_and_the_plug_in_form_is_not(n: int, runs: int, std: float) -> None:
    rng = np.random.default_rng([4, n, runs])
    states = [
        simulate(rng, n=n, runs=runs, distribution_wise_std=std, effects="coin").counts for _ in range(SETS)
    ]
    independent = MEAN_PQ / n
    truths: dict[Callable[[CorrectnessCounts], object], float] = {
        variance.test_set_variance: independent + (1 - 1 / n) * std**2,
        variance.independent_errors_variance: independent,
        variance.distribution_wise_variance: std**2,
    }
    for estimator, truth in truths.items():
        values = [float(estimator(state)) for state in states]  # type: ignore[arg-type]
        assert number(f"|z|, {estimator.__name__}", abs(z_score(values, truth)), None, 3, SETS)
    z = z_score([plug_in(state) for state in states], std**2 * (1 - 1 / n))
    assert number("z, plug-in Eq 3", z, 3, None, SETS)
