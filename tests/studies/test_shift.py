"""Verdicts on shifted test sets, from runs of known skill."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from airbench_var.analysis.correlation import Correlation
from airbench_var.studies import shift
from tests.studies.conftest import QUICK
from tests.studies.made_up import of_bits


def runs_of(stds: dict[str, float], n: int = 4000, runs: int = 200) -> Any:
    """Return runs whose accuracies on the distribution have these stds, examples drawn for each run."""
    generator = np.random.default_rng(0)
    skill_R1 = {name: generator.normal(0.7, std, (runs, 1)) for name, std in stds.items()}
    return of_bits("runs", {name: generator.random((runs, n)) < of_R1 for name, of_R1 in skill_R1.items()})


@pytest.mark.parametrize(
    ("shifted", "verdict"),
    [
        ((0.03, 0.04), "holds"),
        ((0.03, 0.011), "cannot be told"),
        ((0.03, 0.002), "does not hold"),
    ],
)
def test_larger_means_larger_on_every_one(shifted: tuple[float, float], verdict: str) -> None:
    claim = shift._larger_under_shift(runs_of({"t": 0.01, "a": shifted[0], "b": shifted[1]}))
    assert claim.verdict == verdict
    assert "of 2 test sets larger on" in claim.because


def pair(r: float, reach: float) -> Correlation:
    return Correlation(names=("a", "b"), r=r, low=r - reach, high=r + reach, p_value=0.5)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ([pair(0.1, 0.2), pair(-0.1, 0.2)], "holds"),
        ([pair(0.1, 0.2), pair(0.3, 0.2)], "cannot be told"),
        ([pair(0.1, 0.2), pair(-0.7, 0.2)], "does not hold"),
        ([], "cannot be told"),
    ],
)
def test_correlations_are_judged_against_the_strongest_of_the_paper(found, verdict) -> None:
    assert shift._uncorrelated(found).verdict == verdict


def test_published_test_sets_are_evaluated_and_correlated_as_well() -> None:
    scale = replace(QUICK, published=("cifar10.1-v6:100", "cinic10"))
    [arm] = shift.arms(scale)
    assert arm.test_sets[-2:] == scale.published
    assert len(set(arm.test_sets)) == len(arm.test_sets)
    assert shift._at_one_severity(runs_of({"t": 0.1}), scale)[-2:] == ["cifar10.1-v6", "cinic10"]
