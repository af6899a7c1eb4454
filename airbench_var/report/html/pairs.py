"""Pairs of examples on a page: how many go together, which, and their images where they are at hand."""

from functools import partial
from typing import TYPE_CHECKING

from airbench_var.analysis import TestSetSummary
from airbench_var.analysis.pairs import PairFindings
from airbench_var.report.figures.canvas import Figure
from airbench_var.report.figures.pairs import draw_deviations, draw_gallery
from airbench_var.report.html.elements import Html, join, tag
from airbench_var.report.html.parts import Picture, details, pictures, table
from airbench_var.report.pairs import (
    LEGEND,
    MEASURES,
    STRONGEST,
    measures,
    reading,
    strongest,
    title,
    unshown,
)
from airbench_var.report.reported import Reported

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

#: Pairs in the gallery, and how many of them stand in a row.
SHOWN, COLUMNS = 12, 3

NO_IMAGES = "No images: they would be of the examples of such pairs, and there is none."


def pairs_section(reported: Reported, summary: TestSetSummary, here: str) -> Html:
    """Return what the runs say of all pairs of examples."""
    analysis = reported.pairs[summary.name]
    heading = tag("h4", "Examples that go together", class_="group")
    if analysis.findings is None:
        said = f"Nothing can be said about pairs of examples yet: {analysis.absent}."
        return join([heading, tag("p", said, class_="absent")])
    found = analysis.findings
    parts = [heading, table(title(analysis), MEASURES, measures(found)), tag("p", reading(analysis, found))]
    if found.deviating:
        parts.append(pictures(_pictures(reported, summary.name, found), here))
        listed = [table("The least likely pairs", STRONGEST, strongest(found))]
        if more := unshown(found):
            listed.append(tag("p", more))
        parts.append(details("The least likely pairs", *listed, tag("p", LEGEND, class_="legend")))
    else:
        parts.append(tag("p", NO_IMAGES, class_="absent"))
    return join(parts)


def _pictures(reported: Reported, test_set: str, found: PairFindings) -> list[Picture]:
    images_NHWC = reported.pictured.images.get(test_set)
    absent = ""
    if images_NHWC is None:
        absent = reported.pictured.absent or "the images of this test set are not at hand"
    return [
        Picture(
            title="How far off independence",
            figure=Figure(
                name="deviations",
                caption="The pairs found at a false discovery rate of 5 % (Benjamini-Hochberg), at most "
                "1,000: how often both are right, over how often they would be if errors were independent.",
                draw=lambda canvas: draw_deviations(canvas.subplots(), found),
                inches=(4.4, 3.8),
            ),
        ),
        Picture(
            title="The pairs that deviate most",
            figure=Figure(
                name="gallery",
                caption="The least likely pairs: classes of their labels, how much more often both are right "
                "than if they were independent, and their places in the test set.",
                draw=partial(_gallery, reported, test_set, found),
                inches=(4.8, 1.2 * -(-min(SHOWN, len(found.deviating)) // COLUMNS)),
            ),
            absent=absent,
        ),
    ]


def _gallery(reported: Reported, test_set: str, found: PairFindings, canvas: "Canvas") -> None:
    pairs = found.deviating[:SHOWN]
    all_NHWC = reported.pictured.images[test_set]
    images = {example: all_NHWC[example] for pair in pairs for example in pair.examples}
    draw_gallery(canvas, pairs, images, COLUMNS)
