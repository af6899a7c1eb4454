"""Pairs from two campaigns, and what may be said of them after a stop."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from airbench_var.analysis import LiveStatistics, compare_counts
from airbench_var.analysis.obrien_fleming import OBrienFleming
from airbench_var.analysis.sequential import Course, TMixture
from airbench_var.analysis.standing import STOPPED, Referee, compare_stopped, pairs_of
from airbench_var.stats import CorrectnessCounts
from tests.statistical.generator import count, state_of

N = 400


def matrix(runs: int, chance: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((runs, N)) < chance


def with_ids(correct_RN: np.ndarray, run_ids: list[int]) -> CorrectnessCounts:
    packed = np.packbits(correct_RN, axis=1, bitorder="little")
    return CorrectnessCounts.of(N, "simulated", run_ids, packed)


def referee(a: np.ndarray, b: np.ndarray, **options: object) -> Referee:
    rule = TMixture(**({"margin": 0.05, "max_runs": 60} | options))  # type: ignore[arg-type]
    return Referee(
        rule, "x", LiveStatistics({"x": state_of(count(a))}), LiveStatistics({"x": state_of(count(b))})
    )


def test_pairs_are_in_the_order_of_ids_up_to_the_first_run_to_come() -> None:
    a_RN, b_RN = matrix(5, 0.6, 0), matrix(4, 0.6, 1)
    a, b = with_ids(a_RN, [4, 0, 2, 1, 6]), with_ids(b_RN, [1, 0, 4, 2])
    pairs = pairs_of(a, b, frozenset(), 10)
    k_a, k_b = dict(zip(a.run_ids_R, a.k_R, strict=True)), dict(zip(b.run_ids_R, b.k_R, strict=True))
    assert pairs.run_ids == (0, 1, 2)  # 3 is still to come
    assert pairs.differences == tuple(k_a[i] - k_b[i] for i in (0, 1, 2))
    assert not pairs.complete


def test_a_pair_of_which_a_run_failed_is_left_out() -> None:
    a, b = with_ids(matrix(4, 0.6, 0), [0, 1, 2, 4]), with_ids(matrix(5, 0.6, 1), [0, 1, 2, 3, 4])
    pairs = pairs_of(a, b, {1, 3}, 5)  # 3 failed in A alone, 1 was tried again by someone else
    assert (pairs.run_ids, pairs.left_out, pairs.complete) == ((0, 2, 4), (1, 3), True)


def test_runs_beyond_the_limit_are_no_pairs() -> None:
    a, b = count(matrix(8, 0.6, 0)), count(matrix(8, 0.6, 1))
    pairs = pairs_of(a, b, frozenset(), 5)
    assert (pairs.run_ids, pairs.complete) == ((0, 1, 2, 3, 4), True)


def test_a_standing_names_the_deciding_pair_and_what_came_after() -> None:
    standing = referee(matrix(40, 0.9, 0), matrix(40, 0.6, 1)).standing()
    assert standing.decision == "A is better"
    assert standing.look is not None
    assert standing.pairs == standing.look.pairs < 20
    assert standing.last_run_id == standing.pairs - 1
    assert standing.beyond == 2 * (40 - standing.pairs)
    document = standing.to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["log_e"] == document["path"]["log_e"][-1] >= document["threshold"] == -math.log(0.05)


def test_failed_pairs_are_counted_up_to_the_decision() -> None:
    rule = TMixture(margin=0.05, max_runs=60)
    a, b = (
        LiveStatistics(
            {"x": state_of(with_ids(matrix(38, chance, seed), [0, *range(2, 38), 39]))}, failed=[1, 38]
        )
        for chance, seed in ((0.9, 0), (0.6, 1))
    )
    standing = Referee(rule, "x", a, b).standing()
    assert (standing.decision, standing.left_out) == ("A is better", 1)
    assert standing.last_run_id == standing.pairs  # one id was left out


def test_an_open_comparison_and_one_without_pairs() -> None:
    standing = referee(matrix(3, 0.6, 0), matrix(2, 0.6, 1)).standing()
    assert (standing.decision, standing.pairs, standing.runs, standing.beyond) == (None, 2, (3, 2), 1)
    none = referee(np.zeros((0, N)), np.zeros((0, N))).standing()
    assert (none.look, none.pairs, none.last_run_id, none.comparison) == (None, 0, None, None)
    assert "A has 0 runs" in none.no_comparison
    json.dumps(none.to_json(), allow_nan=False)


def test_the_last_pair_ends_it() -> None:
    standing = referee(matrix(6, 0.6, 0), matrix(6, 0.6, 1), max_runs=6, margin=1e-6).standing()
    assert (standing.decision, standing.pairs) == ("undecided", 6)


def test_after_a_stop_only_what_holds_has_an_interval() -> None:
    a, b = count(matrix(40, 0.62, 0)), count(matrix(40, 0.60, 1))
    course = Course(TMixture(margin=1e-6, max_runs=40), N)
    course.extend((a.k_R - b.k_R).tolist())
    found, fixed = compare_stopped("x", a, b, course), compare_counts("x", a, b)
    assert found.p_values == {}
    here = found.estimates["difference_on_this_test_set"]
    assert here.interval == course.looks[-1].interval
    assert here.value == course.looks[-1].difference
    for name in ("probability_a_beats_b", "variance_ratio_a_to_b"):
        estimate = found.estimates[name]
        assert (estimate.value, estimate.interval, estimate.absent) == (
            fixed.estimates[name].value,
            None,
            STOPPED,
        )
    assert all(not estimate.standard_errors for estimate in found.estimates.values())


def test_the_error_on_the_distribution_is_divided() -> None:
    """Half to the rule at every look, half to the examples, whose spread is that of their differences."""
    rng, runs = np.random.default_rng(4), 80
    easier_N = np.where(np.arange(N) % 2, 0.2, -0.2)
    a, b = (count(rng.random((runs, N)) < 0.5 + sign * easier_N / 2) for sign in (1, -1))
    course = Course(OBrienFleming(margin=1e-6, max_runs=runs, looks=4), N)
    course.extend((a.k_R - b.k_R).tolist())
    low, high = compare_stopped("x", a, b, course).estimates["difference_on_the_distribution"].interval or (
        0,
        0,
    )
    inner = course.interval(0.025) or (0.0, 0.0)
    spread_N = a.c_N / runs - b.c_N / runs
    noise = sum(np.mean(c.c_N * (runs - c.c_N) / (runs * (runs - 1))) / runs for c in (a, b))
    reach = stats.norm.ppf(1 - 0.05 / 4) * math.sqrt((spread_N.var(ddof=1) - noise) / N)
    assert (low, high) == pytest.approx((inner[0] - reach, inner[1] + reach))
