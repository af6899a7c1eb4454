"""What a page says of one test set: estimates, figures, classes, pairs, and every number with its method."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from airbench_var.analysis import Estimate, TestSetSummary
from airbench_var.analysis.calibration import reliability_by_class
from airbench_var.analysis.estimate import too_few
from airbench_var.report import by_class
from airbench_var.report.figures.accuracies import (
    draw_examples,
    draw_halves,
    draw_histogram,
    draw_laws,
    halves,
    keep_the_middle,
    same_scales,
)
from airbench_var.report.figures.canvas import COLOURS, Figure
from airbench_var.report.figures.spread import draw_stds, draw_tasks
from airbench_var.report.figures.votes import (
    CLASSES_A_ROW,
    draw_class_accuracies,
    draw_reliability,
    draw_reliability_by_class,
)
from airbench_var.report.html.elements import Html, tag
from airbench_var.report.html.pairs import pairs_section
from airbench_var.report.html.parts import Picture, details, notes, pictures, table, test_set_id
from airbench_var.report.paragraph import p_text
from airbench_var.report.percent import interval_text, value_text
from airbench_var.report.readings import Question, count_text, readings
from airbench_var.report.reported import Reported
from airbench_var.report.table import ROWS
from airbench_var.report.table import notes as notes_of
from airbench_var.stats import CorrectnessCounts, PredictionCounts

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

#: Fewer runs make no histogram.
FEWEST_RUNS = 3
VOTE = "Vote: accuracy of the plurality of all runs; it takes predicted classes."
#: More classes make no small pictures that can be read.
MOST_CLASSES = 12

MOST_CLASSES_ON_AN_AXIS = 40

#: Of the figure that compares them; the last is the prediction of the votes alone.
STDS = (
    ("this test set", "test_set_std"),
    ("independent errors", "independent_errors_std"),
    ("votes, no labels", "label_free_std"),
    ("binomial law", "binomial_std"),
    ("its distribution", "distribution_wise_std"),
)
_NO_CLASSES = "the store keeps no predicted classes, only which were right"


def test_set_section(reported: Reported, summary: TestSetSummary, prefix: str) -> Html:
    """Return the section of one test set; ids begin with `prefix`."""
    state = reported.statistics.states[summary.name]
    here = f"{prefix}-{test_set_id(reported.store.test_sets, summary.name)}"
    answers = readings(summary)
    [names] = [one.classes for one in reported.store.manifest.test_sets if one.name == summary.name]
    shown = [
        *_pictures(summary, state.correct, answers),
        *_class_pictures(summary, state.predicted, names, answers),
    ]
    return tag(
        "section",
        tag("h3", f"Test set {summary.name}"),
        _tiles(summary),
        notes(notes_of(summary)),
        _estimates(summary, list(ROWS)),
        tag("p", answers["spread"], class_="lead"),
        pictures(shown, here),
        _class_table(summary, names),
        pairs_section(reported, summary, here),
        details("All estimates and tests, with method and n", *_everything(summary)),
        id=here,
        class_="test-set",
    )


def _tiles(summary: TestSetSummary) -> Html:
    """Return the three numbers that people ask for first."""
    found = []
    for label, name in (
        ("Mean accuracy", "mean_accuracy"),
        ("Spread (std) on this test set", "test_set_std"),
        ("Spread (std) on its distribution", "distribution_wise_std"),
    ):
        one = summary.estimates[name]
        level = f" ({100 * one.level:g} % interval)"
        below = interval_text(one) + level if one.interval else f"no interval: {one.absent}"
        inside = [tag("dt", label), tag("dd", value_text(one), class_="value")]
        found.append(tag("div", *inside, tag("dd", below, class_="interval")))
    return tag("dl", *found, class_="tiles")


def _estimates(summary: TestSetSummary, rows: Sequence[tuple[str, str]]) -> Html:
    """Return the table that the terminal shows, with n and method."""
    level = _level(summary)
    shown = []
    for label, name in rows:
        one = summary.estimates[name]
        shown.append((label, value_text(one), interval_text(one), _size(one), _method(one)))
    headings = ("", "estimate", f"{100 * level:g} % interval", "n", "method")
    return table(f"Accuracy and its spread over {count_text(summary.runs, 'run')}", headings, shown)


def _level(summary: TestSetSummary) -> float:
    return summary.estimates["mean_accuracy"].level


def _size(one: Estimate) -> str:
    assert isinstance(one.runs, int)
    return f"{one.runs:,} × {one.examples:,}"


def _method(one: Estimate) -> str:
    """Return how the interval was made, or why there is none."""
    return f"none: {one.absent}" if one.interval is None else one.method


def _pictures(
    summary: TestSetSummary, counts: CorrectnessCounts, answers: dict[Question, str]
) -> Iterator[Picture]:
    """Yield the figures of accuracies, in the order in which they answer questions."""
    few = too_few("run", counts.R, FEWEST_RUNS)
    still = "every run has the same accuracy" if not few and not np.ptp(counts.k_R) else ""
    yield Picture(
        title="Accuracies of the runs",
        figure=_figure(
            "accuracies",
            "Bars: how many runs have which accuracy. Line: what runs would show if their errors were "
            "independent, each example as hard as it is. Dashed: if all examples were equally hard.",
            partial(_accuracies, counts),
        ),
        absent=few or still,
        says=answers.get("independence", ""),
    )
    yield Picture(
        title="Spread, and what predicts it",
        figure=_figure(
            "spread",
            "Standard deviations over runs with their intervals. Blue: observed on this test set. Orange: "
            "what three laws predict. Green: what remains on unlimited fresh examples.",
            partial(_on_one_axis, partial(draw_stds, rows=STDS, estimates=summary.estimates)),
        ),
        absent=too_few("run", counts.R, 2),
    )
    yield Picture(
        title="Lucky on one half, lucky on the other?",
        figure=_figure(
            "halves",
            "One dot a run: its accuracy on the examples of even and of odd index, on axes of one scale. A "
            "round cloud: being lucky on one half says nothing of the other.",
            partial(_halves, counts),
            (4.4, 3.8),
        ),
        absent=few or too_few("example", counts.n, 2) or still,
        says=answers.get("luck", ""),
    )
    yield Picture(
        title="How hard the examples are",
        figure=_figure(
            "examples",
            "How many examples are right in which share of the runs, on a scale of powers of ten. At the "
            "right end those that every run gets right, at the left end those that none does.",
            partial(_on_one_axis, partial(draw_examples, counts=counts, colour=COLOURS[0])),
            (4.4, 3.8),
        ),
        absent=too_few("run", counts.R, 2),
    )
    yield Picture(
        title="Is the variance what the error says?",
        figure=_figure(
            "tasks",
            "One dot for each way to make two classes of all: its std over runs, over its error. Line: the "
            "paper's Theorem 3, from the error alone. Dashed: the binomial law.",
            partial(_tasks, summary),
            (4.4, 3.8),
        ),
        absent="" if summary.collapses else _why_no_tasks(summary),
        says=answers.get("theorems", ""),
    )


def _why_no_tasks(summary: TestSetSummary) -> str:
    if summary.classes is None:
        return _NO_CLASSES
    few = too_few("run", summary.runs, 2) or too_few("example", summary.examples, 2)
    return few or f"it takes 3 to 12 classes, there are {summary.classes}"


def _class_pictures(
    summary: TestSetSummary,
    counts: PredictionCounts | None,
    names: Sequence[str],
    answers: dict[Question, str],
) -> Iterator[Picture]:
    """Yield what there is to see class by class: reliability of the votes, accuracies."""
    absent = _NO_CLASSES if counts is None else too_few("run", summary.runs, 2)
    many = "" if len(names) <= MOST_CLASSES else f"{len(names)} classes are too many for small figures"
    yield Picture(
        title="Is the ensemble calibrated?",
        figure=_figure(
            "reliability",
            "Examples and classes, by how many of all runs but one call them so. Across: how often that one "
            "run does; upwards: how often the label does; on the line if calibrated. Bars: two standard "
            "errors (fresh examples and runs), cut at 0 and 1.",
            partial(_reliability, summary),
            (4.4, 3.8),
        ),
        absent=absent,
        says=answers.get("calibration", ""),
    )
    yield Picture(
        title="And class by class?",
        figure=_figure(
            "reliability-by-class",
            "The same for every class by itself. The larger a dot, the more examples are behind it.",
            partial(_by_class, counts, names),
            (4.8, 0.7 + 1.2 * math.ceil(len(names) / CLASSES_A_ROW)),
        ),
        absent=absent or many,
    )
    yield Picture(
        title="Which classes are hard?",
        figure=_figure(
            "classes",
            "Mean accuracy of runs on the examples of each class, with its interval for these examples"
            + ("." if counts is None else ", and the accuracy of the plurality vote of all runs."),
            partial(_class_accuracies, summary, names),
            (4.8, 1.2 + 0.24 * min(len(names), MOST_CLASSES_ON_AN_AXIS)),
        ),
        absent=too_few("run", summary.runs, 2) or _why_no_classes(summary, names),
    )


def _why_no_classes(summary: TestSetSummary, names: Sequence[str]) -> str:
    """Return why accuracies by class are not drawn, or nothing."""
    if not summary.by_class:
        return by_class.TOO_MANY
    if len(names) > MOST_CLASSES_ON_AN_AXIS:
        return f"{len(names)} classes are too many for one axis"
    drawn = (
        one.vote_accuracy is not None or (one.accuracy is not None and one.accuracy.interval is not None)
        for one in summary.by_class
    )
    return "" if any(drawn) else "every run has the same accuracy on each class, which leaves no interval"


def _class_table(summary: TestSetSummary, names: Sequence[str]) -> Html | None:
    if not summary.by_class or not summary.runs:
        return None
    shown = table(
        f"Accuracy on this test set, by class, over {count_text(summary.runs, 'run')}",
        by_class.headings(_level(summary)),
        by_class.rows(summary.by_class, names),
    )
    return details("Accuracy by class", shown, tag("p", f"{by_class.LEGEND} {VOTE}", class_="legend"))


def _everything(summary: TestSetSummary) -> Iterator[Html]:
    """Yield every estimate and every test."""
    level = _level(summary)
    rows = []
    for name, one in summary.estimates.items():
        value = "none" if one.value is None else f"{one.value:.6g}"
        ends = "none" if one.interval is None else f"{one.interval[0]:.4g} to {one.interval[1]:.4g}"
        rows.append((name, value, ends, one.target, _size(one), _method(one), one.assumption))
    yield table(
        "Estimates, as fractions of 1",
        ("name", "value", f"{100 * level:g} % interval", "of", "n", "method", "assumption"),
        rows,
    )
    tests = [
        (
            name,
            "none" if test.statistic is None else f"{test.statistic:.4g}",
            "none" if test.p_value is None else p_text(test.p_value, test.least_p_value),
            test.null,
            f"none: {test.absent}" if test.absent else test.method,
            test.assumption,
        )
        for name, test in summary.tests.items()
    ]
    yield table("Tests", ("name", "statistic", "p", "null", "method", "assumption"), tests)


def _figure(
    name: str,
    caption: str,
    draw: "partial[None]",
    inches: tuple[float, float] = (4.8, 3.0),
) -> Figure:
    return Figure(name=name, caption=caption, draw=draw, inches=inches)


def _on_one_axis(draw: "partial[None]", canvas: "Canvas") -> None:
    draw(canvas.subplots())


def _accuracies(counts: CorrectnessCounts, canvas: "Canvas") -> None:
    axis = canvas.subplots()
    draw_histogram(axis, counts, COLOURS[0], density=True, alpha=0.55, label="runs")
    draw_laws(axis, counts)
    left_out = keep_the_middle(axis, 100 * counts.k_R / counts.n)
    axis.set_xlabel(f"test-set accuracy, %{_beyond(left_out)}")
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=8, borderaxespad=0)


def _halves(counts: CorrectnessCounts, canvas: "Canvas") -> None:
    axis = canvas.subplots()
    draw_halves(axis, counts, COLOURS[0])
    even_R, odd_R = halves(counts)
    left_out = max(keep_the_middle(axis, even_R), keep_the_middle(axis, odd_R, "y"))
    same_scales(axis)
    axis.set_xlabel(f"even examples, %{_beyond(left_out)}")
    axis.set_ylabel("odd examples, %")


def _beyond(runs: int) -> str:
    """Return that so many runs lie beyond the axis, if any do."""
    return f" ({count_text(runs, 'run')} far off, beyond the axis)" if runs else ""


def _tasks(summary: TestSetSummary, canvas: "Canvas") -> None:
    assert summary.collapses is not None, "there is no picture without them"
    draw_tasks(canvas.subplots(), summary.collapses)


def _reliability(summary: TestSetSummary, canvas: "Canvas") -> None:
    axis = canvas.subplots()
    draw_reliability(axis, summary.reliability, COLOURS[0])
    axis.set_ylabel("share of that class")


def _by_class(counts: PredictionCounts | None, names: Sequence[str], canvas: "Canvas") -> None:
    assert counts is not None, "there is no picture without them"
    draw_reliability_by_class(canvas, reliability_by_class(counts), names)


def _class_accuracies(summary: TestSetSummary, names: Sequence[str], canvas: "Canvas") -> None:
    draw_class_accuracies(canvas.subplots(), names, summary.by_class)
