"""Two recipes against their definitions by plain NumPy and SciPy, and the refusals."""

import json

import numpy as np
import pytest
from scipy import stats

from airbench_var.analysis import compare_counts
from airbench_var.errors import StoreRefusedError, UsageError
from airbench_var.report.comparison import notes, reading
from airbench_var.stats import CorrectnessCounts
from tests.statistical.generator import count

N = 60


def matrix(runs: int, shift: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.random((runs, N)) < np.clip(np.linspace(0.4, 1, N) + shift, 0, 1)


@pytest.fixture
def a_RN() -> np.ndarray:
    return matrix(12, 0.0, 1)


@pytest.fixture
def b_RN() -> np.ndarray:
    return matrix(9, -0.05, 2)


def test_the_difference_on_this_test_set_is_welchs(a_RN: np.ndarray, b_RN: np.ndarray) -> None:
    found = compare_counts("cifar10", count(a_RN), count(b_RN))
    estimate = found.estimates["difference_on_this_test_set"]
    welch = stats.ttest_ind(a_RN.mean(axis=1), b_RN.mean(axis=1), equal_var=False)
    assert estimate.value == pytest.approx(a_RN.mean() - b_RN.mean())
    assert estimate.interval == pytest.approx(tuple(welch.confidence_interval(0.95)))
    assert found.p_values["difference_on_this_test_set"] == pytest.approx(welch.pvalue)
    assert (found.runs, found.examples) == ((12, 9), N)


def test_the_distribution_adds_the_spread_over_examples(a_RN: np.ndarray, b_RN: np.ndarray) -> None:
    found = compare_counts("cifar10", count(a_RN), count(b_RN))
    run_part = a_RN.mean(axis=1).var(ddof=1) / 12 + b_RN.mean(axis=1).var(ddof=1) / 9
    noise = a_RN.var(axis=0, ddof=1).mean() / 12 + b_RN.var(axis=0, ddof=1).mean() / 9
    spread = (a_RN.mean(axis=0) - b_RN.mean(axis=0)).var(ddof=1) - noise
    example_part = max(0, spread) / N
    error = np.sqrt(run_part + example_part)
    squares = (a_RN.mean(axis=1).var(ddof=1) / 12) ** 2 / 11 + (b_RN.mean(axis=1).var(ddof=1) / 9) ** 2 / 8
    law = stats.t(error**4 / (squares + example_part**2 / (N - 1)))
    estimate = found.estimates["difference_on_the_distribution"]
    assert estimate.standard_errors["distribution"] == pytest.approx(error)
    assert estimate.interval is not None
    assert estimate.interval[1] - (estimate.value or 0) == pytest.approx(law.ppf(0.975) * error)
    p_value = found.p_values["difference_on_the_distribution"]
    assert p_value == pytest.approx(2 * law.sf(abs(estimate.value or 0) / error))


def test_the_chance_to_beat_is_mann_whitneys(a_RN: np.ndarray, b_RN: np.ndarray) -> None:
    a_R, b_R = a_RN.sum(axis=1), b_RN.sum(axis=1)
    statistic = stats.mannwhitneyu(a_R, b_R).statistic
    estimate = compare_counts("cifar10", count(a_RN), count(b_RN)).estimates["probability_a_beats_b"]
    assert estimate.value == pytest.approx(statistic / (12 * 9))
    assert estimate.interval is not None
    assert 0 < estimate.interval[0] < (estimate.value or 0) < estimate.interval[1] < 1


def test_runs_that_never_lose_have_no_interval() -> None:
    found = compare_counts("cifar10", count(matrix(5, 0.5, 3)), count(matrix(5, -0.3, 4)))
    estimate = found.estimates["probability_a_beats_b"]
    assert (estimate.value, estimate.interval) == (1, None)
    assert "every run of one recipe beats" in estimate.absent


def test_exchanging_the_recipes_exchanges_the_signs(a_RN: np.ndarray, b_RN: np.ndarray) -> None:
    there, back = (
        compare_counts("cifar10", count(x), count(y)).estimates for x, y in ((a_RN, b_RN), (b_RN, a_RN))
    )
    for name in ("difference_on_this_test_set", "difference_on_the_distribution"):
        low, high = there[name].interval or (0, 0)
        assert back[name].interval == pytest.approx((-high, -low))
    low, high = there["variance_ratio_a_to_b"].interval or (1, 1)
    assert back["variance_ratio_a_to_b"].interval == pytest.approx((1 / high, 1 / low))
    low, high = there["probability_a_beats_b"].interval or (0, 0)
    assert back["probability_a_beats_b"].interval == pytest.approx((1 - high, 1 - low))


def test_equal_runs_are_a_warning(a_RN: np.ndarray, b_RN: np.ndarray) -> None:
    b_RN[4] = a_RN[7]
    [warning] = compare_counts("cifar10", count(a_RN), count(b_RN)).warnings
    assert warning.startswith("1 run is equal in both, bit for bit (run 7 of A, run 4 of B)")


def test_of_equal_runs_nothing_but_the_values_is_given(a_RN: np.ndarray, b_RN: np.ndarray) -> None:
    plain = compare_counts("cifar10", count(a_RN), count(b_RN))
    b_RN[4] = a_RN[7]
    found = compare_counts("cifar10", count(a_RN), count(b_RN))
    assert all(one.interval for one in plain.estimates.values())
    for one in found.estimates.values():
        assert (one.interval, one.absent) == (None, "equal runs are in both")
        assert one.value is not None
    assert (dict(found.p_values), len(plain.p_values)) == ({}, 2)
    assert "cannot be said from these stores alone: equal runs are in both" in reading(found)


def test_of_few_runs_the_distribution_is_known_no_better_than_this_test_set() -> None:
    """Satterthwaite alone would give p < 0.0001 on the distribution, and 0.014 on this test set."""
    rng, chance_N = np.random.default_rng(8), np.linspace(0.2, 1.2, N)
    a_RN, b_RN = (
        rng.random((2, N)) < np.clip(chance_N + np.array(shifts)[:, None], 0, 1)
        for shifts in ((-0.02, 0.04), (-0.28, -0.22))
    )
    found = compare_counts("cifar10", count(a_RN), count(b_RN))
    here, fresh = (
        found.estimates[f"difference_on_{where}"].interval for where in ("this_test_set", "the_distribution")
    )
    assert here is not None
    assert fresh is not None
    assert fresh[0] <= here[0] < here[1] <= fresh[1]
    p_here, p_fresh = found.p_values.values()
    assert p_fresh >= p_here > 0.01


@pytest.mark.parametrize(
    ("b", "error", "message"),
    [
        (CorrectnessCounts.empty(N, "another"), StoreRefusedError, "is not the same"),
        (CorrectnessCounts.empty(N + 1, "simulated"), StoreRefusedError, "is not the same"),
        (CorrectnessCounts.empty(N, "simulated"), UsageError, "B has 0 runs on 60 examples"),
        (count(np.ones((4, N))), UsageError, "every run of B has the same accuracy"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    a_RN: np.ndarray, b: CorrectnessCounts, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        compare_counts("cifar10", count(a_RN), b)


def test_json(a_RN: np.ndarray, b_RN: np.ndarray) -> None:
    document = compare_counts("cifar10", count(a_RN), count(b_RN)).to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert list(document["estimates"]) == [
        "difference_on_this_test_set",
        "difference_on_the_distribution",
        "probability_a_beats_b",
        "variance_ratio_a_to_b",
    ]


def test_diverged_runs_are_counted_and_the_difference_without_them_is_given() -> None:
    rng = np.random.default_rng(30)
    a_RN, b_RN = (rng.random((20, 100)) < 0.9 for _ in range(2))
    a_RN[[2, 5]] = b_RN[7] = np.arange(100) < 10  # they predict one class, in both campaigns
    diverged = frozenset({2, 5}), frozenset({7})
    found = compare_counts("cifar10", count(a_RN), count(b_RN), diverged=diverged)
    assert found.diverged == (2, 1)
    assert found.warnings == ()
    kept = np.delete(a_RN, [2, 5], axis=0).mean() - np.delete(b_RN, 7, axis=0).mean()
    assert found.difference_without_diverged == pytest.approx(kept)
    assert found.estimates["difference_on_this_test_set"].value == pytest.approx(a_RN.mean() - b_RN.mean())
    [note] = notes(found)
    assert note.startswith("2 runs of A and 1 of B diverged")
    assert compare_counts("cifar10", count(a_RN), count(b_RN)).warnings  # nobody said that they diverged
    plain = compare_counts("cifar10", count(a_RN[:2]), count(b_RN[:7]))
    assert (plain.diverged, plain.difference_without_diverged) == ((0, 0), None)


def test_few_runs_have_no_interval_of_the_chance_to_beat() -> None:
    rng = np.random.default_rng(31)
    a_RN, b_RN = (rng.random((5, 100)) < 0.8 for _ in range(2))
    enough, few = (compare_counts("", count(a_RN[:runs]), count(b_RN)).estimates for runs in (5, 4))
    assert enough["probability_a_beats_b"].interval is not None
    assert few["probability_a_beats_b"].interval is None
    assert "at least 5 runs of each are needed, there are 4 and 5" in few["probability_a_beats_b"].absent
