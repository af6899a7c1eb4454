"""The verdict on a model whose runs hardly differ, or not at all."""

import numpy as np
import pytest

from airbench_var.studies import linear
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
