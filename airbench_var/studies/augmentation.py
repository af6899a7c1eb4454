"""Does augmentation make runs differ less, at the same mean accuracy? The paper's section 4.2, Fig 7."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from airbench_var.analysis import Comparison, compare_counts
from airbench_var.recipe import Augment
from airbench_var.report.figures.accuracies import draw_histogram
from airbench_var.report.figures.canvas import COLOURS, Figure
from airbench_var.report.percent import value_text
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
from airbench_var.studies.scales import Scale
from airbench_var.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

UNITS: dict[str, Unit] = {
    "mean_accuracy": "share",
    "ensemble_accuracy": "share",
    "test_set_std": "share",
    "distribution_wise_std": "share",
    "distribution_wise_variance": "variance",
    "disagreement": "share",
}

#: Without augmentation on all images, and with it on a part of them.
PAPER = (
    {"mean_accuracy": 0.875, "ensemble_accuracy": 0.912},
    {"mean_accuracy": 0.875, "ensemble_accuracy": 0.898},
)
SEED = 400


def arms(scale: Scale) -> list[Arm]:
    """Return no augmentation on all images of the recipe, and its augmentation on a fixed part of them."""
    recipe = scale.recipe.with_values({"epochs": scale.one_epochs})
    few = recipe.with_values({"train_share": recipe.train_share * scale.few_images, **scale.augmented})
    runs = scale.runs["augmentation"]
    return [
        Arm(
            name="not augmented, all images",
            recipe=recipe.with_values({f"augment.{name}": value for name, value in vars(Augment()).items()}),
            runs=runs,
            seed=SEED,
        ),
        Arm(name=f"augmented, {scale.few_images:.0%} of them", recipe=few, runs=runs, seed=SEED + 1),
    ]


def findings(evidence: Evidence) -> Findings:
    """Return the spread of both, their ratio, and their ensembles."""
    bare, augmented = evidence.trained
    comparison = compare_counts("", bare.state.correct, augmented.state.correct)
    return Findings(
        numbers=list(_numbers(bare, augmented, comparison)),
        claims=list(_claims(bare, augmented, comparison)),
        figures=[
            Figure(
                name="accuracies",
                caption="Test-set accuracies of all runs, and the accuracy of their plurality vote (paper, "
                "Fig 7).",
                draw=partial(_accuracies, evidence.trained),
                inches=(7, 3.2),
            )
        ],
        notes=[
            "Both are trained for as many epochs. The part of the images was chosen beforehand, on other "
            "seeds, so that the means are near each other."
        ],
    )


def _numbers(bare: Trained, augmented: Trained, comparison: Comparison) -> Iterator[Number]:
    for one, paper in zip((bare, augmented), PAPER, strict=True):
        yield from numbers_of(one.arm.name, one.summary.estimates, UNITS, paper)
        yield p_value_of(one.summary.tests["variance_ratio"], one.arm.name, one.state.correct)
    both = "not augmented less augmented"
    for name in ("difference_on_this_test_set", "difference_on_the_distribution"):
        yield Number.of(comparison.estimates[name], both, "share", paper=0.0)
    ratio = comparison.estimates["variance_ratio_a_to_b"]
    yield Number.of(ratio, "not augmented over augmented", "plain", name="variance_ratio", paper=3.5)


def _claims(bare: Trained, augmented: Trained, comparison: Comparison) -> Iterator[Claim]:
    yield _larger_at_the_same_mean(bare, augmented, comparison)
    ensembles = [one.summary.estimates["ensemble_accuracy"] for one in (bare, augmented)]
    yield decided(
        larger,
        *ensembles,
        text="The ensemble of runs without augmentation is the better one",
        source="section 4.2 (91.2 against 89.8 %)",
        shown=f"{percent_of(ensembles[0])} against {percent_of(ensembles[1])}, each on fresh examples",
    )


def _larger_at_the_same_mean(bare: Trained, augmented: Trained, comparison: Comparison) -> Claim:
    """Return the verdict where the means are within a std of each other: variance falls as accuracy rises."""
    ratio = comparison.estimates["variance_ratio_a_to_b"]
    difference = comparison.estimates["difference_on_this_test_set"]
    claim = above(
        ratio,
        1.0,
        text="At the same mean accuracy, runs without augmentation have the larger variance (3.5 times in "
        "the paper)",
        source="section 4.2, Fig 7",
        shown=f"{text_of(ratio, 3)} times that with augmentation; means differ by {percent_of(difference)}",
    )
    least = min(one.summary.estimates["test_set_std"].value or 0.0 for one in (bare, augmented))
    if difference.interval and max(map(abs, difference.interval)) <= least:
        return claim
    because = f"{claim.because}, by which a spread may differ as well: other shares of the images would tell"
    return replace(claim, verdict="cannot be told", because=because, runs_needed=None, examples_needed=None)


def _accuracies(trained: Sequence[Trained], canvas: "Canvas") -> None:
    axes = canvas.subplots(len(trained), 1, sharex=True, squeeze=False)[:, 0]
    for one, axis, colour in zip(trained, axes, COLOURS, strict=False):
        counts = one.state.correct
        draw_histogram(axis, counts, colour)
        vote = one.summary.estimates["ensemble_accuracy"].value
        if vote is not None:
            axis.axvline(100 * vote, color="black", linestyle="--", linewidth=1)
            axis.annotate(
                "vote",
                (100 * vote, 0.85),
                xycoords=("data", "axes fraction"),
                xytext=(3, 0),
                textcoords="offset points",
            )
        std = one.summary.estimates["test_set_std"]
        axis.set_title(f"{one.arm.name}: {counts.R:,} runs, std {value_text(std)}")
    axes[-1].set_xlabel("test-set accuracy, %")


STUDY = Study(
    name="augmentation",
    title="Augmentation and the spread of runs",
    source="section 4.2, Fig 7",
    question="Of two recipes with the same mean accuracy, do runs of the one with augmentation differ less?",
    arms=arms,
    findings=findings,
)
