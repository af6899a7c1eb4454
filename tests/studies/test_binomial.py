"""The binomial law against runs of known spread."""

import numpy as np
import pytest

from airbench_var.studies import binomial
from airbench_var.studies.arms import Evidence
from tests.studies.conftest import QUICK
from tests.studies.made_up import made_up


@pytest.mark.parametrize(("times", "verdict"), [(4, "holds"), (1, "cannot be told"), (0.25, "does not hold")])
def test_the_law_is_over_the_variance(times: float, verdict: str) -> None:
    one = made_up("a", 0.5, np.sqrt(0.25 / 4000 / times))
    found = binomial.ratio(one)
    assert found.value == pytest.approx(times, rel=0.05)
    low, high = found.interval or (0.0, 0.0)
    assert low < times < high
    claim = binomial._claim(one)
    assert (claim.verdict, f"{found.value:.2f} (" in claim.because) == (verdict, True)


def test_what_the_paper_prints_is_of_64_epochs() -> None:
    for epochs, paper in ((4, None), (64, 2.5)):
        *_, ratio = binomial._numbers(made_up("a", 0.5, 0.005, epochs=epochs))
        assert (ratio.name, ratio.paper) == ("binomial_over_test_set_variance", paper)


def test_the_claim_is_of_the_longest_training() -> None:
    trained = [made_up(name, 0.5, 0.005, epochs=epochs) for name, epochs in (("short", 4), ("long", 64))]
    [claim] = binomial.findings(Evidence(trained=trained, data=None, scale=QUICK)).claims  # type: ignore[arg-type]
    assert claim.text.endswith("; long)")
