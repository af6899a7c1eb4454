"""A comparison that stops by itself: how far it is while runs come in, and the decision in plain words."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TextIO

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from airbench_var.analysis.sequential import Decision, Look, Rule
from airbench_var.analysis.standing import Standing
from airbench_var.report.comparison import comparison_table, reading
from airbench_var.report.console import Console
from airbench_var.report.display import Display, Mode
from airbench_var.report.paragraph import print_paragraph
from airbench_var.report.percent import decimals, percent, span_text
from airbench_var.report.progress import duration_text, pace_text
from airbench_var.report.rate import Rate
from airbench_var.report.readings import count_text

_INTERVALS = {"t-mixture": "confidence sequence", "obrien-fleming": "repeated confidence interval"}

#: What may be done when a rule has seen all its pairs and decided nothing; see `contest` on more runs.
_NEXT = {
    "t-mixture": "The same command with a larger --max-runs goes on from here, and errs no more often: this "
    "rule may look at any number of pairs.",
    "obrien-fleming": "No runs may be added, as --looks planned with their number. A new comparison needs "
    "other runs, by another --out and --seed, and may err by itself; without --looks it may go on.",
}


@dataclass(frozen=True, kw_only=True)
class ContestMoment:
    """How far a contest is, and which decision is near."""

    title: str
    standing: Standing
    networks_per_hour: float | None  #: of both recipes; None before the first commit of this session
    most_remaining_s: float | None  #: if nothing is decided before the last pair
    elapsed_s: float  #: of this session

    def view(self) -> Group:
        """Return the view for a terminal of 80 columns."""
        head = Table.grid(padding=(0, 2))
        pairs, most = self.standing.pairs, self.standing.rule.max_runs
        bar = ProgressBar(total=most, completed=min(pairs, most), width=24)
        head.add_row(bar, self._done())
        below = (Text(part) for part in (" · ".join(self._pace()), *self._parts()))
        return Group(Text(self.title, "bold"), head, *below)

    def line(self) -> str:
        """Return everything in one line of plain text."""
        return "; ".join([", ".join([self._done(), *self._pace()]), *self._parts()])

    def to_json(self) -> dict[str, Any]:
        """Return the same for machines: accuracies as fractions, None for what is not defined."""
        standing = self.standing.to_json()
        for name in ("path", "comparison", "no_comparison"):
            del standing[name]
        return {
            "event": "progress",
            "networks_per_hour": self.networks_per_hour,
            "most_remaining_s": self.most_remaining_s,
            "elapsed_s": self.elapsed_s,
            "nearest": nearest(self.standing),
            **standing,
        }

    def _done(self) -> str:
        return f"{self.standing.pairs:,} pairs of at most {self.standing.rule.max_runs:,}"

    def _pace(self) -> Iterator[str]:
        """Yield speed, time and trouble, in words."""
        if self.networks_per_hour is None or self.most_remaining_s is None:
            yield f"waiting for the {'next' if sum(self.standing.runs) else 'first'} run"
        else:
            yield pace_text(self.networks_per_hour)
            if self.standing.decision:
                yield f"done in {duration_text(self.elapsed_s)}"
            else:
                yield f"at most {duration_text(self.most_remaining_s)} left, less if it is decided before"
        yield f"{sum(self.standing.diverged):,} diverged"
        yield f"{self.standing.left_out:,} pairs left out"

    def _parts(self) -> Iterator[str]:
        """Yield the difference, the evidence, and the decision, or the nearest."""
        look, rule = self.standing.look, self.standing.rule
        more = rule.next_look(self.standing.pairs)
        if more is not None and (look is None or look.pairs < self.standing.pairs):
            yield f"next look at {count_text(more, 'pair')}"
        if look is None:
            return
        yield f"{self.standing.test_set}: A minus B {_difference_text(look)} ({_interval_text(rule, look)})"
        yield _evidence_text(rule, look)
        if self.standing.decision == "undecided":
            yield "undecided: all pairs that --max-runs allows are there"
        elif self.standing.decision:
            yield f"decided: {self.standing.decision}"
        elif near := nearest(self.standing):
            yield f"nearest: {near}"


class ContestView(Display):
    """Shows a contest as it goes: a context manager; call `update` after each commit.

    `already_done` are the runs of both recipes that are there; for the others see `Display`.
    """

    def __init__(
        self,
        standing: Standing,
        already_done: int,
        mode: Mode = "auto",
        title: str = "",
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._standing, self._title, self._clock = standing, title, clock
        self._rate, self._start_s, self._elapsed_s = Rate(already_done, clock), clock(), 0.0
        super().__init__(mode, stream=stream, clock=clock)

    def begins(self) -> None:
        """Take note that a worker is ready, see `LiveView.begins`."""
        self._rate.begins()

    def update(self, standing: Standing) -> None:
        """Show this from now on."""
        self._rate.record(sum(standing.runs))
        self._standing = standing
        self._elapsed_s = self._clock() - self._start_s
        self.show()

    def moment(self) -> ContestMoment:
        """Return how far the contest is."""
        return ContestMoment(
            title=self._title,
            standing=self._standing,
            networks_per_hour=self._rate.per_hour,
            most_remaining_s=self._rate.remaining_s(2 * self._standing.rule.max_runs),
            elapsed_s=self._elapsed_s,
        )


def nearest(standing: Standing) -> Decision | None:
    """Return the decision that would come first if all went on as it did; None when none can be seen yet.

    log E and t**2 grow in proportion to the pairs, and the square of the interval's width shrinks so.
    """
    look, rule = standing.look, standing.rule
    if look is None or look.statistic is None:
        return None
    share = max(0.0, look.statistic) / look.threshold
    shown = share if rule.statistic == "log_e" else share**2
    equal = (rule.margin / max(map(abs, look.interval))) ** 2 if look.interval else 0.0
    if max(shown, equal) == 0:
        return None
    if equal > shown:
        return "equivalent"
    return "A is better" if look.difference > 0 else "B is better"


def print_standing(standing: Standing, console: Console | None = None) -> None:
    """Print the decision with its numbers, then what may be said besides; by default to stdout."""
    console = console or Console(highlight=False)
    print_paragraph(console, _verdict(standing), "bold")
    comparison = standing.comparison
    if comparison is None:
        print_paragraph(console, f"No table: {standing.no_comparison}")
    else:
        console.print(comparison_table(comparison))
        if all(e.interval for name, e in comparison.estimates.items() if name.startswith("difference")):
            is_shown = standing.decision in ("A is better", "B is better")
            print_paragraph(console, reading(comparison, by_rule=not is_shown))
        fresh = comparison.estimates["difference_on_the_distribution"]
        if fresh.interval is None and fresh.absent:
            print_paragraph(console, f"Note: no interval on the distribution: {fresh.absent}.", "yellow")
        for warning in comparison.warnings:
            print_paragraph(console, f"Note: {warning}.", "yellow")
    for note in _notes(standing):
        print_paragraph(console, f"Note: {note}.", "yellow")
    print_paragraph(console, _legend(standing.rule), "dim")


def _verdict(standing: Standing) -> str:
    look, rule = standing.look, standing.rule
    if look is None:
        first = rule.next_look(0)
        return f"Nothing is decided: {standing.pairs:,} pairs are through, the first look is at {first:,}."
    numbers = f"{_difference_text(look)} in mean accuracy (A minus B), {_interval_text(rule, look)}"
    on, margin = f"on this test set ({standing.test_set})", percent(rule.margin, 3)
    after = f"after {standing.pairs:,} pairs of runs"
    evidence = _evidence_text(rule, look)
    match standing.decision:
        case "A is better" | "B is better":
            better, other = "AB" if standing.decision == "A is better" else "BA"
            text = f"{better} is better than {other} {on}, decided {after}: {numbers}; {evidence}."
            if look.interval and max(map(abs, look.interval)) < rule.margin:
                text += f" The difference is real, and smaller than {margin}."
            return text
        case "equivalent":
            return f"A and B are equivalent within {margin} {on}, decided {after}: {numbers}; {evidence}."
        case "undecided":
            return (
                f"Undecided {on} {after}, all that --max-runs {rule.max_runs} allows: {numbers}; {evidence}. "
                f"{_NEXT[rule.name]}"
            )
        case None:
            return f"Nothing is decided {on} {after}: {numbers}; {evidence}."


def _notes(standing: Standing) -> Iterator[str]:
    if standing.left_out:
        yield (
            f"{standing.left_out:,} pairs are left out because a run of them failed for good; that is right "
            "only if failing has nothing to do with accuracy"
        )
    if standing.beyond:
        yield (
            f"runs that came after the last pair: {standing.beyond:,}; they are in the stores and in the "
            "table's other values, and changed no decision"
        )
    for name, diverged in zip("AB", standing.diverged, strict=True):
        if diverged:
            yield f"{diverged:,} runs of {name} diverged; they are part of the recipe, and counted"


def _legend(rule: Rule) -> str:
    alpha = f"{100 * rule.alpha:g} %"
    return (
        f"The decision is about this test set: what infinitely many runs would show on these examples. It is "
        f"wrong with a chance of {alpha} at most, whenever the rule stops, if differences of runs are "
        f"independent and normal. The interval on the distribution gives half of the {alpha} to the runs and "
        "half to the examples, which must be independent. Training stops by what the runs show: the values "
        "are drawn towards a decision, and p-values or intervals for a fixed number of runs would not hold, "
        "so these are not given."
    )


def _difference_text(look: Look) -> str:
    return percent(look.difference, max(3, decimals(look.interval)))


def _interval_text(rule: Rule, look: Look) -> str:
    name = f"{100 * (1 - rule.alpha):g} % {_INTERVALS[rule.name]}"
    return f"{name} {span_text(look.interval)}" if look.interval else f"no {name}: {look.absent}"


def _evidence_text(rule: Rule, look: Look) -> str:
    if look.statistic is None:
        return "no evidence either way"
    if rule.statistic == "log_e":
        return f"evidence E = {_e_text(look.statistic)}, a difference is shown at {1 / rule.alpha:,.4g}"
    needed = f"{look.threshold:.2f}" if math.isfinite(look.threshold) else "more than is possible"
    return f"|t| = {look.statistic:.2f} at {look.pairs:,} pairs, a difference is shown at {needed}"


def _e_text(log_e: float) -> str:
    return f"{math.exp(log_e):,.3g}" if abs(log_e) < 14 else f"10^{log_e / math.log(10):.1f}"
