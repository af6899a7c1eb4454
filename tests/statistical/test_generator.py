"""The generator's stated truths, checked where they are not true by construction."""

import numpy as np
import pytest

from tests.statistical.generator import MEAN_ACCURACY, MEAN_PQ, run_effects, simulate


def test_population_has_the_stated_moments() -> None:
    drawn = simulate(np.random.default_rng(1), n=400_000, runs=1, distribution_wise_std=0.0)
    # Standard errors at 400,000 examples: 0.0003 for the mean of p, 0.00008 for that of p(1-p).
    assert drawn.mean_accuracy == pytest.approx(MEAN_ACCURACY, abs=0.001)
    assert drawn.independent_errors_variance * 400_000 == pytest.approx(MEAN_PQ, abs=0.00025)


@pytest.mark.parametrize("effects", ["normal", "failing", "coin"])
def test_run_effects_have_mean_0_and_variance_1(effects: str) -> None:
    z_R = run_effects(np.random.default_rng(2), 200_000, effects)  # type: ignore[arg-type]
    assert abs(z_R.mean()) < 3 / np.sqrt(len(z_R))
    # Standard error of the variance: sqrt((kurtosis - 1) / R), at most sqrt(17 / R) for the failing runs.
    assert z_R.var() == pytest.approx(1, abs=3 * np.sqrt(17 / len(z_R)))


def test_truths_of_this_test_set_are_those_of_many_runs() -> None:
    drawn = simulate(np.random.default_rng(3), n=200, runs=20_000, distribution_wise_std=0.02, effects="coin")
    state = drawn.counts
    assert state.S1 / (state.n * state.R) == pytest.approx(
        drawn.mean_accuracy, abs=4 * np.sqrt(4e-4 / state.R)
    )
    # Relative standard error of a variance from 20,000 runs: at most sqrt(2 / R) = 1 %.
    accuracy_R = state.k_R / state.n
    assert accuracy_R.var(ddof=1) == pytest.approx(drawn.test_set_variance, rel=0.03)
