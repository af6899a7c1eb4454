"""The scale of the paper has the paper's numbers."""

import pytest

from airbench_var.studies import STUDIES
from airbench_var.studies.scales import SCALES

PAPER = SCALES["paper"]


def test_runs_lengths_and_shares_are_those_of_the_paper() -> None:
    assert PAPER.runs["durations"] == 60_000  # of each length, section 2
    assert PAPER.epochs == (0, 4, 16, 64)
    assert PAPER.runs["learning-rate"] == 1000  # of 64 epochs, section 4.3
    assert PAPER.rate_epochs == 64
    assert PAPER.runs["seeds"] == 4000  # appendix D.1
    assert PAPER.seed_epochs == (4, 64)
    assert PAPER.few_images == 0.2  # of the training data, section 4.2
    assert PAPER.runs["shift"] == 1000  # appendix C


def test_rates_are_powers_of_two_from_two_to_the_minus_ten_to_four() -> None:
    rates = [arm.recipe.optimizer.lr for arm in STUDIES["learning-rate"].arms(PAPER)]
    assert rates == [2.0**exponent for exponent in range(-10, 3)]


@pytest.mark.parametrize("scale", SCALES.values(), ids=list(SCALES))
def test_lengths_are_of_one_recipe_shortest_first(scale) -> None:
    for lengths, recipe in ((scale.lengths, scale.recipe), (scale.synthetic_lengths, scale.synthetic)):
        assert sorted(one.epochs for one in lengths.values()) == [one.epochs for one in lengths.values()]
        for name, one in lengths.items():
            assert name.split()[0] == f"{one.epochs:g}"
            assert one == recipe.with_values({"epochs": one.epochs})
    assert scale.recipe.epochs == scale.epochs[-1]
