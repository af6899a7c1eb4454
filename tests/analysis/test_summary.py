"""Named estimates: complete, honest about what is missing, and JSON all the way."""

import json
import math

import numpy as np
import pytest

from airbench_var.analysis import TestSetSummary, summarize, variance
from airbench_var.analysis.estimate import NEGATIVE
from tests.statistical.generator import count, simulate, state_of, state_with_classes

NAMES = [
    "mean_accuracy",
    "distribution_wise_accuracy",
    "test_set_variance",
    "test_set_std",
    "independent_errors_variance",
    "independent_errors_std",
    "binomial_variance",
    "binomial_std",
    "excess_variance",
    "excess_std",
    "distribution_wise_variance",
    "distribution_wise_std",
]
HALVES = [
    "split_half_correlation",
    "split_half_correlation_over_splits",
    "lucky_quarter_gain",
    "lucky_quarter_gain_over_splits",
]
FROM_CLASSES = [
    "disagreement",
    "disagreement_gap",
    "ensemble_accuracy",
    "calibration_error",
    "label_free_variance",
    "label_free_std",
    "theorem_3_ratio",
    "theorem_4_ratio",
]
DISTRIBUTION = {
    "distribution_wise_accuracy",
    "distribution_wise_variance",
    "distribution_wise_std",
    "disagreement_gap",
    "ensemble_accuracy",
    "calibration_error",
}
TESTS = ["variance_ratio", "goodness_of_fit", "calibration", "drift"]


def independent(seed: int = 0) -> TestSetSummary:
    drawn = simulate(np.random.default_rng(seed), n=200, runs=100, distribution_wise_std=0.0)
    return summarize("cifar10", state_of(drawn.counts))


def under_dispersed() -> TestSetSummary:
    half_RN = np.random.default_rng(1).random((60, 100)) < 0.8
    correct_RN = np.concatenate([half_RN, ~half_RN], axis=1)  # every run is right on 100 of 200
    correct_RN[0, 0] ^= True
    return summarize("cifar10", state_of(count(correct_RN)))


def test_every_estimate_is_there_with_interval_method_and_target() -> None:
    drawn = simulate(np.random.default_rng(2), n=500, runs=60, distribution_wise_std=0.01)
    summary = summarize("cifar10", state_with_classes(drawn.correct_RN, 10))
    assert list(summary.estimates) == NAMES + HALVES + FROM_CLASSES
    assert list(summary.tests) == TESTS
    assert all(test.p_value is not None for test in summary.tests.values())
    assert (summary.examples, summary.classes, summary.runs) == (500, 10, 60)
    for name, estimate in summary.estimates.items():
        assert estimate.name == name
        assert estimate.value is not None
        assert estimate.interval is not None
        assert estimate.interval[0] < estimate.value < estimate.interval[1]
        assert estimate.method
        assert estimate.assumption
        assert not estimate.absent
        assert (estimate.target == "the distribution") == (name in DISTRIBUTION)
    for name in summary.estimates:
        if name.endswith("_std"):
            squared = summary.estimates[name.replace("_std", "_variance")]
            assert summary.estimates[name].value == math.sqrt(squared.value or 0)
    exact = variance.distribution_wise_variance(drawn.counts)
    assert summary.estimates["distribution_wise_variance"].value == float(exact)


def test_json_has_the_documented_keys_and_survives_a_round_trip() -> None:
    document = independent().to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert list(document["estimates"])[: len(NAMES + HALVES)] == NAMES + HALVES
    words = {"method", "target", "assumption", "warnings", "absent"}
    keys = words | {"value", "low", "high", "level", "runs", "examples"}
    errors = {"standard_error_test_set", "standard_error_distribution"}
    assert set(document["estimates"]["mean_accuracy"]) == keys | errors
    assert set(document["estimates"]["distribution_wise_std"]) == keys


def test_without_predicted_classes_what_needs_them_says_so() -> None:
    summary = independent()
    assert (summary.classes, summary.reliability, summary.collapses) == (None, None, None)
    assert list(summary.tests) == [name for name in TESTS if name != "calibration"]
    for name in FROM_CLASSES:
        if name != "theorem_3_ratio":
            assert summary.estimates[name].value is None
            assert "no predicted classes" in summary.estimates[name].absent


def test_a_live_view_gets_the_cheap_part() -> None:
    drawn = simulate(np.random.default_rng(2), n=500, runs=60, distribution_wise_std=0.01)
    state = state_with_classes(drawn.correct_RN, 10)
    cheap, whole = summarize("", state, thorough=False), summarize("", state)
    assert list(cheap.estimates) == NAMES + HALVES
    assert {name: whole.estimates[name] for name in cheap.estimates} == cheap.estimates
    assert not cheap.tests


def test_standard_error_for_the_distribution_is_never_the_run_only_one() -> None:
    errors = independent().estimates["mean_accuracy"].standard_errors
    assert errors["distribution"] > 3 * errors["test_set"]
    assert set(independent().estimates["distribution_wise_accuracy"].standard_errors) == {"distribution"}


