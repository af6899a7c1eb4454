"""The table at the end of a campaign, for people who have not read the paper."""

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from airbench_var.analysis import Analysis, TestSetSummary
from airbench_var.analysis.estimate import NEGATIVE
from airbench_var.report.paragraph import p_text, print_paragraph
from airbench_var.report.percent import interval_text, upper_text, value_text

#: Row label, name of the estimate.
_ROWS = (
    ("Mean accuracy on this test set", "mean_accuracy"),
    ("Mean accuracy on its distribution", "distribution_wise_accuracy"),
    ("Spread (std) on this test set", "test_set_std"),
    ("  if errors were independent", "independent_errors_std"),
    ("  if examples were equally hard", "binomial_std"),
    ("Spread (std) on its distribution", "distribution_wise_std"),
)

_LEGEND = (
    "Spread (std): standard deviation of accuracy over runs. Its distribution: all the examples that the "
    "test set could have held. Independent errors: every run fails on every example by a coin flip of its "
    "own, so that any spread is noise of a finite test set. Equally hard: one chance for all examples, the "
    "binomial law. Intervals: Student's t for accuracies, independent errors and the binomial law; "
    "chi-square, adjusted for kurtosis, for the spread on this test set; runs and examples combined (MOVER) "
    "for its distribution. They assume independent runs, and for the distribution independent examples."
)


def print_analysis(analysis: Analysis, console: Console | None = None) -> None:
    """Print per test set a table, its meaning and its caveats, then how it was made; by default to stdout."""
    console = console or Console(highlight=False)
    for summary in analysis.test_sets:
        console.print(_table(summary))
        print_paragraph(console, _reading(summary))
        if any(test.p_value is not None for test in summary.tests.values()):
            print_paragraph(console, _tests(summary))
        for note in dict.fromkeys(_notes(summary)):
            print_paragraph(console, f"Note: {note}.", "yellow")
    if analysis.failed:
        print_paragraph(console, f"Failed for good, so not in the table: {_count(analysis.failed, 'run')}.")
    print_paragraph(console, _LEGEND, "dim")


def _table(summary: TestSetSummary) -> Table:
    title = f" {summary.name}: {_count(summary.runs, 'run')}, {_count(summary.examples, 'test example')}"
    title += f", {summary.diverged:,} diverged" if summary.diverged else ""
    table = Table(title=Text(title, "bold"), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    table.add_column("estimate", justify="right")
    table.add_column(f"{100 * summary.estimates['mean_accuracy'].level:g} % interval", justify="right")
    for label, name in _ROWS:
        estimate = summary.estimates[name]
        table.add_row(label, value_text(estimate), interval_text(estimate))
    return table


def _reading(summary: TestSetSummary) -> str:
    """Return what the variances say, in plain words."""
    here, chance = summary.estimates["test_set_variance"], summary.estimates["independent_errors_variance"]
    real = summary.estimates["distribution_wise_std"]
    if not (here.value and chance.value is not None and here.interval and real.interval):
        return f"Nothing can be said about the spread of runs yet: {here.absent or real.absent}."
    examples = _count(summary.examples, "example")
    spread = value_text(summary.estimates["test_set_std"])
    by_chance = value_text(summary.estimates["independent_errors_std"])
    low, high = real.interval
    if low > 0:
        lower, upper = here.interval
        share, least, most = (100 * min(1.0, chance.value / v) for v in (here.value, upper, lower))
        return (
            f"Of the variance behind the spread of {spread}, about {share:.0f} % (between {least:.0f} and "
            f"{most:.0f} %) is noise of a test set of {examples}. The rest is real: on unlimited fresh "
            f"examples runs of this recipe would still differ, with a std of {value_text(real)}."
        )
    excess = summary.estimates["excess_variance"].interval
    if excess and excess[0] > 0:
        return (
            f"On this test set of {examples} runs differ by more ({spread}) than chance would make them "
            f"({by_chance}). Too few examples show it to say so of the distribution: on unlimited fresh "
            f"examples the std of runs is at most {upper_text(real)}."
        )
    if high > 0:
        return (
            f"The spread of {spread} is within the error of the {by_chance} that a test set of {examples} "
            "gives by chance alone, so no real difference between runs is shown: on unlimited fresh examples "
            f"their std is at most {upper_text(real)}, as far as these runs can tell."
        )
    return f"Runs differ less ({spread}) than chance on {examples} would make them differ ({by_chance})."


def _tests(summary: TestSetSummary) -> str:
    """Return what the tests of independent errors say."""
    ratio, fit = summary.tests["variance_ratio"], summary.tests["goodness_of_fit"]
    assert ratio.statistic is not None
    assert fit.statistic is not None
    return (
        f"Are errors independent? The variance is {ratio.statistic:.2f} times that of independent errors "
        f"(p {_p(ratio.p_value)}, one-sided chi-square); the largest distance between the accuracy "
        f"distribution and theirs is {fit.statistic:.3f} (p {_p(fit.p_value)}, re-centred "
        "Kolmogorov-Smirnov)."
    )


def _p(p_value: float | None) -> str:
    assert p_value is not None
    text = p_text(p_value)
    return text if text.startswith("<") else f"= {text}"


def _notes(summary: TestSetSummary) -> Iterator[str]:
    yield from summary.warnings
    real = summary.estimates["distribution_wise_variance"]
    if real.value is not None and real.value < 0:
        by_chance = real.interval is not None and real.interval[1] >= 0
        why = ", which happens by chance when the true one is small" if by_chance else ""
        yield f"the variance on the distribution is estimated at {real.value:.2g}{why}; its std is given as 0"
    for estimate in summary.estimates.values():
        yield from (warning for warning in estimate.warnings if warning != NEGATIVE)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
