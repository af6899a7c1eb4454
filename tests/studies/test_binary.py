"""Verdicts on binary tasks: of an ensemble that is calibrated, and of one whose examples are equally hard."""

import numpy as np
import pytest

from airbench_var.stats import CampaignState
from airbench_var.studies import binary, durations
from airbench_var.studies.findings import Claim
from airbench_var.studies.scales import SCALES
from tests.statistical.classes import simulate_classes
from tests.statistical.generator import state_with_classes
from tests.studies.made_up import of_states


def claims_of(state: CampaignState) -> list[Claim]:
    one = of_states("a", {"t": state}, thorough=True)
    assert one.summary.collapses is not None
    return list(binary._claims(one, one.summary.collapses, binary._times_closer(one)))


def calibrated(runs: int) -> CampaignState:
    return simulate_classes(np.random.default_rng(0), n=2000, runs=runs, K=4).state


def test_a_calibrated_ensemble_varies_as_its_error_says() -> None:
    near, closer = claims_of(calibrated(640))
    assert (near.verdict, closer.verdict) == ("holds", "holds")


def test_examples_that_are_equally_hard_follow_the_binomial_law() -> None:
    state = state_with_classes(np.random.default_rng(1).random((640, 2000)) < 0.8, K=4)
    near, closer = claims_of(state)
    assert (near.verdict, closer.verdict) == ("does not hold", "does not hold")


def test_few_runs_cannot_tell() -> None:
    near, closer = claims_of(calibrated(6))
    assert (near.verdict, closer.verdict) == ("cannot be told", "cannot be told")


def test_numbers_are_the_means_over_all_tasks() -> None:
    one = of_states("a", {"t": calibrated(64)}, thorough=True)
    found = one.summary.collapses
    closer = binary._times_closer(one)
    numbers = {number.name: number for number in binary._numbers(one, found, closer)}
    assert numbers["tasks"].value == 7
    assert numbers["mean_error"].value == pytest.approx(found.error_T.mean())
    predicted = numbers["mean_error"].value / (2 * 2000)
    assert numbers["mean_predicted_variance"].value == pytest.approx(predicted)
    parts = [numbers[f"mean_{name}"].value for name in ("predicted_variance", "calibration_part")]
    real = numbers["mean_distribution_wise_variance"].value
    assert numbers["mean_test_set_variance"].value == pytest.approx(sum(parts) + (1 - 1 / 2000) * real)
    assert (numbers["times_closer_std"].low, numbers["times_closer_std"].high) == closer.interval
    assert closer.value == pytest.approx(found.fit["times_closer_std"])
    assert {name: number.paper for name, number in numbers.items() if number.paper} == {
        "tasks": 511,
        "r_squared_variance": 0.996,
        "r_squared_std": 0.996,
        "times_closer_variance": 70,
        "times_closer_std": 70,
        "theorem_3_ratio": 1,
    }


def test_the_arm_is_that_of_the_longest_training() -> None:
    for scale in SCALES.values():
        [arm] = binary.arms(scale)
        assert arm == durations.arms(scale)[-1]
        assert arm.recipe.epochs == max(scale.epochs)


def test_pictures_show_the_parts_of_the_variance() -> None:
    from matplotlib.figure import Figure as Canvas

    found = of_states("a", {"t": calibrated(64)}, thorough=True).summary.collapses
    tasks, parts = Canvas(), Canvas()
    binary._tasks(found, tasks)
    [points], (ours, theirs) = tasks.axes[0].collections, tasks.axes[0].lines
    x_T, std_T = np.array(points.get_offsets()).T
    assert np.allclose(sorted(x_T), sorted(100 * found.error_T))
    assert np.allclose(sorted(std_T), sorted(100 * np.sqrt(found.variance_T)))
    error_T = np.sort(found.error_T)
    assert np.allclose(ours.get_ydata(), 100 * np.sqrt(error_T / 4000))
    assert np.allclose(theirs.get_ydata(), 100 * np.sqrt(error_T * (1 - error_T) / 2000))
    binary._parts(found, parts)
    less, calibration, real = (np.array(one.get_offsets())[:, 1] for one in parts.axes[0].collections)
    assert np.allclose(less, calibration + (1 - 1 / 2000) * real)
