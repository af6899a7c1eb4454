"""What `analyze --by-class` prints and the report holds: which classes are hard, and on which runs differ."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from airbench_var.analysis import Analysis, Estimate
from airbench_var.analysis.by_class import OneClass
from airbench_var.report.console import Console
from airbench_var.report.paragraph import print_paragraph
from airbench_var.report.percent import interval_text, percent, value_text
from airbench_var.report.readings import count_text
from airbench_var.store import Store

#: Classes that are shown; --json has all.
MOST_SHOWN = 40
#: Why there is none of them.
TOO_MANY = "right answers are not counted by class of more than 256 classes"

LEGEND = (
    "By class, the hardest first. n: examples of the class. Spread: std over runs of their accuracies on "
    "them; the fewer there are, the more of it is noise of a finite test set. Intervals are for these "
    "examples: Student's t over runs for accuracies, chi-square, adjusted for kurtosis, for spreads."
)


def headings(level: float) -> tuple[str, ...]:
    """Return those of the columns of `rows`, of which the first are the name and how many examples."""
    interval = f"{100 * level:g} % interval"
    return "class", "n", "accuracy", interval, "spread", interval, "vote"


def rows(classes: Sequence[OneClass], names: Sequence[str]) -> list[tuple[str, ...]]:
    """Return a row for each class that has an example, the hardest first."""
    there = [one for one in classes if one.accuracy is not None and one.std is not None]
    found: list[tuple[str, ...]] = []
    for one in sorted(there, key=lambda one: _value(one.accuracy)):
        assert one.accuracy is not None
        assert one.std is not None
        vote = "none" if one.vote_accuracy is None else percent(one.vote_accuracy)
        numbers = (*_with_interval(one.accuracy), *_with_interval(one.std))
        found.append((names[one.label], f"{one.examples:,}", *numbers, vote))
    return found


def print_by_class(store: Store, analysis: Analysis, console: Console | None = None) -> None:
    """Print a table for each test set, and how it was made."""
    console = console or Console(highlight=False)
    for test_set in store.manifest.test_sets:
        summary = analysis[test_set.name]
        if not summary.runs:
            continue
        if not summary.by_class:
            print_paragraph(console, f"{summary.name}: {TOO_MANY}.")
            continue
        title = f" {summary.name}: {len(test_set.classes)} classes, {count_text(summary.runs, 'run')}"
        table = Table(title=Text(title, "bold"), title_justify="left", box=box.SIMPLE_HEAD)
        columns = headings(summary.estimates["mean_accuracy"].level)[:-1]  # the vote has no room on 80
        for place, name in enumerate(columns):
            table.add_column(name, justify="right" if place else "left", no_wrap=place > 0, overflow="fold")
        shown = rows(summary.by_class, test_set.classes)
        for row in shown[:MOST_SHOWN]:
            table.add_row(*(Text(cell) for cell in row[:-1]))
        console.print(table)
        if len(shown) > MOST_SHOWN:
            print_paragraph(console, f"There are {len(shown) - MOST_SHOWN} more classes: see --json.")
    if analysis.runs:
        print_paragraph(console, LEGEND, "dim")


def _value(one: Estimate | None) -> float:
    return 0.0 if one is None or one.value is None else one.value


def _with_interval(one: Estimate) -> tuple[str, str]:
    return value_text(one), interval_text(one)
