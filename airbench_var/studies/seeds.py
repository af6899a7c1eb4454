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

#: Seeds of the campaigns in which one source is varied, and in which it is fixed, for each length; what is
#: fixed keeps its value of run 0.
SEED, SEED_FIXED = 300, 310


def arms(scale: Scale) -> list[Arm]:
    """Return, for a short and a long training, all sources varied, each alone, and all but each.

    The runs in which all are varied are those of the study of durations.
    """
    varied: list[tuple[str, tuple[str, ...], int]] = [(LABELS[source], (source,), SEED) for source in STREAMS]
    if scale.seeds_fixed:
        for source in STREAMS:
            others = tuple(other for other in STREAMS if other != source)
            varied.append((f"all but {LABELS[source]}", others, SEED_FIXED))
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
        for label, vary, seed in varied:
            found.append(
                Arm(
                    name=f"{everything.name}, {label}",
                    recipe=everything.recipe,
                    runs=runs,
                    seed=seed + place,
                    vary=vary,
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
                "varied and where some are and the others are fixed; 95 % intervals (paper, Fig 11).",
                draw=partial(_sources, [short, long]),
                inches=(max(6.0, 1.3 * len(short)), 3.2),
            )
        ],
        notes=[
            "The fixed sources have one value each, so that what they add to the spread at another value "
            "is not in the interval."
            + ("" if evidence.scale.seeds_fixed else " No arm here fixes one source while the others vary.")
        ],
    )


def _by_length(trained: Sequence[Trained]) -> tuple[Sequence[Trained], Sequence[Trained]]:
    each = len(trained) // 2
    return trained[:each], trained[each:]


def _ratios(group: Sequence[Trained]) -> list[Estimate]:
    """Return the variance with some sources varied over that with all: each alone, then all but each."""
    everything, *some = group
    return [
        compare_counts("", one.state.correct, everything.state.correct).estimates["variance_ratio_a_to_b"]
        for one in some
    ]


def _numbers(group: Sequence[Trained]) -> Iterator[Number]:
    for one in group:
        printed = PAPER.get((one.arm.recipe.epochs, one.arm.vary))
        paper = {} if printed is None else {"test_set_std": printed}
        yield from numbers_of(one.arm.name, one.summary.estimates, UNITS, paper)
    for one, ratio in zip(group[1:], _ratios(group), strict=True):
        yield Number.of(ratio, one.arm.name, "plain", name="variance_over_that_of_all")


def _claims(short: Sequence[Trained], long: Sequence[Trained]) -> Iterator[Claim]:
    alone = zip(long[1:], _ratios(long)[: len(STREAMS)], strict=False)
    for one, ratio in alone:
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
    labels = [one.arm.name.partition(", ")[2] for one in groups[0]]
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
    question="How much do runs differ when only initialisation, only data order or only augmentation does, "
    "or all but one?",
    arms=arms,
    findings=findings,
)
