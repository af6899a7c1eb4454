"""Verdicts on calibration, from estimates and from ensembles that are calibrated or over-confident."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from airbench_var.analysis import Estimate
from airbench_var.studies import calibration
from airbench_var.studies.findings import Claim
from tests.statistical.classes import simulate_classes
from tests.studies.made_up import of_states
from tests.studies.test_findings import estimate


def claims_of(p_value: float | None = 0.3, **changes: Estimate) -> list[Claim]:
    """Return the claims of an ensemble that errs on a fifth of the examples, with these estimates."""
    estimates = {
        "mean_accuracy": estimate(0.8, (0.79, 0.81)),
        "calibration_error": estimate(0.02, (0.01, 0.04)),
        "disagreement": estimate(0.2, (0.19, 0.21)),
        "disagreement_gap": estimate(0.0, (-0.01, 0.01)),
        "theorem_4_ratio": estimate(3.0, (2.0, 4.0)),
        **changes,
    }
    summary = SimpleNamespace(
        estimates=estimates, tests={"calibration": SimpleNamespace(p_value=p_value, least_p_value=0.005)}
    )
    one: Any = SimpleNamespace(summary=summary, arm=SimpleNamespace(name="a"))
    return list(calibration._claims(one))


def test_all_hold_of_an_ensemble_that_is_calibrated() -> None:
    assert [claim.verdict for claim in claims_of()] == ["holds"] * 3


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((-0.019, 0.019), "holds"),
        ((-0.015, -0.005), "holds"),  # not equal, and within a tenth
        ((-0.021, 0.01), "cannot be told"),
        ((-0.3, 0.3), "cannot be told"),  # holds 0, as any wide one does
        ((0.021, 0.05), "does not hold"),
        ((-0.05, -0.021), "does not hold"),
    ],
)
def test_disagreement_is_the_error_within_a_tenth_of_it(interval, verdict) -> None:
    gap = estimate(sum(interval) / 2, interval)
    claim = claims_of(disagreement_gap=gap)[1]
    assert (claim.verdict, "error 20.00 %" in claim.because) == (verdict, True)


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [((0.01, 0.04), "holds"), ((0.04, 0.06), "cannot be told"), ((0.06, 0.1), "does not hold")],
)
def test_nearly_calibrated_is_an_error_below_5_percent(interval, verdict) -> None:
    assert claims_of(calibration_error=estimate(0.05, interval))[0].verdict == verdict


@pytest.mark.parametrize(
    ("p_value", "told"),
    [
        (0.01, "rejected, p = 0.01"),
        (0.005, "rejected, p <= 0.005"),
        (0.5, "not rejected, p = 0.5"),
        (None, "not told"),
    ],
)
def test_exact_calibration_is_rejected_by_a_small_p_value(p_value, told) -> None:
    assert claims_of(p_value)[0].because.endswith(f"exactly calibrated is {told}")


def test_theorem_4_is_a_lower_bound() -> None:
    assert claims_of(theorem_4_ratio=estimate(0.8, (0.7, 0.9)))[2].verdict == "does not hold"


@pytest.mark.parametrize(("temperature", "verdicts"), [(1.0, {"holds"}), (0.3, {"does not hold"})])
def test_ensembles_that_are_and_are_not(temperature: float, verdicts: set[str]) -> None:
    drawn = simulate_classes(np.random.default_rng(0), n=4000, runs=64, temperature=temperature)
    one = of_states("a", {"t": drawn.state}, thorough=True)
    assert {list(calibration._claims(one))[1].verdict} == verdicts


def test_verdicts_are_of_the_longest_training_and_pictures_of_any() -> None:
    drawn = [simulate_classes(np.random.default_rng(seed), n=300, runs=20).state for seed in range(3)]
    trained = [
        of_states(f"{epochs} epochs", {"t": state}, epochs=epochs, thorough=True)
        for epochs, state in zip((0, 1, 2), drawn, strict=True)
    ]
    evidence: Any = SimpleNamespace(trained=trained)
    found = calibration.findings(evidence)
    assert all("(2 epochs)" in claim.text or "; 2 epochs)" in claim.text for claim in found.claims)
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas()
    found.figures[0].draw(canvas)
    assert [axis.get_title() for axis in canvas.axes] == ["1 epochs", "2 epochs"]


def test_bars_of_reliability_are_shares_of_the_class() -> None:
    """Of many calibrated examples every share is near its votes; of over-confident ones it is not."""
    from matplotlib.figure import Figure as Canvas

    for temperature, near in ((1.0, True), (0.3, False)):
        drawn = simulate_classes(np.random.default_rng(0), n=20_000, runs=40, temperature=temperature)
        one, canvas = of_states("a", {"t": drawn.state}, thorough=True), Canvas()
        calibration._reliability([one], canvas)
        [points] = canvas.axes[0].containers
        x_B, share_B = points.lines[0].get_data()
        assert (np.abs(share_B - x_B).max() < 0.06) == near
        if not near:
            assert share_B[1] > x_B[1]
            assert share_B[-2] < x_B[-2]
