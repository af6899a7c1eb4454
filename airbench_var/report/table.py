"""The table at the end of a campaign, for people who have not read the paper."""

from collections.abc import Iterator

from rich import box
from rich.table import Table
from rich.text import Text

from airbench_var.analysis import Analysis, TestSetSummary
from airbench_var.analysis.estimate import NEGATIVE
from airbench_var.report.console import Console, indented
from airbench_var.report.paragraph import p_text, print_paragraph
from airbench_var.report.percent import interval_text, value_text
from airbench_var.report.readings import count_text, readings

#: Row label, name of the estimate.
ROWS = (
    ("Mean accuracy on this test set", "mean_accuracy"),
    ("Mean accuracy on its distribution", "distribution_wise_accuracy"),
    ("Spread (std) on this test set", "test_set_std"),
    ("  if errors were independent", "independent_errors_std"),
    ("  if examples were equally hard", "binomial_std"),
    ("Spread (std) on its distribution", "distribution_wise_std"),
)

#: Below it a drift is worth a note; one campaign in a thousand has it by chance.
DRIFT_P = 0.001

WORDS = (
    "Spread (std): standard deviation of accuracy over runs; test_set_std and distribution_wise_std in JSON. "
    "Its distribution: all the examples that the test set could have held. Independent errors: every run "
    "fails on every example by a coin flip of its own, so that any spread is noise of a finite test set. "
    "Equally hard: one chance for all examples, the binomial law."
)
METHODS = (
    "Intervals: Student's t for accuracies, "
    "independent errors and the binomial law; chi-square, adjusted for kurtosis, for the spread on this test "
    "set; runs and examples combined (MOVER) for its distribution; Student's t and Fisher's z over runs for "
    "halves; chunks of runs left out once each for disagreement and the theorems; Wilson's for the vote. "
    "They assume independent runs, and for the distribution independent examples."
)
WHERE = "How each interval is made: analyze --json, a report's end, docs/statistics.md."


def print_analysis(analysis: Analysis, console: Console | None = None) -> None:
    """Print per test set a table, its caveats and its meaning, then how it was made; by default to stdout."""
    console = console or Console(highlight=False)
    if not analysis.runs:
        print_paragraph(console, "No run is committed yet, so there is nothing to tell of.")
    for summary in analysis.test_sets if analysis.runs else ():
        console.print(_table(summary))
        for note in notes(summary):  # before the words that they bear on
            print_paragraph(console, f"Note: {note}.", "yellow")
        for paragraph in readings(summary).values():
            print_paragraph(console, paragraph)
    if analysis.failed:
        print_paragraph(
            console, f"Failed for good, so not in the table: {count_text(analysis.failed, 'run')}."
        )
    if any(estimate.interval for one in analysis.test_sets for estimate in one.estimates.values()):
        print_paragraph(console, f"{WORDS} {WHERE}", "dim")


def _table(summary: TestSetSummary) -> Table:
    table = Table(
        title=Text(f" {summary.name}: {sizes(summary)}", "bold"), title_justify="left", box=box.SIMPLE_HEAD
    )
    table.add_column("")
    table.add_column("estimate", justify="right", no_wrap=True)
    table.add_column(
        f"{100 * summary.estimates['mean_accuracy'].level:g} % interval", justify="right", no_wrap=True
    )
    for label, name in ROWS:
        estimate = summary.estimates[name]
        table.add_row(indented(label), value_text(estimate), interval_text(estimate))
    return table


def sizes(summary: TestSetSummary) -> str:
    """Return '100 runs, 10,000 test examples, 1 diverged'."""
    text = f"{count_text(summary.runs, 'run')}, {count_text(summary.examples, 'test example')}"
    return f"{text}, {summary.diverged:,} diverged" if summary.diverged else text


def notes(summary: TestSetSummary) -> list[str]:
    """Return what to be wary of, each once."""
    return list(dict.fromkeys(_notes(summary)))


def _notes(summary: TestSetSummary) -> Iterator[str]:
    yield from summary.warnings
    real = summary.estimates["distribution_wise_variance"]
    if real.value is not None and real.value < 0:
        by_chance = real.interval is not None and real.interval[1] >= 0
        why = ", which happens by chance when the true one is small" if by_chance else ""
        yield f"the variance on the distribution is estimated at {real.value:.2g}{why}; its std is given as 0"
    drift = summary.tests.get("drift")
    if drift and drift.p_value is not None and drift.p_value < DRIFT_P:
        inside = summary.within_chunk_variance
        without = "" if inside is None else f"; from runs close to one another it is {inside:.2g}"
        yield (
            f"the mean accuracy changes along the run ids (p {p_text(drift.p_value)}, analysis of variance), "
            "as when a machine or a driver changed on the way: that adds to the variance on the distribution"
            f"{without}"
        )
    for estimate in summary.estimates.values():
        yield from (warning for warning in estimate.warnings if warning != NEGATIVE)
