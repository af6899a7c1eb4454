"""One moment of a campaign, written as a view for terminals, as a line, or as JSON."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from airbench_var.analysis import Analysis, TestSetSummary
from airbench_var.report.percent import interval_text, percent, value_text

#: A shorter session has no pace that says anything.
LEAST_S = 1.0
#: As in the table at the end.
_STDS = (("std on this test set", "test_set_std"), ("std on its distribution", "distribution_wise_std"))


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a campaign is, and what its runs say so far."""

    title: str
    total: int  #: runs asked for
    networks_per_hour: float | None  #: None before the first commit of this session
    remaining_s: float | None
    elapsed_s: float  #: of this session
    analysis: Analysis

    def view(self) -> Group:
        """Return the view for a terminal of 80 columns."""
        head = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=self.total, completed=min(self.analysis.runs, self.total), width=24)
        head.add_row(Text(self.title, "bold"), bar, self._done())
        return Group(head, Text(" · ".join(self._pace())), _estimates(self.analysis))

    def line(self) -> str:
        """Return everything in one line of plain text."""
        parts = [", ".join([self._done(), *self._pace()])]
        for summary in self.analysis.test_sets:
            known = ", ".join(f"{label} {value} ({sure})" for label, value, sure in _known(summary))
            parts.append(f"{summary.name}: {known}")
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return the same for machines: accuracies as fractions, None for what is not defined."""
        return {
            "event": "progress",
            "runs": self.analysis.runs,
            "total": self.total,
            "networks_per_hour": self.networks_per_hour,
            "remaining_s": self.remaining_s,
            "elapsed_s": self.elapsed_s,
            "diverged": self.analysis.diverged,
            "failed": self.analysis.failed,
            "test_sets": {
                summary.name: {
                    name: summary.estimates[name].numbers()
                    for name in ("mean_accuracy", *(name for _, name in _STDS))
                }
                for summary in self.analysis.test_sets
            },
        }

    def _done(self) -> str:
        return f"{self.analysis.runs:,} of {self.total:,} runs"

    def _pace(self) -> Iterator[str]:
        """Yield speed, time and trouble, in words."""
        if self.networks_per_hour is None or self.remaining_s is None:
            yield f"waiting for the {'next' if self.analysis.runs else 'first'} run"
        else:
            finished = self.analysis.runs >= self.total
            if not finished or self.elapsed_s >= LEAST_S:
                yield pace_text(self.networks_per_hour)
            yield (
                f"done in {duration_text(self.elapsed_s)}"
                if finished
                else f"{duration_text(self.remaining_s)} left"
            )
        yield f"{self.analysis.diverged:,} diverged"
        yield f"{self.analysis.failed:,} failed"


def _estimates(analysis: Analysis) -> Table:
    """Return one line per estimate, with what says how sure it is."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column()
    grid.add_column(justify="right")
    grid.add_column()
    for summary in analysis.test_sets:
        for number, row in enumerate(_known(summary)):
            grid.add_row("" if number else summary.name, *row)
    return grid


def _known(summary: TestSetSummary) -> Iterator[tuple[str, str, str]]:
    """Yield of every estimate that so many runs give its label, its value, and how sure it is."""
    mean = summary.estimates["mean_accuracy"]
    error = mean.standard_errors.get("test_set")
    if mean.value is not None:
        alike = "of one run" if summary.runs == 1 else "all runs alike"
        sure = alike if error is None else f"standard error {percent(error, 3)}"
        yield "mean accuracy", value_text(mean), sure
    for label, name in _STDS:
        estimate = summary.estimates[name]
        if estimate.value is not None:
            level = f"{100 * estimate.level:g} % interval "
            shows_none = estimate.interval is not None and estimate.interval[1] == 0
            yield (
                label,
                value_text(estimate),
                "runs differ less than by chance so far" if shows_none else level + interval_text(estimate),
            )


def pace_text(networks_per_hour: float) -> str:
    """Return '1,234 networks per hour'."""
    return f"{networks_per_hour:,.{0 if networks_per_hour >= 10 else 1}f} networks per hour"


def duration_text(seconds: float) -> str:
    """Return a duration in its one or two largest units: '45 s', '3 min 20 s', '2 h 05 min', '3 d 4 h'."""
    minutes, s = divmod(round(seconds), 60)
    hours, min_of_hour = divmod(minutes, 60)
    days, h_of_day = divmod(hours, 24)
    if days:
        return f"{days} d {h_of_day} h"
    if hours:
        return f"{hours} h {min_of_hour:02d} min"
    if minutes >= 10:
        return f"{minutes} min"
    return f"{minutes} min {s:02d} s" if minutes else f"{s} s"
