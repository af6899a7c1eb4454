"""Verdicts on binary tasks: of an ensemble that is calibrated, and of one whose examples are equally hard."""

from dataclasses import replace

import numpy as np
import pytest

from airbench_var.stats import CampaignState
from airbench_var.studies import binary, durations
from airbench_var.studies.findings import Claim
from airbench_var.studies.scales import SCALES
from tests.analysis.made_estimates import estimate
from tests.statistical.classes import simulate_classes
from tests.statistical.generator import state_with_classes
from tests.studies.made_up import of_states


def claims_of(state: CampaignState) -> list[Claim]:
    one = of_states("a", {"t": state}, thorough=True)
    assert one.summary.collapses is not None
    return list(binary._claims(one, one.summary.collapses, *binary._over_chunks(one)))


def calibrated(runs: int) -> CampaignState:
    return simulate_classes(np.random.default_rng(0), n=2000, runs=runs, K=4).state


def test_a_calibrated_ensemble_varies_as_its_error_says() -> None:
    assert [claim.verdict for claim in claims_of(calibrated(640))] == ["holds"] * 3


def test_what_is_real_is_added_to_what_the_error_says() -> None:
    """Runs of a calibrated ensemble that differ on all examples at once vary by more than the error says."""
    rng = np.random.default_rng(0)
    both_terms, alone, _ = claims_of(simulate_classes(rng, n=2000, runs=640, common=0.1).state)
    assert (both_terms.verdict, alone.verdict) == ("holds", "does not hold")


def test_examples_that_are_equally_hard_follow_the_binomial_law() -> None:
    state = state_with_classes(np.random.default_rng(1).random((640, 2000)) < 0.8, K=4)
    assert [claim.verdict for claim in claims_of(state)] == ["does not hold"] * 3


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [((0.9, 1.1), "holds"), ((0.89, 1.05), "cannot be told"), ((1.11, 1.2), "does not hold")],
)
def test_within_a_tenth_is_to_both_sides(ends, verdict) -> None:
    one = of_states("a", {"t": calibrated(64)}, thorough=True)
    ratio = estimate(sum(ends) / 2, ends)
    one.summary = replace(one.summary, estimates={**one.summary.estimates, "theorem_3_ratio": ratio})
    closer, _ = binary._over_chunks(one)
    claims = list(binary._claims(one, one.summary.collapses, closer, ratio))
    assert [claim.verdict for claim in claims[:2]] == [verdict] * 2


def test_few_runs_cannot_tell() -> None:
    both_terms, *others = claims_of(calibrated(6))
    assert [claim.verdict for claim in others] == ["cannot be told"] * 2
    assert (
        both_terms.verdict == "holds"
    )  # the luck of a whole run is taken out, and that of examples averages


def test_numbers_are_the_means_over_all_tasks() -> None:
    one = of_states("a", {"t": calibrated(64)}, thorough=True)
    found = one.summary.collapses
    closer, both_terms = binary._over_chunks(one)
    numbers = {number.name: number for number in binary._numbers(one, found, closer, both_terms)}
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
        "theorem_3_ratio_of_independent_errors": 1,
    }
    predicted = found.predicted_T.mean()
    expected = (found.variance_T - (1 - 1 / 2000) * found.distribution_wise_variance_T).mean() / predicted
    assert numbers["theorem_3_ratio_of_independent_errors"].value == pytest.approx(expected)


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
    less, calibration, real = (np.array(axis.collections[0].get_offsets())[:, 1] for axis in parts.axes)
    assert np.allclose(less, calibration + (1 - 1 / 2000) * real)
