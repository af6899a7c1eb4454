"""Pairs of examples whose errors go together: the paper's section 3.2, Fig 4 and 13."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from airbench_var.analysis.joint_frequency import runs_needed
from airbench_var.analysis.pairs import DeviatingPair, PairAnalysis, PairFindings, pairs_of
from airbench_var.data.dataset import Dataset
from airbench_var.report.figures.canvas import Figure
from airbench_var.report.figures.pairs import draw_deviations, draw_gallery
from airbench_var.studies.arms import Evidence, Trained
from airbench_var.studies.binary import arms
from airbench_var.studies.findings import Claim, Findings, Number, p_value_of
from airbench_var.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

#: Pairs in the gallery.
SHOWN = 10


def findings(evidence: Evidence) -> Findings:
    """Return which pairs deviate from independence after the longest training."""
    trained = evidence.trained
    [one] = trained
    analysis = _analysis(one)
    found = analysis.findings
    if found is None:
        return Findings(numbers=[], claims=[], figures=[], notes=[f"Nothing was found: {analysis.absent}."])
    pictures = (
        Figure(
            name="deviations",
            caption="The pairs found at a false discovery rate of 5 % (Benjamini-Hochberg), at most "
            "1,000: how "
            "often both are right, and how often they would be if errors were independent (paper, Fig 13).",
            draw=partial(_deviations, found),
            inches=(4.2, 3.6),
        ),
        Figure(
            name="gallery",
            caption="The pairs that deviate most, with the classes of their labels and the difference "
            "between "
            "how often both are right and how often they would be (paper, Fig 4).",
            draw=partial(_gallery, found.deviating[:SHOWN], evidence.images),
            inches=(7, 3.4),
        ),
    )
    return Findings(
        numbers=list(_numbers(one, analysis, found)),
        claims=[_claim(one, analysis, found)],
        figures=pictures if found.deviating else (),
        notes=() if found.deviating else ("No pair was found.",),
    )


def _analysis(one: Trained) -> PairAnalysis:
    test_set = one.store.manifest.test_sets[0]
    rows = [block.rows_Rb for block in one.store.blocks(test_set.name, one.run_ids_R)]
    class_N = np.array(test_set.classes)[one.store.labels(test_set.name)]
    return pairs_of(test_set.name, np.concatenate(rows), class_N)


def _numbers(one: Trained, analysis: PairAnalysis, found: PairFindings) -> Iterator[Number]:
    counts, arm, rule, square = (
        one.state.correct,
        one.arm.name,
        found.joint_frequency,
        found.squared_covariance,
    )
    half = rule.threshold_for_half_a_pair
    exact = "exact hypergeometric tails, doubled; false discovery rate of 5 % over all pairs that vary"
    off = "pairs of all examples whose joint frequency is 2 % or more off the product"
    for name, unit, value, method, paper in (
        ("examples_that_vary", "count", analysis.varying, "right in some runs and wrong in others", None),
        ("pairs_tested", "count", analysis.pairs, "of examples that vary", None),
        ("pairs_off_by_2_percent", "count", rule.pairs, off, 5.0),
        ("such_pairs_by_chance", "count", rule.by_chance, "expected under independence", None),
        ("threshold_for_half_a_pair_by_chance", "share", half, "at which chance gives half a pair", None),
        ("discoveries", "count", found.benjamini_hochberg.number, f"{exact} (Benjamini-Hochberg)", None),
        (
            "discoveries_under_any_dependence",
            "count",
            found.benjamini_yekutieli.number,
            f"{exact} (Benjamini-Yekutieli)",
            None,
        ),
        ("mean_squared_covariance", "variance", square.mean, "over all pairs", None),
        ("mean_squared_covariance_by_chance", "variance", square.by_chance, "exact, given the counts", None),
    ):
        yield Number.bare(name, arm, unit, value, counts=counts, method=method, paper=paper)  # type: ignore[arg-type]
    yield p_value_of(square.test, arm, counts)


def _claim(one: Trained, analysis: PairAnalysis, found: PairFindings) -> Claim:
    """Return whether no more than one pair in a million deviates by 2 %; chance alone must allow telling.

    Where chance makes some of the pairs, only those beyond it speak against the claim.
    """
    rule, all_pairs = found.joint_frequency, math.comb(analysis.examples, 2)
    few = all_pairs / 1e6
    excess = rule.pairs - rule.by_chance
    text = (
        f"Hardly any pair of examples is 2 % off independence (fewer than one in a million, {one.arm.name})"
    )
    shown = f"{rule.pairs:,} of {all_pairs:,} pairs, {rule.by_chance:,.1f} expected by chance"
    source = "section 3.2, Fig 4 (5 of 49,995,000 pairs)"
    if rule.pairs <= few:
        return Claim(text=text, source=source, verdict="holds", because=shown)
    if rule.by_chance > few / 2 or excess <= few:
        c_N = one.state.correct.c_N
        varying_N = c_N[(c_N > 0) & (c_N < one.state.correct.R)]
        needed = runs_needed(varying_N, one.state.correct.R, min(few, rule.by_chance) / 2)
        return Claim(text=text, source=source, verdict="cannot be told", because=shown, runs_needed=needed)
    return Claim(text=text, source=source, verdict="does not hold", because=shown)


def _deviations(found: PairFindings, canvas: "Canvas") -> None:
    draw_deviations(canvas.subplots(), found)


def _gallery(pairs: Sequence[DeviatingPair], data: Dataset, canvas: "Canvas") -> None:
    images = {example: data.test.images_NHWC[example] for pair in pairs for example in pair.examples}
    draw_gallery(canvas, pairs, images)


STUDY = Study(
    name="pairs",
    title="Pairs of examples whose errors go together",
    source="section 3.2, Fig 4 and 13",
    question="Are there examples that are right and wrong together?",
    arms=arms,
    findings=findings,
)
