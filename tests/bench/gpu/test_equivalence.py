"""The verdict on two sets of runs follows the intervals of the comparison."""

import numpy as np

from airbench_var.analysis.estimate import Estimate
from airbench_var.stats import CorrectnessCounts
from bench.gpu.equivalence import compared, verdict
from bench.gpu.report import Value

N = 2000


def runs(seed: int, easier: float = 0.0) -> CorrectnessCounts:
    rng = np.random.default_rng(seed)
    rate_N = np.clip(np.linspace(0.6, 0.99, N) + easier, 0, 1)
    correct_RN = rng.random((40, N)) < rate_N
    return CorrectnessCounts.of(N, "t", np.arange(40), np.packbits(correct_RN, axis=1, bitorder="little"))


def said(found: dict[str, Value], name: str) -> str:
    estimate = found[name]
    assert isinstance(estimate, dict)
    return str(estimate["verdict"])


def test_runs_of_one_law_are_equal_within_an_interval() -> None:
    found = compared("t", runs(1), runs(2))
    for name in ("difference_on_this_test_set", "variance_ratio_a_to_b"):
        assert said(found, name).startswith("no difference seen, within [")
    assert float(found["fast_independence_p_value"]) > 0.01  # type: ignore[arg-type]


def test_a_better_path_is_different() -> None:
    found = compared("t", runs(1, easier=0.01), runs(2))
    assert said(found, "difference_on_this_test_set").startswith("different: [0.0")
    assert said(found, "variance_ratio_a_to_b").startswith("no difference seen, within [")


def test_without_an_interval_the_reason_is_given() -> None:
    estimate = Estimate(
        name="x", target="this test set", value=1.0, interval=None, level=0.95, absent="too few runs",
        method="", assumption="", runs=2, examples=3,
    )  # fmt: skip
    assert verdict(estimate, 0.0) == {"value": 1.0, "verdict": "no interval: too few runs"}
