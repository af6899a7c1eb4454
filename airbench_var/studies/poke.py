"""How far one weight times 1.001 goes: the paper's appendix D.2, Fig 12."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

from airbench_var.analysis import Estimate
from airbench_var.analysis.churn import churn_of_stores
from airbench_var.report.figures.canvas import COLOURS, Figure, draw_estimates
from airbench_var.studies import durations
from airbench_var.studies.arms import Arm, Evidence, Trained
from airbench_var.studies.findings import (
    Claim,
    Findings,
    Number,
    Verdict,
    above,
    decided,
    larger,
    percent_of,
    ratio_of,
    text_of,
)
from airbench_var.studies.scales import Scale
from airbench_var.studies.study import Study
from airbench_var.training.trainer import steps_in_all

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

#: Of a poke at the start and of all-new seeds, and the length of that training.
PAPER, PAPER_EPOCHS = {"churn": 0.0514, "disagreement": 0.0519}, 128
SEED = 700


def arms(scale: Scale) -> list[Arm]:
    """Return runs, and the same runs poked at each place of training.

    They are those of the study of durations, where it has the length.
    """
    recipe, runs, seed = scale.recipe.with_values({"epochs": scale.poke_epochs}), scale.runs["poke"], SEED
    for same in durations.arms(scale):
        if same.recipe == recipe:
            runs, seed = min(runs, same.runs), same.seed
    images = round(scale.train_images * recipe.train_share)
    steps = steps_in_all(recipe, images // recipe.batch_size)
    return [
        Arm(name="not poked", recipe=recipe, runs=runs, seed=seed),
        *(
            Arm(
                name=f"poked at {share:.0%}",
                recipe=recipe.with_values({"poke.step": int(share * steps)}),
                runs=runs,
                seed=seed,
            )
            for share in scale.poked_at
        ),
    ]


def findings(evidence: Evidence) -> Findings:
    """Return the share of predictions that a poke changes, by when it happens, and that of all-new seeds."""
    base, *poked = evidence.trained
    churns, new_seeds = [_churn(base, one) for one in poked], base.summary.estimates["disagreement"]
    return Findings(
        numbers=list(_numbers(base, poked, churns)),
        claims=[_as_new_seeds(churns, new_seeds), _earlier_is_more(poked, churns)],
        figures=[
            Figure(
                name="churn",
                caption="Share of test predictions that a poke changes, by when in training it happens; the "
                "line is between runs of all-new seeds (paper, Fig 12).",
                draw=partial(_draw, evidence.scale.poked_at, churns, new_seeds),
                inches=(5.2, 3.2),
            )
        ],
        notes=[
            "Runs of equal number have equal seeds, poked or not. Activations of half precision resolve "
            "steps larger than 1.001, so that a poke may wait in the float32 weights until an update "
            "carries one over an edge; a late poke may change nothing."
        ],
    )


def _churn(base: Trained, poked: Trained) -> Estimate:
    return churn_of_stores(base.store, poked.store, base.store.test_sets[0], base.run_ids_R)


def _numbers(base: Trained, poked: Sequence[Trained], churns: Sequence[Estimate]) -> Iterator[Number]:
    new_seeds = base.summary.estimates["disagreement"]
    printed = PAPER if base.arm.recipe.epochs == PAPER_EPOCHS else {}
    paper = printed.get("disagreement")
    yield Number.of(new_seeds, base.arm.name, "share", paper=paper, name="churn_of_new_seeds")
    for place, (one, churn) in enumerate(zip(poked, churns, strict=True)):
        yield Number.of(churn, one.arm.name, "share", paper=None if place else printed.get("churn"))
        ratio = ratio_of(churn, new_seeds, "churn_over_that_of_new_seeds")
        yield Number.of(ratio, one.arm.name, "plain")


def _as_new_seeds(churns: Sequence[Estimate], new_seeds: Estimate) -> Claim:
    text = "A poke at the start changes nearly as many predictions as new seeds do (more than nine tenths)"
    source = "appendix D.2, Fig 12 (5.14 against 5.19 % at 128 epochs)"
    ratio = ratio_of(churns[0], new_seeds, "ratio")
    shown = f"{text_of(ratio)} times; {percent_of(churns[0])} against {percent_of(new_seeds)}"
    return above(ratio, 0.9, text=text, source=source, shown=shown)


def _earlier_is_more(poked: Sequence[Trained], churns: Sequence[Estimate]) -> Claim:
    shares = (f"{percent_of(churn)} {one.arm.name}" for one, churn in zip(poked, churns, strict=True))
    return decided(
        _falls,
        *churns,
        text="The earlier the poke, the more predictions change",
        source="appendix D.2, Fig 12",
        shown="; ".join(shares),
    )


def _falls(*churns: Estimate) -> Verdict:
    """Return whether each is larger than the next, and no later one larger than an earlier one.

    All by whether the intervals are apart.
    """
    if any(larger(early, late) == "does not hold" for early, late in combinations(churns, 2)):
        return "does not hold"
    steps = {larger(early, late) for early, late in pairwise(churns)}
    return "holds" if steps == {"holds"} else "cannot be told"


def _draw(places: Sequence[float], churns: Sequence[Estimate], new_seeds: Estimate, canvas: "Canvas") -> None:
    axis = canvas.subplots()
    draw_estimates(
        axis, [100 * x for x in places], churns, colour=COLOURS[0], label="one weight x 1.001", line=True
    )
    if new_seeds.value is not None:
        axis.axhline(100 * new_seeds.value, color="black", linestyle="--", linewidth=1, label="all-new seeds")
    axis.set_xlabel("poked at, % of training")
    axis.set_ylabel("predictions that change, %")
    axis.set_ylim(bottom=0)
    axis.legend()


STUDY = Study(
    name="poke",
    title="How far one weight times 1.001 goes",
    source="appendix D.2, Fig 12",
    question="How many predictions change when one weight is multiplied by 1.001 once, all else equal?",
    arms=arms,
    findings=findings,
)
