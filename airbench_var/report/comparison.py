"""What `compare` and `plan` print: two recipes, two targets, in plain words."""

from collections.abc import Iterator, Mapping

from rich import box
from rich.table import Table
from rich.text import Text

from airbench_var.analysis import Comparison, Estimate, Plan
from airbench_var.analysis.planning import MOST_RUNS
from airbench_var.report.console import Console
from airbench_var.report.paragraph import p_text, print_paragraph
from airbench_var.report.percent import interval_text, percent, span_text, value_text
from airbench_var.report.readings import count_text

#: Row label, name of the estimate.
ROWS = (
    ("Difference on this test set", "difference_on_this_test_set"),
    ("Difference on its distribution", "difference_on_the_distribution"),
    ("A run of A beats one of B", "probability_a_beats_b"),
)

LEGEND = (
    "This test set: what infinitely many runs would show on these examples (Welch's t over runs). The "
    "distribution: what they would show on fresh examples (runs and examples both vary, paired by example). "
    "Beats: one run of A against one run of B, ties count half. They assume independent runs, and for the "
    "distribution independent examples."
)


def print_comparison(comparisons: Mapping[str, Comparison], console: Console | None = None) -> None:
    """Print per test set the differences of A and B, A minus B, and what they mean."""
    console = console or Console(highlight=False)
    for comparison in comparisons.values():
        console.print(comparison_table(comparison))
        print_paragraph(console, reading(comparison))
        for note in notes(comparison):
            print_paragraph(console, f"Note: {note}.", "yellow")
    print_paragraph(console, LEGEND, "dim")


def notes(comparison: Comparison) -> Iterator[str]:
    """Yield what to be wary of."""
    a, b = comparison.diverged
    if a or b:
        without = comparison.difference_without_diverged
        value = "" if without is None else f"; without them A minus B would be {percent(without, 3)}"
        yield (
            f"{count_text(a, 'run')} of A and {b:,} of B diverged; they are part of the recipes "
            f"and of every number here{value}"
        )
    here, fresh = (
        comparison.estimates[f"difference_on_{where}"] for where in ("this_test_set", "the_distribution")
    )
    if here.interval and not fresh.interval and fresh.absent:
        yield f"there is no interval of the difference on the distribution: {fresh.absent}"
    yield from comparison.warnings


def print_plan(plan: Plan, console: Console | None = None) -> None:
    """Print how many runs a difference takes, and what the test set allows."""
    console = console or Console(highlight=False)
    print_paragraph(
        console,
        f"To detect a difference of {percent(plan.difference, 3)} in mean accuracy on a test set, with a std "
        f"over runs of {percent(plan.std, 3)}: {plan.runs:,} runs of each recipe. They see it with a chance "
        f"of {percent(plan.power_at_runs, 1)}, and one that is not there with {percent(1 - plan.level, 1)}.",
    )
    if plan.std_interval and plan.runs_interval:
        low, high = plan.runs_interval
        most = f"more than {MOST_RUNS:,}" if high is None else f"{high:,}"
        print_paragraph(
            console,
            f"The std is an estimate: within its 95 % interval, {span_text(plan.std_interval)}, it takes "
            f"{low:,} to {most} runs.",
        )
    if plan.distribution_floor is None:
        text = (
            "What this says of fresh examples depends on how the difference spreads over the test set: give "
            "some runs of both recipes (--store A --against B) to know when more runs stop helping."
        )
    elif plan.runs_that_help is None:
        text = "These runs show no spread of the difference over examples: the test set sets no limit yet."
    else:
        text = (
            f"On the distribution this test set cannot show less than {percent(plan.distribution_floor, 3)}, "
            f"however many runs there are. Beyond about {_roughly(plan.runs_that_help)} runs of each recipe "
            "the examples are the larger part of the error: take a larger test set."
        )
    print_paragraph(console, text)


def title(comparison: Comparison) -> str:
    """Return 'cifar10: A minus B, 100 and 60 runs, 10,000 test examples'."""
    runs = " and ".join(f"{runs:,}" for runs in comparison.runs)
    return f"{comparison.test_set}: A minus B, {runs} runs, {comparison.examples:,} test examples"


def headings(comparison: Comparison) -> tuple[str, ...]:
    """Return the headings of `rows`."""
    level = next(iter(comparison.estimates.values())).level
    return ("", "estimate", f"{100 * level:g} % interval", "p")[: _columns(comparison)]


def _columns(comparison: Comparison) -> int:
    """Return how many columns there are: p-values have one where any row has one."""
    return 4 if any(name in comparison.p_values for _, name in ROWS) else 3


def rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return the differences of A and B with their intervals and, where there are any, p-values."""
    shown = [
        (
            label,
            value_text(comparison.estimates[name]),
            interval_text(comparison.estimates[name]),
            p_text(comparison.p_values[name]) if name in comparison.p_values else "",
        )
        for label, name in ROWS
    ]
    ratio = comparison.estimates["variance_ratio_a_to_b"]
    shown.append(("Variance over runs, A to B", _number(ratio.value), _numbers(ratio), ""))
    return [row[: _columns(comparison)] for row in shown]


def comparison_table(comparison: Comparison) -> Table:
    """Return `rows` as a table."""
    table = Table(title=Text(f" {title(comparison)}", "bold"), title_justify="left", box=box.SIMPLE_HEAD)
    for heading in headings(comparison):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=bool(heading))
    for row in rows(comparison):
        table.add_row(*row)
    return table


def reading(comparison: Comparison, *, by_rule: bool = False) -> str:
    """Return what the two differences mean, in plain words; by_rule: that here is told already."""
    here = comparison.estimates["difference_on_this_test_set"]
    fresh = comparison.estimates["difference_on_the_distribution"]
    if here.interval is None and here.absent:
        return f"Which is better cannot be said from these stores alone: {here.absent}."
    on_fresh = f"on fresh examples the difference is within {interval_text(fresh)}"
    if by_rule:
        text = f"{on_fresh[0].upper()}{on_fresh[1:]}."
    elif not _excludes_zero(here):
        text = f"No difference is shown, not even on this test set; {on_fresh}."
    else:
        better = "A" if (here.value or 0) > 0 else "B"
        if _excludes_zero(fresh):
            text = f"{better} is better, on this test set and on its distribution: {on_fresh}."
        else:
            text = (
                f"{better} is better on this test set. That it would be on fresh examples is not shown: "
                f"{on_fresh}, which includes 0."
            )
    if comparison.runs_that_help is not None:
        enough = comparison.runs_that_help <= min(comparison.runs)
        text += (
            " More runs hardly narrow that: the test set is the limit."
            if enough
            else f" Up to about {_roughly(comparison.runs_that_help)} runs of each narrow that; beyond, the "
            "test set is the limit."
        )
    return text


def _roughly(number: int) -> str:
    """Return two digits of a number that is an estimate: '35,000' for 35,033."""
    return f"{float(f'{number:.2g}'):,.0f}"


def _excludes_zero(estimate: Estimate) -> bool:
    return estimate.interval is not None and not estimate.interval[0] <= 0 <= estimate.interval[1]


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"


def _numbers(estimate: Estimate) -> str:
    return "none" if estimate.interval is None else " to ".join(map(_number, estimate.interval))
