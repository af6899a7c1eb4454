"""Two recipes on a page: their differences, and their runs on one axis."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from airbench_var.analysis import Comparison
from airbench_var.report.comparison import LEGEND, ROWS, headings, notes, reading, rows, title
from airbench_var.report.figures.accuracies import draw_histogram, keep_the_middle
from airbench_var.report.figures.canvas import COLOURS, Figure, draw_estimates, ink
from airbench_var.report.html.elements import Html, tag
from airbench_var.report.html.parts import Picture, details, pictures, table, test_set_id
from airbench_var.report.html.parts import notes as notes_list
from airbench_var.report.reported import Reported
from airbench_var.stats import CorrectnessCounts
from airbench_var.store.manifest import differences

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def comparison_section(a: Reported, b: Reported, found: Mapping[str, Comparison]) -> Html:
    """Return the comparison of A and B on every test set that both have."""
    return tag(
        "section",
        tag("h2", "A against B"),
        *(_one(a, b, comparison) for comparison in found.values()),
        _differences_of(a, b),
        details("How the intervals are made", tag("p", LEGEND, class_="legend")),
        id="comparison",
    )


def _differences_of(a: Reported, b: Reported) -> Html:
    """Return what A and B are of, as far as it differs."""
    of_a, of_b = (reported.store.manifest.identity for reported in (a, b))
    lines = differences(of_a, of_b, "in A", "in B") or ["Nothing: they are of the same recipe and seeds."]
    return details("What differs between A and B", tag("ul", *(tag("li", line) for line in lines)))


def _one(a: Reported, b: Reported, comparison: Comparison) -> Html:
    of_a, of_b = (reported.statistics.counts[comparison.test_set] for reported in (a, b))
    shown = [
        Picture(
            title="Accuracies of the runs of both",
            figure=Figure(
                name="accuracies",
                caption="Bars: how many runs of each have which accuracy on this test set, as densities over "
                "the same bins. Lines: the means.",
                draw=partial(_accuracies, of_a, of_b),
                inches=(4.8, 3.0),
            ),
        ),
        Picture(
            title="A minus B",
            figure=Figure(
                name="difference",
                caption="The difference in mean accuracy with its interval: for these examples, and for "
                "fresh ones of the same distribution.",
                draw=partial(_differences, comparison),
                inches=(4.8, 3.0),
            ),
        ),
    ]
    shown_rows = [
        (*row[:3], *_how(comparison, place), *row[3:]) for place, row in enumerate(rows(comparison))
    ]
    names = headings(comparison)
    return tag(
        "div",
        tag("h3", f"On test set {comparison.test_set}"),
        tag("p", reading(comparison), class_="lead"),
        table(title(comparison), (*names[:3], "n", "method", *names[3:]), shown_rows),
        notes_list(notes(comparison)),
        pictures(shown, f"comparison-{test_set_id(a.store.test_sets, comparison.test_set)}"),
    )


def _how(comparison: Comparison, place: int) -> tuple[str, str]:
    """Return n and method of a row of the table."""
    name = [*(name for _, name in ROWS), "variance_ratio_a_to_b"][place]
    one = comparison.estimates[name]
    a, b = comparison.runs
    return f"({a:,} + {b:,}) × {one.examples:,}", one.method if one.interval else f"none: {one.absent}"


def _accuracies(a: CorrectnessCounts, b: CorrectnessCounts, canvas: "Canvas") -> None:
    axis = canvas.subplots()
    for name, counts, colour in (("A", a, COLOURS[0]), ("B", b, COLOURS[1])):
        draw_histogram(axis, counts, colour, density=True, alpha=0.5, label=name, beside=(a, b))
        axis.axvline(100 * counts.S1 / (counts.R * counts.n), color=colour, linewidth=1.3)
    keep_the_middle(axis, 100 * np.concatenate([a.k_R, b.k_R]) / a.n)
    axis.set_xlabel("test-set accuracy, %")
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=8, borderaxespad=0)


def _differences(comparison: Comparison, canvas: "Canvas") -> None:
    axis = canvas.subplots()
    kinds = (("this test set", ROWS[0][1], 0), ("its distribution", ROWS[1][1], 2))
    for place, (_, name, colour) in enumerate(kinds):
        draw_estimates(axis, [-place], [comparison.estimates[name]], colour=COLOURS[colour], across=True)
    axis.axvline(0, color=ink(), linewidth=0.8)
    axis.set_yticks([0, -1], [label for label, *_ in kinds])
    axis.set_ylim(-1.6, 0.6)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.set_xlabel("mean accuracy of A minus that of B, percentage points")
