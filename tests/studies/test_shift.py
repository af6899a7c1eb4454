"""Verdicts on shifted test sets, from runs of known skill."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from airbench_var.analysis.correlation import Correlation
from airbench_var.data.shifted import NAMES
from airbench_var.recipes.paper import resnet18_imagenet
from airbench_var.studies import shift
from airbench_var.studies.arms import Evidence
from airbench_var.studies.scales import SCALES
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
        ((0.03, 0.0125), "cannot be told"),  # larger, by an interval that overlaps
    ],
)
def test_larger_means_larger_on_every_one(shifted: tuple[float, float], verdict: str) -> None:
    claim = shift._larger_under_shift(runs_of({"t": 0.01, "a": shifted[0], "b": shifted[1]}))
    assert claim.verdict == verdict
    assert (claim.runs_needed is not None) == (verdict == "cannot be told")
    smaller = " (b)" if verdict == "does not hold" else ""
    assert "of 2 test sets larger on" in claim.because
    assert f"smaller on {len(smaller) // 4}{smaller}, by intervals" in claim.because


OF_100 = runs_of({"t": 0.01}, n=8, runs=100).state.correct


def pair(r: float, reach: float) -> Correlation:
    return Correlation(names=("a", "b"), r=r, low=r - reach, high=r + reach, p_value=0.5, method="t")


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ([pair(0.1, 0.2), pair(-0.1, 0.2)], "holds"),
        ([pair(0.1, 0.2), pair(0.3, 0.2)], "cannot be told"),
        ([pair(0.1, 0.2), pair(-0.7, 0.2)], "does not hold"),
        ([pair(0.1, 0.2), pair(0.7, 0.2)], "does not hold"),
        ([pair(0.3, 0.06)], "holds"),  # R^2 of 0.36^2 at most
        ([pair(0.3, 0.1)], "cannot be told"),
        ([], "cannot be told"),
    ],
)
def test_correlations_are_judged_against_the_strongest_of_the_paper(found, verdict) -> None:
    assert shift._uncorrelated(found, OF_100).verdict == verdict


def test_the_runs_are_named_that_would_tell_of_the_widest_correlation() -> None:
    """From 0.3 by 0.1, and from 0 by 0.4, the bound is sqrt(0.14) = 0.374."""
    claim = shift._uncorrelated([pair(0.0, 0.4), pair(0.3, 0.1)], OF_100)
    expected = 100 * (0.1 / (0.14**0.5 - 0.3)) ** 2
    assert claim.runs_needed == pytest.approx(expected, abs=1)


def test_published_test_sets_are_evaluated_and_correlated_as_well() -> None:
    scale = replace(QUICK, published=("cifar10.1-v6:100", "cinic10"))
    [arm] = shift.arms(scale)
    assert arm.test_sets[-2:] == scale.published
    assert len(set(arm.test_sets)) == len(arm.test_sets)
    assert shift._at_one_severity(runs_of({"t": 0.1}), scale)[-2:] == ["cifar10.1-v6", "cinic10"]


def test_the_strongest_is_told_by_its_r_squared_whatever_its_sign() -> None:
    claim = shift._uncorrelated([pair(0.3, 0.1), replace(pair(-0.4, 0.1), names=("c", "d"))], OF_100)
    assert claim.because.startswith("strongest c and d, R^2 0.160 (r -0.50 to -0.30)")


@pytest.mark.parametrize(
    ("classes", "epochs", "same"), [(1000, 100, True), (10, 100, False), (1000, 8, False)]
)
def test_what_the_paper_prints_stands_beside_its_network_on_imagenet(classes, epochs, same) -> None:
    one = runs_of(dict.fromkeys(("val", "v2", "r", "sketch", "objectnet", "own"), 0.02), n=200)
    recipe = resnet18_imagenet().with_values({"epochs": epochs})
    one.arm = replace(one.arm, recipe=recipe)
    scale = replace(QUICK, on_photos=True, published=("v2", "r", "sketch", "objectnet", "own"))
    data: Any = SimpleNamespace(classes=range(classes))
    numbers = shift.findings(Evidence(trained=[one], data=data, scale=scale)).numbers
    printed = {(number.arm, number.name): number.paper for number in numbers if number.paper is not None}
    strongest = [number for number in numbers if number.name.startswith("strongest_r_squared_of_")]
    r = {
        how: max((number.value or 0) ** 2 for number in numbers if number.name == f"correlation_of_{how}")
        for how in ("whole", "distinct_images")
    }
    assert {number.name.partition("_of_")[2]: number.value for number in strongest} == pytest.approx(r)
    std = "distribution_wise_std"
    expected = {
        ("val", "mean_accuracy"): 0.71,
        ("val", "test_set_std"): 0.00118,
        ("val", std): 0.00034,
        ("v2", std): 0.00071,
        ("r", std): 0.00181,
        ("sketch", std): 0.00257,
        ("objectnet", std): 0.00179,
        (strongest[0].arm, "strongest_r_squared_of_whole"): 0.14,
    }
    assert printed == (expected if same else {})


def test_the_verdict_is_on_distinct_images_and_both_are_in_the_numbers() -> None:
    """The same images shown twice: test sets go together by them alone."""
    generator = np.random.default_rng(0)
    right_RN = generator.random((100, 600)) < 0.7
    names = ["t", *(f"{kind}-3" for kind in shift.KINDS), "cinic10"]
    noisy = {name: right_RN ^ (generator.random((100, 600)) < 0.1) for name in names[:-1]}
    one = of_bits("shift", {**noisy, "cinic10": generator.random((100, 90)) < 0.7})
    scale = replace(QUICK, published=("cinic10",))
    found = shift.findings(Evidence(trained=[one], data=None, scale=scale))  # type: ignore[arg-type]
    r = {
        how: {number.arm: number for number in found.numbers if number.name == f"correlation_of_{how}"}
        for how in ("whole", "distinct_images")
    }
    assert min(abs(r["whole"][f"t and {name}"].value or 0) for name in names[1:-1]) > 0.5
    assert max(abs(number.value or 0) for number in r["distinct_images"].values()) < 0.5
    assert "distinct images" in r["distinct_images"]["t and blur-3"].method
    assert r["distinct_images"]["t and cinic10"] == replace(
        r["whole"]["t and cinic10"], name="correlation_of_distinct_images"
    )
    assert found.claims[1].verdict != "does not hold"
    assert (r["whole"]["t and blur-3"].examples, r["whole"]["t and cinic10"].examples) == (600, 90)
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas()
    found.figures[1].draw(canvas)
    for axis, how in zip(canvas.axes[:2], ("whole", "distinct_images"), strict=True):
        square_MM = axis.images[0].get_array()
        low, high = names.index("t"), names.index("blur-3")
        rows = [label.get_text() for label in canvas.axes[0].get_yticklabels()]
        columns = [label.get_text() for label in axis.get_xticklabels()]
        assert (rows[high - 1], columns[low]) == ("blur-3", "t")
        assert square_MM[high - 1, low] == pytest.approx((r[how]["t and blur-3"].value or 0) ** 2)


def test_the_scale_of_the_paper_has_cifar10_c_whose_middle_severity_is_correlated() -> None:
    [arm] = shift.arms(SCALES["paper"])
    of_c = [name for name in arm.test_sets if name.startswith("cifar10-c-")]
    assert len(set(of_c)) == len(of_c) == 15 * 5
    assert set(of_c) <= set(NAMES)
    chosen = shift._at_one_severity(runs_of({"t": 0.1}), SCALES["paper"])
    assert [name for name in of_c if name.endswith("-3")] == chosen[-15:]
    assert chosen[-18:-15] == ["cifar10.1-v6", "cifar10.2", "cinic10"]
    assert len(chosen) == len(shift.KINDS) + 3 + 15
    alone = replace(SCALES["paper"], published=("cifar10-c-fog-1", "cifar10-c-snow-1", "cifar10-c-snow-3"))
    assert shift._at_one_severity(runs_of({"t": 0.1}), alone)[-2:] == ["cifar10-c-fog-1", "cifar10-c-snow-3"]


def test_test_sets_that_show_the_same_images_are_the_whole_ones_alone() -> None:
    generator = np.random.default_rng(0)
    sizes = {"t": 50, "blur-3": 50, "noise-3": 40, "cifar10-c-fog-3": 50, "cinic10": 50}
    one = of_bits("a", {name: generator.random((9, n)) < 0.6 for name, n in sizes.items()})
    assert shift._showing_the_same_images(one, list(sizes)) == ["t", "blur-3", "cifar10-c-fog-3"]


def test_of_several_severities_the_middle_one_is_correlated() -> None:
    one = runs_of({"t": 0.1})
    assert shift._at_one_severity(one, SCALES["cpu"])[0].endswith("-3")
    assert len(shift._at_one_severity(one, SCALES["cpu"])) == len(shift.KINDS)
