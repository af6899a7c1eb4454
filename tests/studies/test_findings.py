"""Verdicts follow from intervals, and a ratio keeps its interval."""

from dataclasses import replace

import numpy as np
import pytest

from airbench_var.analysis import Estimate
from airbench_var.analysis.independence import HypothesisTest
from airbench_var.stats import CorrectnessCounts
from airbench_var.studies.findings import (
    Number,
    above,
    decided,
    larger,
    near,
    numbers_of,
    over,
    p_value_of,
    percent_of,
    ratio_of,
    text_of,
)
from tests.analysis.made_estimates import estimate


@pytest.mark.parametrize(
    ("interval", "below", "verdict"),
    [
        ((1.1, 1.3), False, "holds"),
        ((1.1, 1.3), True, "does not hold"),
        ((0.7, 0.9), False, "does not hold"),
        ((0.7, 0.9), True, "holds"),
        ((0.9, 1.1), False, "cannot be told"),
        ((0.9, 1.1), True, "cannot be told"),
        ((1.0, 1.1), False, "cannot be told"),
    ],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(interval, below, verdict) -> None:
    middle = sum(interval) / 2
    claim = above(estimate(middle, interval), 1.0, text="t", source="s", shown="b", below=below)
    assert claim.verdict == verdict


def test_without_an_interval_the_reason_is_given() -> None:
    claim = above(estimate(2.0, None), 1.0, text="t", source="s", shown="b")
    assert (claim.verdict, claim.because, claim.runs_needed) == ("cannot be told", "too few runs", None)


def test_what_would_tell_comes_with_a_verdict_that_cannot_be_told() -> None:
    """An interval of reach 0.4 around 1.2 excludes 1 when it is half as wide: with four times the runs."""
    claim = above(estimate(1.2, (0.8, 1.6)), 1.0, text="t", source="s", shown="b")
    assert claim.runs_needed in (400, 401)  # 0.2 is no binary number
    told = above(estimate(1.2, (1.001, 1.399)), 1.0, text="t", source="s", shown="b")
    assert (told.verdict, told.runs_needed) == ("holds", None)


@pytest.mark.parametrize(
    ("interval", "verdict", "needed"),
    [
        ((0.95, 1.08), "holds", None),
        ((1.02, 1.08), "holds", None),  # not 1, and near it
        ((0.5, 0.88), "does not hold", None),
        ((1.12, 1.5), "does not hold", None),
        ((0.8, 1.2), "cannot be told", 400),  # of reach 0.2, and 0.1 would do
        ((1.04, 1.12), "cannot be told", 400),  # of reach 0.04, and 0.02 would do
        ((1.08, 1.2), "cannot be told", 225),
    ],
)
def test_near_needs_the_whole_interval_within_or_without(interval, verdict, needed) -> None:
    claim = near(estimate(sum(interval) / 2, interval), 1.0, 0.1, text="t", source="s", shown="b")
    assert (claim.verdict, claim.because) == (verdict, "b")
    assert claim.runs_needed == needed or claim.runs_needed == (needed or 0) + 1  # 0.1 is no binary number
    none = near(estimate(1.0, None), 1.0, 0.1, text="t", source="s", shown="b")
    assert (none.verdict, none.because) == ("cannot be told", "too few runs")


def test_no_runs_are_named_where_the_part_of_the_examples_is_not_known() -> None:
    wide = estimate(1.05, (0.8, 1.3), target="the distribution")
    for claim in (
        above(wide, 1.0, text="t", source="s", shown="b"),
        near(wide, 1.0, 0.1, text="t", source="s", shown="b"),
    ):
        assert (claim.runs_needed, claim.examples_needed) == (None, None)


def test_a_verdict_on_two_estimates_names_the_runs_of_the_one_with_fewer() -> None:
    """Each reaches 0.2 where they are 0.1 apart: 0.05 would do, which is of 16 times the runs."""
    a, b = estimate(1.1, (0.9, 1.3), runs=50), estimate(1.0, (0.8, 1.2), runs=60)
    claim = decided(larger, a, b, text="t", source="s", shown="b")
    assert (claim.verdict, claim.because) == ("cannot be told", "b")
    assert claim.runs_needed in (800, 801)
    told = decided(larger, a, estimate(0.5, (0.4, 0.6)), text="t", source="s", shown="b")
    assert (told.verdict, told.runs_needed, told.examples_needed) == ("holds", None, None)


def test_of_two_recipes_the_fewer_runs_count() -> None:
    both = estimate(1.2, (0.8, 1.6), runs=(400, 100))
    assert above(both, 1.0, text="t", source="s", shown="b").runs_needed in (400, 401)
    number = Number.of(both, "arm", "plain", paper=2.5, name="ratio")
    assert (number.runs, number.examples, number.name, number.paper) == (100, 10, "ratio", 2.5)


def test_a_number_keeps_what_its_estimate_says() -> None:
    number = Number.of(estimate(0.5, (0.4, 0.7), target="the distribution"), "arm", "share")
    assert (number.value, number.low, number.high, number.level) == (0.5, 0.4, 0.7, 0.95)
    assert (number.target, number.method, number.assumption) == ("the distribution", "m", "a")
    none = Number.of(estimate(0.5, None), "arm", "share")
    assert (none.low, none.high, none.level, none.absent) == (None, None, None, "too few runs")


def test_numbers_come_in_the_order_of_the_units_with_what_the_paper_prints() -> None:
    estimates = {"a": estimate(1.0, None), "b": estimate(2.0, None)}
    found = list(numbers_of("arm", estimates, {"b": "share", "c": "share", "a": "plain"}, {"a": 7.0}))
    assert [(one.value, one.unit, one.paper) for one in found] == [(2.0, "share", None), (1.0, "plain", 7.0)]


def test_a_p_value_is_that_of_the_test() -> None:
    counts = CorrectnessCounts.of(8, "t", np.arange(2), np.array([[1], [2]], np.uint8))
    test = HypothesisTest(
        name="t", null="n", statistic=3.0, p_value=0.02, method="m", assumption="a", least_p_value=0.01
    )
    number = p_value_of(test, "arm", counts)
    assert (number.name, number.value, number.method) == ("t_p_value", 0.02, "m; null: n")
    assert (number.runs, number.examples, number.least) == (2, 8, 0.01)
    assert number.absent == "no interval: it is a p-value"
    none = p_value_of(replace(test, p_value=None, absent="too few runs"), "arm", counts)
    assert (none.value, none.absent) == (None, "too few runs")


def test_estimates_in_words() -> None:
    found = estimate(0.5, (0.25, 0.75))
    assert text_of(found) == "0.50 (0.25 to 0.75)"
    assert percent_of(found) == "50.00 % (25.00 to 75.00 %)"
    assert text_of(estimate(0.5, None)) == percent_of(estimate(None, None)) == "none (too few runs)"


def test_warnings_of_an_estimate_are_kept_wherever_it_is_shown() -> None:
    variance = estimate(-1e-6, (-2e-6, 4e-6), target="the distribution")
    std = variance.standard_deviation("std")
    number = Number.of(std, "arm", "share")
    assert number.warnings == ("estimate negative",)
    assert number.to_json()["warnings"] == ["estimate negative"]
    assert Number.of(variance, "arm", "variance").to_json()["warnings"] == []
    assert percent_of(std) == "0 % (0 to 0.20 %; estimate negative)"
    one = estimate(1.0, (0.9, 1.1))
    assert text_of(ratio_of(std, one, "r")) == "0.00 (0.00 to 0.00; estimate negative)"
    assert ratio_of(one, replace(one, warnings=("w",)), "r").warnings == ("w",)


def test_a_ratio_carries_the_interval_whichever_way_it_is_taken() -> None:
    of = estimate(4.0, (2.0, 8.0))
    assert over(2.0, of, "r").interval == (1.0, 4.0)
    inverse = over(2.0, of, "r", inverse=True)
    assert (inverse.value, inverse.interval) == (0.5, (0.25, 1.0))
    assert over(2.0, estimate(None, None), "r").value is None


def test_what_is_not_finite_is_no_json_number() -> None:
    counts = CorrectnessCounts.of(8, "t", np.arange(2), np.array([[1], [2]], np.uint8))
    number = Number.bare("x", "arm", "plain", float("inf"), counts=counts, method="m")
    assert number.to_json()["value"] is None
    assert Number.of(estimate(1.0, (0.0, 2.0)), "arm", "plain").to_json()["low"] == 0.0


def test_a_ratio_of_two_holds_whatever_they_share() -> None:
    """Means of equal numbers of draws: independent, the same, and opposite to each other."""
    generator, R, sets = np.random.default_rng(0), 50, 2000

    def mean_of(x_SR: np.ndarray) -> list[Estimate]:
        centre_S, error_S = x_SR.mean(axis=1), x_SR.std(axis=1, ddof=1) / np.sqrt(R)
        pairs = zip(centre_S, error_S, strict=True)
        return [estimate(m, (m - 2.01 * e, m + 2.01 * e)) for m, e in pairs]

    a_SR = generator.normal(1.0, 0.3, (sets, R))
    for b_SR in (generator.normal(2.0, 0.6, (sets, R)), 2 * a_SR, 4 - 2 * a_SR):
        held = taken_as_known = 0
        for a, b in zip(mean_of(a_SR), mean_of(b_SR), strict=True):
            low, high = ratio_of(a, b, "r").interval or (0.0, 0.0)
            held += low <= 0.5 <= high
            low, high = over(b.value or 0.0, a, "r").interval or (0.0, 0.0)
            taken_as_known += low <= 0.5 <= high
        assert held >= 0.94 * sets
        if not np.allclose(b_SR, 2 * a_SR):  # of the same draws the ratio has no error at all
            assert taken_as_known < 0.88 * sets


def test_a_ratio_widens_both_intervals_to_hold_together() -> None:
    """Of two normal intervals at 97.5 % each, 2.2414 standard errors in place of 1.9600; here one is 0.1."""
    a, b = (estimate(value, (value - 0.196, value + 0.196)) for value in (1.0, 2.0))
    wide = 2.2414 * 0.1
    expected = ((1 - wide) / (2 + wide), (1 + wide) / (2 - wide))
    assert ratio_of(a, b, "r").interval == pytest.approx(expected, abs=1e-4)


def test_a_ratio_keeps_what_unlimited_runs_would_leave() -> None:
    """Of a test set nothing; of the distribution the part of the examples, widened like the interval."""
    wider = 2.2414 / 1.9600
    here = estimate(2.0, (1.8, 2.2))
    there = replace(estimate(1.0, (0.7, 1.3), target="the distribution"), interval_of_examples=(0.9, 1.1))
    found = ratio_of(there, here, "r")
    assert found.target == ratio_of(here, there, "r").target == "the distribution"
    reach = wider * 0.1 / 2
    assert found.interval_of_examples == pytest.approx((0.5 - reach, 0.5 + reach), abs=1e-4)
    assert ratio_of(here, here, "r").interval_with_unlimited_runs == (1.0, 1.0)
    assert over(2.0, there, "r").interval_of_examples == (0.45, 0.55)
    unknown = estimate(1.0, (0.7, 1.3), target="the distribution")
    assert ratio_of(unknown, here, "r").interval_of_examples is None


def test_a_ratio_to_what_may_be_zero_has_no_interval() -> None:
    found = ratio_of(estimate(1.0, (0.9, 1.1)), estimate(0.1, (-0.1, 0.3)), "r")
    assert (found.interval, "reaches to 0" in found.absent) == (None, True)
    assert ratio_of(estimate(None, None), estimate(1.0, (0.9, 1.1)), "r").absent == "too few runs"


def test_larger_is_told_where_intervals_do_not_overlap() -> None:
    low, middle, high = (estimate(x, (x - 0.1, x + 0.1)) for x in (1.0, 1.15, 1.3))
    assert (larger(high, low), larger(low, high)) == ("holds", "does not hold")
    assert larger(middle, low) == larger(low, middle) == larger(high, estimate(1.0, None)) == "cannot be told"
