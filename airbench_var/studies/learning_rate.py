"""How accuracy and the spread of runs depend on the learning rate: the paper's section 4.3, Fig 8."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from airbench_var.analysis import compare_counts
from airbench_var.analysis.summary import LEVEL
from airbench_var.recipe import SGD, Muon, Recipe
from airbench_var.report.figures.canvas import COLOURS, Figure, draw_estimates, scale_for_stds
from airbench_var.studies.arms import Arm, Evidence, Trained
from airbench_var.studies.findings import (
    Claim,
    Findings,
    Number,
    Unit,
    above,
    decided,
    larger,
    numbers_of,
    p_value_of,
    percent_of,
    text_of,
)
from airbench_var.studies.scales import PAPER_EPOCHS, Scale, length_text
from airbench_var.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

UNITS: dict[str, Unit] = {
    "mean_accuracy": "share",
    "test_set_std": "share",
    "distribution_wise_std": "share",
    "distribution_wise_variance": "variance",
}

#: Std of the paper's network after so many epochs at a rate, of which 0.5 is the best.
PAPER = {(64.0, 0.5): 0.00148, (64.0, 1.0): 0.00168}

#: Seed of the first arm's campaign; those of other studies are other numbers.
SEED = 200


def with_rate(recipe: Recipe, exponent: int) -> Recipe:
    """Return the recipe with all its learning rates times 2^exponent."""
    optimizer, times = recipe.optimizer, 2.0**exponent
    if isinstance(optimizer, Muon):
        faster = replace(
            optimizer,
            lr=times * optimizer.lr,
            bias_lr=times * optimizer.bias_lr,
            head_lr=times * optimizer.head_lr,
        )
        return replace(recipe, optimizer=faster)
    return replace(recipe, optimizer=replace(optimizer, lr=times * optimizer.lr))


def arms(scale: Scale) -> list[Arm]:
    """Return one arm a rate, the lowest first, each with seeds of its own."""
    recipe = scale.recipe.with_values({"epochs": scale.rate_epochs})
    return [
        Arm(
            name=f"rate x 2^{exponent}",
            recipe=with_rate(recipe, exponent),
            runs=scale.runs["learning-rate"],
            seed=SEED + place,
        )
        for place, exponent in enumerate(scale.rates)
    ]


def findings(evidence: Evidence) -> Findings:
    """Return means and spreads by learning rate, and where the best of both lie."""
    trained = evidence.trained
    return Findings(
        numbers=[number for one in trained for number in _numbers(one)],
        claims=[_same_place(trained), *_above_the_best(trained, evidence.scale.rates)],
        figures=[
            Figure(
                name="rates",
                caption="Mean accuracy, and spread (std) over runs on this test set and on its "
                "distribution, by learning rate in units of the recipe's own; 95 % intervals (paper, Fig 8).",
                draw=partial(_rates, trained, evidence.scale.rates),
                inches=(7, 3.2),
            )
        ],
        notes=[
            f"Every arm is trained for {_length(trained)}, in the paper for {PAPER_EPOCHS[-1]}. With Muon "
            "all three rates, of filters, biases and head, are scaled together."
        ],
    )


def _numbers(one: Trained) -> Iterator[Number]:
    recipe, paper = one.arm.recipe, {}
    if isinstance(recipe.optimizer, SGD) and (setting := (recipe.epochs, recipe.optimizer.lr)) in PAPER:
        paper = {"test_set_std": PAPER[setting]}
    yield from numbers_of(one.arm.name, one.summary.estimates, UNITS, paper)
    yield p_value_of(one.summary.tests["variance_ratio"], one.arm.name, one.state.correct)


def _length(trained: Sequence[Trained]) -> str:
    return length_text(trained[0].arm.recipe.epochs)


def _best(trained: Sequence[Trained]) -> int:
    return int(np.argmax([one.summary.estimates["mean_accuracy"].value or 0.0 for one in trained]))


def _same_place(trained: Sequence[Trained]) -> Claim:
    """Return whether the rate of the best mean also has the lowest variance.

    The two are compared at a level that allows for the choice of the lowest among all others (Bonferroni).
    """
    best = trained[_best(trained)]
    others = [one for one in trained if one is not best]
    lowest = min(others, key=lambda one: one.summary.estimates["test_set_std"].value or np.inf)
    level = 1 - (1 - LEVEL) / len(others)
    ratio = compare_counts("", lowest.state.correct, best.state.correct, level).estimates[
        "variance_ratio_a_to_b"
    ]
    return above(
        ratio,
        1.0,
        text=f"The rate of the best mean accuracy also has the lowest variance ({_length(trained)})",
        source="section 4.3, Fig 8",
        shown=f"best mean at {best.arm.name}, std {percent_of(best.summary.estimates['test_set_std'])}; "
        f"the lowest of all others at {lowest.arm.name}, "
        f"{percent_of(lowest.summary.estimates['test_set_std'])}; its variance is {text_of(ratio)} times "
        "that at the best mean (interval for the choice among all)",
    )


def _above_the_best(trained: Sequence[Trained], exponents: Sequence[int]) -> Iterator[Claim]:
    """Yield whether twice the best rate has a larger variance, on this test set and on the distribution."""
    place, source = _best(trained), "section 4.3, Fig 8"
    on_test_set, on_distribution = (
        f"Twice the rate of the best mean has a larger variance on {target} (the paper: {times} times; "
        f"{_length(trained)})"
        for target, times in (("this test set", "1.3"), ("the distribution", "5"))
    )
    if exponents[place] + 1 not in exponents:
        because = f"the best mean is at {trained[place].arm.name}, and twice that was not trained"
        for text in (on_test_set, on_distribution):
            yield Claim(text=text, source=source, verdict="cannot be told", because=because)
        return
    best, twice = trained[place], trained[exponents.index(exponents[place] + 1)]
    comparison = compare_counts("", twice.state.correct, best.state.correct)
    ratio = comparison.estimates["variance_ratio_a_to_b"]
    stds = [percent_of(one.summary.estimates["test_set_std"]) for one in (best, twice)]
    yield above(
        ratio,
        1.0,
        text=on_test_set,
        source=source,
        shown=f"std {stds[0]} at {best.arm.name}, {stds[1]} at {twice.arm.name}; variances {text_of(ratio)} "
        "to 1",
    )
    at_best, at_twice = (one.summary.estimates["distribution_wise_variance"] for one in (best, twice))
    yield decided(
        larger,
        at_twice,
        at_best,
        text=on_distribution,
        source=source,
        shown="std on the distribution "
        f"{percent_of(best.summary.estimates['distribution_wise_std'])} at {best.arm.name}, "
        f"{percent_of(twice.summary.estimates['distribution_wise_std'])} at {twice.arm.name}",
    )


def _rates(trained: Sequence[Trained], exponents: Sequence[int], canvas: "Canvas") -> None:
    left, right = canvas.subplots(1, 2)
    means = [one.summary.estimates["mean_accuracy"] for one in trained]
    draw_estimates(left, exponents, means, colour=COLOURS[0], line=True)
    left.set_ylabel("mean accuracy, %")
    for kind, (name, label) in enumerate(
        (("test_set_std", "on this test set"), ("distribution_wise_std", "on its distribution"))
    ):
        stds = [one.summary.estimates[name] for one in trained]
        draw_estimates(
            right, exponents, stds, colour=COLOURS[kind], label=label, marker="os"[kind], line=True
        )
    right.set_ylabel("std over runs, %")
    scale_for_stds(right)  # a rate that is too large has a spread of 20 times the least
    right.legend()
    for axis in (left, right):
        axis.set_xlabel("learning rate, recipe's own x 2^k: k")
        axis.set_xticks(exponents)


STUDY = Study(
    name="learning-rate",
    title="Learning rate and the spread of runs",
    source="section 4.3, Fig 8",
    question="Is the learning rate of the best mean accuracy also that of the smallest spread?",
    arms=arms,
    findings=findings,
)
