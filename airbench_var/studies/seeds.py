"""Which source of randomness makes runs differ: the paper's appendix D.1, Fig 11."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from airbench_var.analysis import Estimate, compare_counts
from airbench_var.report.figures.canvas import COLOURS, Figure, draw_estimates
from airbench_var.seeds import STREAMS
from airbench_var.studies import durations
from airbench_var.studies.arms import Arm, Evidence, Trained
from airbench_var.studies.findings import Claim, Findings, Number, Unit, above, numbers_of, text_of
from airbench_var.studies.scales import Scale
from airbench_var.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

UNITS: dict[str, Unit] = {
    "mean_accuracy": "share",
    "test_set_std": "share",
    "distribution_wise_std": "share",
}

#: What the paper prints of the std at 4 and 64 epochs, all varied and initialisation alone.
PAPER = {
    (4.0, STREAMS): 0.0045,
    (4.0, ("init",)): 0.0038,
    (64.0, STREAMS): 0.0016,
    (64.0, ("init",)): 0.00158,
}

LABELS = {"init": "initialisation", "order": "data order", "aug": "augmentation"}

#: Seed of the campaigns in which one source is varied; the others keep their values of its run 0.
SEED = 300


def arms(scale: Scale) -> list[Arm]:
    """Return, for a short and a long training, all sources varied and each alone.

    The runs in which all are varied are those of the study of durations.
    """
    found, runs = [], scale.runs["seeds"]
    for place, epochs in enumerate(scale.seed_epochs):
        everything = durations.arm_of(scale, epochs)
        found.append(
            Arm(
                name=f"{everything.name}, all",
                recipe=everything.recipe,
                runs=min(runs, everything.runs),
                seed=everything.seed,
            )
        )
        for source in STREAMS:
            found.append(
                Arm(
                    name=f"{everything.name}, {LABELS[source]}",
                    recipe=everything.recipe,
                    runs=runs,
                    seed=SEED + place,
                    vary=(source,),
                )
            )
    return found


def findings(evidence: Evidence) -> Findings:
    """Return the spread by what is varied, and over that of all."""
    short, long = _by_length(evidence.trained)
    numbers = [number for group in (short, long) for number in _numbers(group)]
    return Findings(
        numbers=numbers,
        claims=[*_claims(short, long)],
        figures=[
            Figure(
                name="sources",
                caption="Spread (std) over runs on this test set, where all sources of randomness are "
                "varied and where one is and the others are fixed; 95 % intervals (paper, Fig 11).",
                draw=partial(_sources, [short, long]),
                inches=(6, 3.2),
            )
        ],
        notes=[
            "The fixed sources have one value each, so that what they add to the spread at another value "
            "is not in the interval."
        ],
    )


def _by_length(trained: Sequence[Trained]) -> tuple[Sequence[Trained], Sequence[Trained]]:
    each = 1 + len(STREAMS)
    return trained[:each], trained[each:]


def _ratios(group: Sequence[Trained]) -> list[Estimate]:
    """Return the variance with one source varied over that with all, for each source."""
    everything, *alone = group
    return [
        compare_counts("", one.state.correct, everything.state.correct).estimates["variance_ratio_a_to_b"]
        for one in alone
    ]


def _numbers(group: Sequence[Trained]) -> Iterator[Number]:
    for one in group:
        printed = PAPER.get((one.arm.recipe.epochs, one.arm.vary))
        paper = {} if printed is None else {"test_set_std": printed}
        yield from numbers_of(one.arm.name, one.summary.estimates, UNITS, paper)
    for one, ratio in zip(group[1:], _ratios(group), strict=True):
        yield Number.of(ratio, one.arm.name, "plain", name="variance_over_that_of_all")


def _claims(short: Sequence[Trained], long: Sequence[Trained]) -> Iterator[Claim]:
    for one, ratio in zip(long[1:], _ratios(long), strict=True):
        yield above(
            ratio,
            0.8,
            text="After long training one source alone makes nearly all variance (more than four fifths; "
            f"{one.arm.name})",
            source="appendix D.1, Fig 11",
            shown=f"{text_of(ratio)} times the variance where all are varied",
        )
    few = _ratios(short)[STREAMS.index("init")]
    yield above(
        few,
        1.0,
        below=True,
        text=f"After short training initialisation alone makes less than all together ({short[0].arm.name})",
        source="appendix D.1, Fig 11 (0.71 times the variance)",
        shown=f"{text_of(few)} times the variance where all are varied",
    )


def _sources(groups: Sequence[Sequence[Trained]], canvas: "Canvas") -> None:
    axes = canvas.subplots(1, len(groups), squeeze=False)[0]
    labels = ["all", *(LABELS[source] for source in STREAMS)]
    for group, axis in zip(groups, axes, strict=True):
        for place, one in enumerate(group):
            draw_estimates(axis, [place], [one.summary.estimates["test_set_std"]], colour=COLOURS[place])
        axis.set_xticks(range(len(group)), labels, rotation=20, ha="right")
        axis.set_xlim(-0.5, len(group) - 0.5)
        axis.set_ylim(bottom=0)
        axis.set_title(group[0].arm.name.removesuffix(", all"))
    axes[0].set_ylabel("std over runs, %")


STUDY = Study(
    name="seeds",
    title="Which source of randomness makes runs differ",
    source="appendix D.1, Fig 11",
    question="How much do runs differ when only initialisation, only data order or only augmentation does?",
    arms=arms,
    findings=findings,
)
