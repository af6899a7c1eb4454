"""Which two recipes are compared, which way round, and what is said of them."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from airbench_var.analysis import compare_counts
from airbench_var.recipe import Augment
from airbench_var.studies import augmentation
from airbench_var.studies.scales import SCALES
from tests.studies.made_up import made_up
from tests.studies.test_findings import estimate


@pytest.mark.parametrize("scale", SCALES.values(), ids=list(SCALES))
def test_the_first_arm_has_no_augmentation_and_the_second_fewer_images(scale) -> None:
    bare, augmented = augmentation.arms(scale)
    assert bare.recipe.augment == Augment()
    assert bare.recipe.train_share == scale.recipe.train_share
    assert augmented.recipe.augment != Augment()
    assert (
        augmented.recipe.train_share == scale.recipe.train_share * scale.few_images < bare.recipe.train_share
    )
    assert bare.recipe.epochs == augmented.recipe.epochs == scale.one_epochs
    assert bare.seed != augmented.seed
    assert bare.runs == augmented.runs


NO_TEST = SimpleNamespace(
    name="variance_ratio", p_value=0.5, method="m", null="n", absent="", least_p_value=None
)


def pair(
    stds: tuple[float, float], votes: tuple[float, float], means: tuple[float, float] = (0.6, 0.6)
) -> tuple[Any, Any]:
    """Return runs of these spreads whose plurality votes are right on these shares, by 1 %."""
    both = [
        made_up(str(place), mean, std, n=2000)
        for place, (mean, std) in enumerate(zip(means, stds, strict=True))
    ]
    for one, share in zip(both, votes, strict=True):
        vote = replace(estimate(share, (share - 0.01, share + 0.01)), name="ensemble_accuracy")
        one.summary = SimpleNamespace(
            estimates={**one.summary.estimates, "ensemble_accuracy": vote},
            tests={"variance_ratio": NO_TEST},
        )
    return both[0], both[1]


@pytest.mark.parametrize(
    ("stds", "votes", "verdicts"),
    [
        ((0.02, 0.01), (0.75, 0.7), ["holds", "holds"]),
        ((0.01, 0.02), (0.7, 0.75), ["does not hold", "does not hold"]),
        ((0.01, 0.01), (0.7, 0.71), ["cannot be told", "cannot be told"]),
        ((0.013, 0.01), (0.7, 0.7), ["holds", "cannot be told"]),  # larger, and not 3.5 times
    ],
)
def test_verdicts(stds, votes, verdicts) -> None:
    evidence: Any = SimpleNamespace(trained=pair(stds, votes))
    found = augmentation.findings(evidence)
    assert [claim.verdict for claim in found.claims] == verdicts
    [ratio] = [number for number in found.numbers if number.name == "variance_ratio"]
    assert ratio.value == pytest.approx((stds[0] / stds[1]) ** 2, rel=0.02)


@pytest.mark.parametrize(
    ("means", "verdict"),
    [((0.6, 0.606), "holds"), ((0.606, 0.6), "holds"), ((0.6, 0.611), "cannot be told")],
)
def test_spreads_are_compared_where_the_means_are_within_a_std(means, verdict) -> None:
    evidence: Any = SimpleNamespace(trained=pair((0.02, 0.01), (0.75, 0.7), means))
    claim = augmentation.findings(evidence).claims[0]
    assert claim.verdict == verdict
    assert ("other shares of the images would tell" in claim.because) == (verdict != "holds")
    assert claim.runs_needed is None


def test_what_the_paper_prints_stands_beside_its_arm() -> None:
    bare, augmented = pair((0.02, 0.01), (0.75, 0.7))
    comparison = compare_counts("", bare.state.correct, augmented.state.correct)
    printed = [
        (number.arm, number.name, number.paper)
        for number in augmentation._numbers(bare, augmented, comparison)
        if number.paper
    ]
    assert printed == [
        ("0", "mean_accuracy", 0.875),
        ("0", "ensemble_accuracy", 0.912),
        ("1", "mean_accuracy", 0.875),
        ("1", "ensemble_accuracy", 0.898),
        ("not augmented over augmented", "variance_ratio", 3.5),
    ]


def test_the_picture_has_the_vote_where_it_is() -> None:
    from matplotlib.figure import Figure as Canvas

    both, canvas = pair((0.02, 0.01), (0.75, 0.7)), Canvas()
    augmentation._accuracies(both, canvas)
    for one, axis, vote in zip(both, canvas.axes, (75, 70), strict=True):
        assert list(axis.lines[0].get_xdata()) == pytest.approx([vote, vote])
        middles = [bar.get_x() + bar.get_width() / 2 for bar in axis.patches]
        heights = [bar.get_height() for bar in axis.patches]
        assert sum(heights) == 200
        mean = 100 * one.state.correct.S1 / (200 * 2000)
        assert np.average(middles, weights=heights) == pytest.approx(mean, abs=0.3)
