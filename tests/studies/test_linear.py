"""The verdict on a model whose runs hardly differ, or not at all."""

import numpy as np
import pytest

from airbench_var.studies import linear
from airbench_var.studies.arms import Evidence
from tests.studies.conftest import QUICK
from tests.studies.made_up import made_up, of_bits


@pytest.mark.parametrize(("runs", "verdict"), [(200, "holds"), (29, "holds"), (28, "cannot be told")])
def test_equal_runs_tell_when_they_are_many(runs: int, verdict: str) -> None:
    correct_RN = np.tile(np.arange(1000) < 400, (runs, 1))
    claim = linear._claim(of_bits("equal", {"t": correct_RN}))
    assert (claim.verdict, "all" in claim.because) == (verdict, True)


def test_runs_that_differ_are_judged_by_their_interval() -> None:
    assert linear._claim(made_up("spread", 0.4, 0.003)).verdict == "does not hold"
    correct_RN = np.tile(np.arange(100_000) < 40_000, (200, 1))
    correct_RN[:, 50_000] = np.arange(200) % 2 == 0  # std of half an example in 100,000
    assert linear._claim(of_bits("nearly equal", {"t": correct_RN})).verdict == "holds"


def test_examples_that_vary_are_right_in_some_runs_and_wrong_in_others() -> None:
    correct_RN = np.tile(np.arange(100) < 40, (50, 1))
    correct_RN[:7, 50] = correct_RN[:9, 51] = True
    trained = [of_bits("linear", {"t": correct_RN})]
    found = linear.findings(Evidence(trained=trained, data=None, scale=QUICK))  # type: ignore[arg-type]
    numbers = {number.name: number for number in found.numbers}
    assert numbers["examples_that_vary"].value == 2
    assert numbers["test_set_std"].paper == 0.0001
    variance = trained[0].summary.estimates["distribution_wise_variance"]
    assert (numbers["distribution_wise_variance"].value, numbers["distribution_wise_variance"].unit) == (
        variance.value,
        "variance",
    )
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas()
    found.figures[0].draw(canvas)
    assert [bar.get_height() for bar in canvas.axes[0].patches] == [41, 2, 7]