def test_a_negative_variance_keeps_its_sign_and_its_std_is_a_flagged_0() -> None:
    summaries = (independent(seed=seed) for seed in range(20))
    summary = next(s for s in summaries if (s.estimates["excess_variance"].value or 0) < 0)
    negative, std = (
        summary.estimates["distribution_wise_variance"],
        summary.estimates["distribution_wise_std"],
    )
    assert negative.value is not None
    assert negative.value < 0
    assert NEGATIVE not in negative.warnings
    assert std.value == 0
    assert std.warnings == (NEGATIVE,)
    assert negative.interval is not None
    assert std.interval == (0.0, math.sqrt(negative.interval[1]))


def test_under_dispersion_is_flagged_with_its_p_value() -> None:
    summary = under_dispersed()
    for name in ("excess", "distribution_wise"):
        std = summary.estimates[f"{name}_std"]
        assert std.interval == (0.0, 0.0)
        assert any(warning.startswith("under-dispersed") and "p = " in warning for warning in std.warnings)
    assert not summary.estimates["test_set_std"].warnings


@pytest.mark.parametrize(
    ("correct_RN", "with_value", "reason"),
    [
        (np.ones((0, 5)), set(), "at least 2 runs are needed, there are 0"),
        (
            np.eye(1, 5),
            {"mean_accuracy", "distribution_wise_accuracy", "binomial_variance", "binomial_std"},
            "2 runs are needed, there is 1",
        ),
        (
            np.array([[1], [0]]),
            set(NAMES) - {x for x in NAMES if x[:4] in ("exce", "dist")},
            "at least 2 examples",
        ),
        (np.eye(5), set(NAMES), "every run has the same accuracy"),
        (np.ones((5, 9)), set(NAMES), "every run has the same accuracy"),
    ],
    ids=["no run", "one run", "one example", "equal accuracies", "all right"],
)
def test_what_cannot_be_computed_is_absent_with_the_reason(
    correct_RN: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", with_value: set[str], reason: str
) -> None:
    summary = summarize("cifar10", state_of(count(correct_RN)))
    estimates = {name: summary.estimates[name] for name in NAMES}
    values = {name for name in NAMES if estimates[name].value is not None}
    assert values - {"distribution_wise_accuracy"} == with_value - {"distribution_wise_accuracy"}
    for estimate in estimates.values():
        assert estimate.interval is None
        assert reason in estimate.absent
        assert not estimate.standard_errors
    for name in HALVES:
        assert summary.estimates[name].interval is None
        assert summary.estimates[name].absent
    with_classes = summarize("cifar10", state_with_classes(correct_RN, 3))
    for each in (summary, with_classes):
        assert all(estimate.interval or estimate.absent for estimate in each.estimates.values())
        assert all(test.p_value is not None or test.absent for test in each.tests.values())
        json.dumps(each.to_json(), allow_nan=False)


def test_repeated_rows_are_a_warning_unless_the_runs_diverged() -> None:
    correct_RN = np.random.default_rng(3).random((6, 50)) < 0.8
    correct_RN[4] = correct_RN[1]
    [warning] = summarize("cifar10", state_of(count(correct_RN))).warnings
    assert warning.startswith("1 run equals an earlier run bit for bit (run 4 equals run 1)")
    [only_diverged] = summarize("cifar10", state_of(count(correct_RN)), diverged=frozenset({1, 4})).warnings
    assert only_diverged == "2 of 6 runs diverged; diverged runs are part of every estimate"
    assert summarize("cifar10", state_of(count(correct_RN[:4]))).warnings == ()


def test_runs_that_are_equal_by_chance_on_few_examples_are_no_warning() -> None:
    """On 8 easy examples most of 50 honest runs are equal to another; on 300 a copy is a copy."""
    rng = np.random.default_rng(12)
    few = count(rng.random((50, 8)) < 0.9)
    assert few.repeated_rows()
    assert not summarize("", state_of(few)).warnings
    many_RN = rng.random((50, 300)) < 0.9
    many_RN[7] = many_RN[3]
    [warning] = summarize("", state_of(count(many_RN))).warnings
    assert warning.startswith("1 run equals an earlier run bit for bit (run 7 equals run 3)")
    [warning] = summarize("", state_of(count(np.tile(many_RN[0], (5, 1))))).warnings
    assert warning.startswith("4 runs equal an earlier run")


def test_no_interval_of_a_spread_goes_beyond_what_shares_can_have() -> None:
    correct_RN = np.zeros((2, 60), bool)
    correct_RN[0, :40] = correct_RN[1, :20] = True
    for name, estimate in summarize("cifar10", state_of(count(correct_RN))).estimates.items():
        if name.endswith("_std") and name != "label_free_std":
            assert estimate.interval is not None
            assert estimate.interval[1] <= max(0.5, estimate.value or 0)


def test_runs_at_chance_are_a_warning_and_runs_above_it_are_none() -> None:
    """Labels in another order: every number is that of a good network, but for the mean."""
    rng = np.random.default_rng(21)
    learned_RN = rng.random((20, 2_000)) < 0.13
    guessed_RN = rng.random((20, 2_000)) < 0.1
    assert summarize("", state_with_classes(learned_RN, 10)).warnings == ()
    [warning] = summarize("", state_with_classes(guessed_RN, 10)).warnings
    assert "may be that of guessing among 10 classes (10 %)" in warning
    [warning] = summarize("", state_with_classes(rng.random((20, 2_000)) < 0.05, 10)).warnings
    assert "is below that of guessing among 10 classes" in warning
    assert summarize("", state_of(count(guessed_RN))).warnings == (), "the classes are not known"
