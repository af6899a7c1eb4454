"""Verdicts on the truth, from measurements of known outcome."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from airbench_var.studies import truth
from airbench_var.studies.scales import SCALES
from airbench_var.studies.test_bed import Against, Truth
from airbench_var.studies.truth_figures import draw_lengths, draw_luck
from tests.studies.test_findings import estimate
from tests.studies.test_fresh import measured_runs

TRUTH = Truth(value=1e-6, standard_error=0.0)


def against(z: float) -> Against:
    return Against(name="x", mean=1e-6 + z * 1e-8, standard_error=1e-8, truth=TRUTH)


@pytest.mark.parametrize(
    ("zs", "verdict"),
    [
        ((1.0, 4.0, 90.0), "holds"),
        ((-1.9, -4.0, 90.0), "holds"),
        ((2.5, 4.0, 90.0), "does not hold"),
        ((-2.5, 4.0, 90.0), "does not hold"),
        ((0.1, 2.0, 90.0), "cannot be told"),  # a bias that these test sets would not show
        ((0.1, 4.0, 2.0), "cannot be told"),
    ],
)
def test_eq_3_is_unbiased_where_the_others_are_seen_not_to_be(zs, verdict) -> None:
    assert truth._claim(20, 500, TRUTH, [against(z) for z in zs], 3000).verdict == verdict


def of_length(name: str, one: Any, **estimates: Any) -> Any:
    """Return measured runs as one length of the study, with these estimates from the test set."""
    one.arm = SimpleNamespace(name=name)
    one.state = one.state_of("t")
    one.summary = SimpleNamespace(estimates={"test_set_std": estimate(0.004, (0.003, 0.005)), **estimates})
    return one


def length(name: str, real: float, noise: float, interval: tuple[float, float] | None) -> Any:
    """Return 400 runs of this std on the distribution, of which the test set says this interval."""
    found = estimate(None if interval is None else sum(interval) / 2, interval)
    return of_length(name, measured_runs(1, 400, real, noise), distribution_wise_variance=found)


def test_intervals_from_one_test_set_are_judged_by_the_measurement() -> None:
    """It is 9e-6, 7.7 to 10.3 with its error."""
    good, high, low, none = (
        length("a", 0.003, 0.001, interval)
        for interval in ((7e-6, 11e-6), (14e-6, 18e-6), (1e-6, 4e-6), None)
    )
    wide = length("a", 0.003, 0.001, (3e-6, 15e-6))  # it holds the measurement, and half of it
    for lengths, verdict in (
        ([good, good], "holds"),
        ([good, high], "does not hold"),
        ([low, good], "does not hold"),
        ([good, wide], "cannot be told"),
        ([good, none], "cannot be told"),
        ([none, low], "does not hold"),
    ):
        claim = truth._one_test_set_is_enough(lengths)
        assert claim.verdict == verdict
        assert claim.because.count(" at a") == 2


@pytest.mark.parametrize(
    ("intervals", "verdict"),
    [
        ([(0.5, 2.0)], "holds"),
        ([(0.49, 1.9)], "cannot be told"),
        ([(0.6, 2.01)], "cannot be told"),
        ([(0.9, 1.1), None], "cannot be told"),
        ([(0.4, 2.5), (1.01, 1.2)], "does not hold"),
    ],
)
def test_a_factor_of_two_is_to_both_sides(intervals, verdict) -> None:
    ratios = [estimate(1.0, interval) for interval in intervals]
    assert truth._within_a_factor_of_two(*ratios) == verdict


@pytest.mark.parametrize(
    ("real", "noise", "verdict"),
    [(0.0002, 0.004, "holds"), (0.004, 0.0005, "does not hold"), (0.002, 0.002, "cannot be told")],
)
def test_luck_lasts_as_far_as_runs_are_better(real, noise, verdict) -> None:
    """Runs keep the share of their variance that is real: a fifth, nearly all, or half."""
    claim = truth._luck_does_not_last(length("a", real, noise, None))
    assert claim.verdict == verdict
    assert claim.text.startswith("The best 4 of 400 seeds ")


def test_the_measured_variance_falls_or_rises() -> None:
    large, small = (length(str(real), real, 0.001, None) for real in (0.003, 0.002))
    assert truth._falls(large, small).verdict == "holds"
    assert truth._falls(small, large).verdict == "does not hold"
    assert truth._falls(large, large).verdict == "cannot be told"
    nearly = length("nearly", 0.00295, 0.001, None)  # smaller, by less than the error of either
    assert truth._falls(large, nearly).verdict == "cannot be told"
    assert truth._falls(nearly, large).verdict == "cannot be told"


def test_the_first_length_is_compared_with_the_last() -> None:
    large, small = (length(str(real), real, 0.001, (5e-6, 12e-6)) for real in (0.003, 0.002))
    claims = list(truth._claims([large, small, small]))
    assert len(claims) == 3
    assert claims[2].verdict == "holds"
    assert "at 0.003" in claims[2].because
    assert "(0.002)" in claims[1].text


def test_numbers_of_a_setting_have_their_own_errors() -> None:
    few: Any = SimpleNamespace(
        store=SimpleNamespace(
            manifest=SimpleNamespace(test_sets=[SimpleNamespace(n=n) for n in (10_000, 700, 700, 900)])
        )
    )
    measured = Truth(value=1e-6, standard_error=3e-8)
    one = Against(name="eq_3", mean=1.1e-6, standard_error=4e-8, truth=measured)
    found = truth._of_setting(few, 20, 500, measured, [one], 30)
    numbers = {number.name: number for number in found}
    assert numbers["truth"].examples == 1400
    assert numbers["truth"].high - numbers["truth"].value == pytest.approx(1.96 * 3e-8, rel=1e-3)
    assert numbers["eq_3"].value - numbers["eq_3"].low == pytest.approx(1.96 * 4e-8, rel=1e-3)
    assert (numbers["eq_3"].runs, numbers["eq_3"].examples) == (20, 15_000)
    assert numbers["z_eq_3"].value == pytest.approx(1e-7 / 5e-8)
    assert numbers["z_eq_3"].low is None


def test_pictures_are_percent_with_the_lucky_in_a_colour_of_their_own() -> None:
    from matplotlib.figure import Figure as Canvas

    luck, lengths = Canvas(), Canvas()
    one = length("a", 0.003, 0.001, None)
    one.summary.estimates["distribution_wise_std"] = estimate(0.003, (0.002, 0.004))
    draw_luck([one], luck)
    everyone, best = (np.array(points.get_offsets()) for points in luck.axes[0].collections)
    assert len(everyone) == 400
    assert np.allclose(sorted(best[:, 0]), sorted(everyone[:, 0])[-4:])
    assert everyone.mean(axis=0) == pytest.approx([0, 0], abs=1e-9)
    assert everyone[:, 1].std() == pytest.approx(0.3, rel=0.15)
    draw_lengths([one], lengths)
    measured, estimated = (container.lines[0].get_ydata() for container in lengths.axes[0].containers)
    assert measured == pytest.approx([0.3], rel=0.15)
    assert estimated == pytest.approx([0.3])


@pytest.mark.parametrize("scale", SCALES.values(), ids=list(SCALES))
def test_streams_that_measure_share_no_example_and_are_as_long(scale) -> None:
    few, *lengths = truth.arms(scale)
    first, second, third = (text.split(":") for text in few.test_sets)
    assert len({first[0], second[0], third[0]}) == 3
    assert first[1] == second[1]
    assert few.runs >= max(runs for runs, _ in scale.fresh.settings)
    for arm in lengths:
        a, b = (text.split(":") for text in arm.test_sets)
        assert a[0] != b[0]
        assert a[1] == b[1]
    assert [arm.recipe.epochs for arm in lengths] == list(scale.synthetic_epochs)
