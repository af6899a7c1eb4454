import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from airbench_var.analysis import plan, std_interval_of, std_of
from airbench_var.errors import StoreRefusedError, UsageError
from tests.statistical.generator import count


def power_by_scipy(runs: int, effect: float, level: float = 0.95) -> float:
    """Return the power of a two-sided t test of equal variances from SciPy's noncentral t."""
    freedom, shift = 2 * runs - 2, effect * math.sqrt(runs / 2)
    critical = stats.t.ppf((1 + level) / 2, freedom)
    return float(stats.nct.sf(critical, freedom, shift) + stats.nct.cdf(-critical, freedom, shift))


@pytest.mark.parametrize(
    ("difference", "power", "published"),
    [
        (0.001, 0.8, 36), (0.0005, 0.8, 140), (0.0002, 0.8, 872), (0.0001, 0.8, 3486),
        (0.001, 0.9, 47), (0.0005, 0.9, 187), (0.0002, 0.9, 1166), (0.0001, 0.9, 4666),
    ],
)  # fmt: skip
def test_runs_are_the_fewest_with_the_power(difference: float, power: float, published: int) -> None:
    """The std is that of the paper's 64 epochs; published: 2 V (z + z)^2 / d^2 + z^2 / 4, rounded."""
    found = plan(difference, 0.00149, power=power)
    assert abs(found.runs - published) <= 2
    assert power_by_scipy(found.runs, difference / 0.00149) >= power
    assert power_by_scipy(found.runs - 1, difference / 0.00149) < power
    assert found.power_at_runs == pytest.approx(power_by_scipy(found.runs, difference / 0.00149))


def test_planned_runs_have_the_power_in_a_simulation() -> None:
    runs, sets = plan(0.002, 0.004).runs, 4000
    rng = np.random.default_rng(0)
    a, b = (rng.normal(mean, 0.004, (sets, runs)) for mean in (0.002, 0.0))
    share = np.mean(stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue < 0.05)
    assert share == pytest.approx(0.8, abs=3 * math.sqrt(0.8 * 0.2 / sets))


def test_a_large_difference_takes_two_runs() -> None:
    assert plan(0.9, 0.001).runs == 2


def test_pilots_say_what_the_test_set_can_show() -> None:
    """Half of the examples gain 0.2, the other half lose 0.2: only more examples tell it from 0."""
    rng = np.random.default_rng(1)
    n, runs = 1000, 400
    effect_N = np.where(np.arange(n) % 2, 0.2, -0.2)
    a, b = (count(rng.random((runs, n)) < 0.5 + sign * effect_N / 2) for sign in (1, -1))
    found = plan(0.01, std_of(a, b), pilots=(a, b))
    floor = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * 0.2 / math.sqrt(n)
    assert found.distribution_floor == pytest.approx(floor, rel=0.05)
    assert found.runs_that_help == pytest.approx(2 * 0.24 / n / (0.04 / n), rel=0.2)
    assert std_of(a, b) == pytest.approx(math.sqrt(0.24 / n), rel=0.1)


@pytest.mark.parametrize("campaigns", [1, 2])
def test_the_interval_of_the_std_covers_it(campaigns: int) -> None:
    """Of one campaign of 15 runs or of two; the end values of single campaigns, averaged, cover too often."""
    rng, sets, n = np.random.default_rng(5), 400, 60
    true, covered, covered_by_ends = math.sqrt(0.25 / n), 0, 0
    for _ in range(sets):
        pilots = [count(rng.random((15, n)) < 0.5) for _ in range(campaigns)]
        low, high = std_interval_of(*pilots) or (0.0, 0.0)
        covered += low <= true <= high
        each = np.array([std_interval_of(pilot) for pilot in pilots]).mean(axis=0)
        covered_by_ends += each[0] <= true <= each[1]
    error = 3 * math.sqrt(0.05 * 0.95 / sets)
    assert 0.95 - error - 0.01 <= covered / sets <= 0.95 + error + 0.01
    if campaigns == 2:
        assert covered_by_ends / sets > 0.95 + error + 0.01


def test_a_plan_is_as_uncertain_as_its_std() -> None:
    found = plan(0.001, 0.003, std_interval=(0.002, 0.005))
    assert found.runs_interval == (plan(0.001, 0.002).runs, plan(0.001, 0.005).runs)
    assert found.runs_interval[0] < found.runs < found.runs_interval[1]
    assert plan(0.001, 0.003).runs_interval is None
    same = count(np.tile(np.arange(40) % 2 == 0, (5, 1)))
    assert std_interval_of(same) is None


def test_a_plan_from_two_runs_has_no_std_above_one_half() -> None:
    rng = np.random.default_rng(6)
    pilots = [count(rng.random((2, 60)) < 0.5) for _ in range(2)]
    _, most = std_interval_of(*pilots[:1]) or (0.0, 0.0)
    assert most == 0.5
    found = plan(1e-5, 0.02, std_interval=(0.01, 0.5))
    assert found.runs_interval is not None
    assert (found.runs_interval[0] < found.runs, found.runs_interval[1]) == (True, None)


def test_without_pilots_nothing_is_said_of_the_distribution() -> None:
    found = plan(0.001, 0.0015)
    assert (found.distribution_floor, found.runs_that_help) == (None, None)


@pytest.mark.parametrize(
    ("difference", "std", "power", "message"),
    [
        (0.0, 0.1, 0.8, "cannot be planned for: both must lie between"),
        (0.1, 1.5, 0.8, "both must lie between"),
        (0.1, 0.1, 0.04, "a power of 0.04"),
        (1e-9, 0.5, 0.8, "more than 1,000,000,000 runs"),
    ],
)
def test_what_no_number_of_runs_can_serve(difference: float, std: float, power: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan(difference, std, power=power)


def test_pilots_on_different_test_sets_or_one_example_are_refused() -> None:
    rng = np.random.default_rng(2)
    a, b, one = (count(rng.random((9, n)) < 0.5) for n in (20, 30, 1))
    with pytest.raises(StoreRefusedError, match="different test sets \\(20 examples, simulated; 30 examples"):
        plan(0.01, 0.1, pilots=(a, b))
    with pytest.raises(StoreRefusedError, match="different test sets"):
        plan(0.01, 0.1, pilots=(a, replace(a, test_set_hash="another")))
    with pytest.raises(UsageError, match="takes two of them at least"):
        plan(0.01, 0.1, pilots=(one, one))
