"""What would tell: an interval of the distribution keeps the part that its examples make."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from airbench_var.analysis import Estimate, summarize
from airbench_var.stats import CampaignState
from airbench_var.studies.telling import Needed, narrowed, needed
from tests.analysis.made_estimates import estimate
from tests.statistical.classes import simulate_classes
from tests.statistical.generator import simulate


def of_distribution(value: float, reach: float, of_examples: float, *, runs: int = 100) -> Estimate:
    made = estimate(value, (value - reach, value + reach), target="the distribution", runs=runs)
    return replace(made, interval_of_examples=(value - of_examples, value + of_examples))


def is_above_1(one: Estimate) -> bool:
    return one.interval is not None and one.interval[0] > 1


def test_on_this_test_set_the_whole_interval_narrows_with_the_root_of_the_runs() -> None:
    assert narrowed(estimate(1.2, (0.8, 2.0)), 4.0).interval == pytest.approx((1.0, 1.6))
    assert narrowed(estimate(1.2, (0.8, 2.0)), math.inf).interval == (1.2, 1.2)


def test_on_the_distribution_the_part_of_the_examples_stays() -> None:
    one = of_distribution(1.0, 0.5, 0.3)  # 0.4 of the runs
    assert narrowed(one, 4.0).interval == pytest.approx((1 - math.hypot(0.2, 0.3), 1 + math.hypot(0.2, 0.3)))
    assert narrowed(one, math.inf).interval == pytest.approx((0.7, 1.3))
    assert narrowed(one, math.inf, 9.0).interval == pytest.approx((0.9, 1.1))
    assert narrowed(replace(one, interval_of_examples=None), 4.0).interval == one.interval
    assert narrowed(estimate(1.0, None), 4.0).interval is None


def test_the_fewest_runs_that_tell() -> None:
    """Below 1 by 0.4 where 0.2 would do: four times the runs; of the distribution 0.09 of 0.16 may stay."""
    assert needed(is_above_1, estimate(1.2, (0.8, 1.6))).runs in (400, 401)
    found = needed(
        is_above_1, of_distribution(1.4, 0.5, 0.3)
    )  # 0.4 of the runs, and hypot(0.2646, 0.3) = 0.4
    assert (found.runs, found.examples) == (math.ceil(100 * 0.16 / 0.07), None)


def test_examples_where_no_number_of_runs_tells() -> None:
    """A part of the examples of 0.3 that must be 0.1: nine times as many."""
    found = needed(is_above_1, of_distribution(1.1, 0.5, 0.3))
    assert (found.runs, found.examples in (90, 91)) == (None, True)


@pytest.mark.parametrize(
    "one",
    [
        estimate(1.0, (0.8, 1.2)),  # at the bound itself
        estimate(1.2, None),
        estimate(1.2, (0.8, 1.6), target="the distribution"),  # of which nobody knows what stays
    ],
)
def test_nothing_is_named_where_nothing_would_tell(one: Estimate) -> None:
    assert needed(is_above_1, one) == Needed()


def test_the_extrapolated_interval_is_as_wide_as_that_of_more_runs() -> None:
    """From 100 runs to 1,600 on the same examples, in the mean over sets; a root law alone is too narrow."""
    pairs = []
    for seed in range(12):
        made = simulate(np.random.default_rng(seed), n=1000, runs=1600, distribution_wise_std=0.006)
        few, many = (
            summarize("t", state_of(made.correct_RN[:runs]), thorough=False).estimates for runs in (100, 1600)
        )
        pairs.append((few, many))
    for name in ("distribution_wise_variance", "distribution_wise_accuracy", "mean_accuracy"):
        extrapolated, by_root, found = lengths(name, pairs)
        assert extrapolated == pytest.approx(found, rel=0.1), name
        if name != "mean_accuracy":
            assert by_root < 0.8 * found, name


def test_so_it_is_for_what_votes_say() -> None:
    """Runs that move as a whole, so that the part of the runs is there to be narrowed.

    More coarsely: the calibration error sums over bins, of which more runs fill more.
    """
    pairs = []
    for seed in range(4):
        made = simulate_classes(np.random.default_rng(seed), n=500, runs=640, temperature=0.5, common=0.15)
        few, many = (
            summarize("t", replace(made, predicted_RN=made.predicted_RN[:runs]).state).estimates
            for runs in (40, 640)
        )
        pairs.append((few, many))
    for name in ("disagreement_gap", "calibration_error"):
        extrapolated, by_root, found = lengths(name, pairs)
        assert extrapolated == pytest.approx(found, rel=0.2), name
        assert by_root < 0.5 * found, name


def lengths(
    name: str, pairs: Sequence[tuple[Mapping[str, Estimate], Mapping[str, Estimate]]]
) -> tuple[float, float, float]:
    """Return how long intervals of 16 times the runs are: extrapolated, by the root law alone, and found."""
    extrapolated = sum(length(narrowed(few[name], 16.0)) for few, _ in pairs)
    by_root = sum(length(few[name]) / 4 for few, _ in pairs)
    return extrapolated, by_root, sum(length(many[name]) for _, many in pairs)


def state_of(correct_RN: npt.NDArray[np.bool_]) -> CampaignState:
    packed = np.packbits(correct_RN, axis=1, bitorder="little")
    return CampaignState.empty("t", correct_RN.shape[1]).update(np.arange(len(packed)), packed)


def length(one: Estimate) -> float:
    assert one.interval is not None
    return one.interval[1] - one.interval[0]
