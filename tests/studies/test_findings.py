"""Verdicts follow from intervals, and a ratio keeps its interval."""

import numpy as np
import pytest

from airbench_var.analysis import Estimate
from airbench_var.stats import CorrectnessCounts
from airbench_var.studies.findings import Number, above, larger, over, ratio_of
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


def test_the_runs_needed_would_tell_by_the_root_law() -> None:
    """An interval of reach 0.4 around 1.2 excludes 1 when it is half as wide: with four times the runs."""
    claim = above(estimate(1.2, (0.8, 1.6)), 1.0, text="t", source="s", shown="b")
    assert claim.runs_needed in (400, 401)  # 0.2 is no binary number
    told = above(estimate(1.2, (1.001, 1.399)), 1.0, text="t", source="s", shown="b")
    assert (told.verdict, told.runs_needed) == ("holds", None)


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


def test_a_ratio_to_what_may_be_zero_has_no_interval() -> None:
    found = ratio_of(estimate(1.0, (0.9, 1.1)), estimate(0.1, (-0.1, 0.3)), "r")
    assert (found.interval, "reaches to 0" in found.absent) == (None, True)
    assert ratio_of(estimate(None, None), estimate(1.0, (0.9, 1.1)), "r").absent == "too few runs"


def test_larger_is_told_where_intervals_do_not_overlap() -> None:
    low, middle, high = (estimate(x, (x - 0.1, x + 0.1)) for x in (1.0, 1.15, 1.3))
    assert (larger(high, low), larger(low, high)) == ("holds", "does not hold")
    assert larger(middle, low) == larger(low, middle) == larger(high, estimate(1.0, None)) == "cannot be told"
