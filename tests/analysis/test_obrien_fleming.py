"""Boundaries of planned looks against the published tables and SciPy's bivariate normal law."""

import math

import numpy as np
import pytest
from scipy import stats

from airbench_var.analysis.obrien_fleming import OBrienFleming, critical_constant, crossing, max_runs_for
from airbench_var.analysis.sequential import Course
from airbench_var.errors import UsageError
from tests.analysis.test_sequential import N, drawn, sums_of


@pytest.mark.parametrize(
    ("looks", "alpha", "published"),
    [
        (1, 0.05, 1.960), (2, 0.05, 1.977), (3, 0.05, 2.004), (4, 0.05, 2.024), (5, 0.05, 2.040),
        (10, 0.05, 2.087), (20, 0.05, 2.126), (2, 0.01, 2.580), (5, 0.01, 2.621),
    ],
)  # fmt: skip
def test_constants_are_the_published_ones(looks: int, alpha: float, published: float) -> None:
    """Jennison and Turnbull, Group Sequential Methods, table 2.3."""
    assert critical_constant(looks, alpha) == pytest.approx(published, abs=6e-4)


def test_two_looks_by_the_bivariate_normal_law() -> None:
    constant, root = critical_constant(2, 0.05), math.sqrt(0.5)
    law = stats.multivariate_normal([0, 0], [[1, root], [root, 1]])
    ends = np.array([constant * math.sqrt(2), constant])
    inside = sum(s * t * law.cdf(np.array([s, t]) * ends) for s in (1, -1) for t in (1, -1))
    assert 1 - inside == pytest.approx(0.05, abs=1e-6)


def test_one_look_has_the_power_of_a_z_test() -> None:
    z = stats.norm.ppf(0.975)
    assert crossing(1, z, 2.8) == pytest.approx(stats.norm.sf(z - 2.8) + stats.norm.cdf(-z - 2.8), abs=1e-12)


def test_crossing_in_a_simulation() -> None:
    rng, looks, paths = np.random.default_rng(0), 4, 200_000
    constant = critical_constant(looks, 0.05)
    for shift in (0.0, 2.5):
        s_PK = (rng.standard_normal((paths, looks)) + shift / math.sqrt(looks)).cumsum(axis=1)
        share = (np.abs(s_PK) >= constant * math.sqrt(looks)).any(axis=1).mean()
        assert share == pytest.approx(crossing(looks, constant, shift), abs=0.005)


def test_runs_for_a_power() -> None:
    """The case of the paper's 64 epochs, and its inflation over one look: 1.028 for five, at 80 %."""
    assert max_runs_for(0.0002, 0.00149, 5) == 899
    one = max_runs_for(0.0002, 0.00149, 1)
    assert 899 / one == pytest.approx(1.028, abs=0.001)
    effect = 0.0002 / 0.00149 / math.sqrt(2)
    for runs, enough in ((one, True), (one - 1, False)):
        critical = stats.t.ppf(0.975, runs - 1)
        power = stats.nct.sf(critical, runs - 1, effect * math.sqrt(runs))
        assert (power >= 0.8) == enough
    with pytest.raises(UsageError):
        max_runs_for(0.0002, 2.0, 5)


def test_looks_are_at_equal_shares_rounded_up() -> None:
    assert OBrienFleming(margin=0.01, max_runs=899, looks=5).schedule == (180, 360, 540, 720, 899)


def test_a_look_is_students_t_at_the_boundary_of_z() -> None:
    rule, differences = OBrienFleming(margin=0.01, max_runs=50, looks=5), drawn(20)
    look = rule.look(sums_of(differences), N)
    assert look.statistic == pytest.approx(abs(stats.ttest_1samp(differences, 0).statistic))
    z = critical_constant(5, 0.05) * math.sqrt(5 / 2)
    assert look.threshold == pytest.approx(stats.t.isf(stats.norm.sf(z), 19))
    assert look.interval is not None
    reach = look.threshold * np.std(differences, ddof=1) / math.sqrt(20) / N
    assert look.interval == pytest.approx((look.difference - reach, look.difference + reach))


def test_nothing_is_decided_between_looks() -> None:
    course = Course(OBrienFleming(margin=0.0002, max_runs=100, looks=2), N)
    course.extend(drawn(49, 200.0))
    assert (course.looks, course.decision) == ([], None)
    course.extend([200])
    assert course.decision == "A is better"
    assert course.sums.pairs == 50


def test_the_last_look_is_at_the_pairs_there_are() -> None:
    """Pairs were left out: 97 of 100 came. The boundary is that of the last look."""
    rule = OBrienFleming(margin=1e-6, max_runs=100, looks=2)
    course = Course(rule, N)
    course.extend(drawn(97, 0.0))
    course.finish()
    assert [look.pairs for look in course.looks] == [50, 97]
    assert course.looks[-1].threshold == pytest.approx(
        stats.t.isf(stats.norm.sf(critical_constant(2, 0.05)), 96)
    )
    assert course.decision == "undecided"


def test_equivalence_by_the_repeated_interval() -> None:
    course = Course(OBrienFleming(margin=0.002, max_runs=100, looks=2), N)
    course.extend(drawn(100, 0.0))
    assert course.decision == "equivalent"


def test_an_interval_at_half_of_alpha_is_wider() -> None:
    course = Course(OBrienFleming(margin=1e-6, max_runs=100, looks=4), N)
    course.extend(drawn(60, 0.0))
    low, high = course.interval(0.05) or (0.0, 0.0)
    assert (low, high) == course.looks[-1].interval
    wider = course.interval(0.025) or (0.0, 0.0)
    assert wider[0] < low < high < wider[1]


@pytest.mark.parametrize("looks", [0, 51, 101])
def test_looks_that_cannot_be_planned(looks: int) -> None:
    with pytest.raises(UsageError, match="cannot be planned"):
        OBrienFleming(margin=0.01, max_runs=101 if looks == 51 else 1000, looks=looks)
