"""What a study found: numbers with intervals, verdicts on the paper's claims, and pictures."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from scipy.special import ndtri

from airbench_var.analysis import Estimate
from airbench_var.analysis.correlation import Correlation
from airbench_var.analysis.estimate import Interval
from airbench_var.analysis.independence import HypothesisTest
from airbench_var.analysis.summary import LEVEL
from airbench_var.report.figures.canvas import Figure
from airbench_var.report.percent import interval_text, value_text
from airbench_var.stats import CorrectnessCounts
from airbench_var.studies.telling import Needed, needed

#: How a number is shown: a share of 1 as percent, a variance in units of 1e-6, anything else as it is.
Unit = Literal["share", "variance", "plain", "count"]

Verdict = Literal["holds", "does not hold", "cannot be told"]


@dataclass(frozen=True, kw_only=True)
class Number:
    """One number of a study; accuracies and standard deviations are shares of 1."""

    name: str
    arm: str
    unit: Unit
    value: float | None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    target: str  #: "this test set", "the distribution", or what else it is of
    runs: int
    examples: int
    method: str
    assumption: str = ""
    absent: str = ""  #: why there is no value, or no interval
    warnings: tuple[str, ...] = ()  #: what to be wary of: that its estimate is negative
    least: float | None = None  #: of a p-value, what the test could have found at least
    paper: float | None = None  #: what the paper prints for its setting

    @classmethod
    def of(
        cls, estimate: Estimate, arm: str, unit: Unit, *, paper: float | None = None, name: str = ""
    ) -> Self:
        """Return an estimate as a number of a study."""
        low, high = estimate.interval or (None, None)
        runs = estimate.runs if isinstance(estimate.runs, int) else min(estimate.runs)
        return cls(
            name=name or estimate.name,
            arm=arm,
            unit=unit,
            value=estimate.value,
            low=low,
            high=high,
            level=estimate.level if estimate.interval else None,
            target=estimate.target,
            runs=runs,
            examples=estimate.examples,
            method=estimate.method,
            assumption=estimate.assumption,
            absent=estimate.absent,
            warnings=estimate.warnings,
            paper=paper,
        )

    @classmethod
    def bare(
        cls,
        name: str,
        arm: str,
        unit: Unit,
        value: float | None,
        *,
        counts: CorrectnessCounts,
        method: str,
        target: str = "these runs",
        absent: str = "no interval: it describes these runs",
        paper: float | None = None,
    ) -> Self:
        """Return a number that has no interval, with the reason; runs and examples are those of `counts`."""
        return cls(
            name=name,
            arm=arm,
            unit=unit,
            value=value,
            target=target,
            runs=counts.R,
            examples=counts.n,
            method=method,
            absent=absent,
            paper=paper,
        )

    @classmethod
    def of_correlation(
        cls, pair: Correlation, name: str, arm: str, *, counts: CorrectnessCounts, method: str
    ) -> Self:
        """Return a correlation over runs between two test sets as a number of a study."""
        return cls(
            name=name,
            arm=arm,
            unit="plain",
            value=pair.r,
            low=pair.low,
            high=pair.high,
            level=LEVEL,
            target="these test sets",
            runs=counts.R,
            examples=counts.n,
            method=method,
            assumption="runs are independent, accuracies normal",
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values; what is not finite is None."""
        return {name: _finite(value) for name, value in vars(self).items()} | {
            "warnings": list(self.warnings)
        }


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim of the paper, and what these runs say of it."""

    text: str
    source: str  #: where in the paper: "section 3.1, Fig 2"
    verdict: Verdict
    because: str  #: the numbers that decide, or why they do not
    runs_needed: int | None = None  #: to tell, where it cannot be told
    examples_needed: int | None = None  #: where no number of runs would tell on the examples that there are

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that a study has to say."""

    numbers: Sequence[Number]
    claims: Sequence[Claim]
    figures: Sequence[Figure]
    notes: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Return numbers, claims and notes as JSON values, and of figures the names."""
        return {
            "numbers": [number.to_json() for number in self.numbers],
            "claims": [claim.to_json() for claim in self.claims],
            "figures": [figure.name for figure in self.figures],
            "notes": list(self.notes),
        }


def numbers_of(
    arm: str,
    estimates: Mapping[str, Estimate],
    units: Mapping[str, Unit],
    paper: Mapping[str, float] | None = None,
) -> Iterator[Number]:
    """Yield the estimates that `units` names, in its order."""
    for name, unit in units.items():
        if name in estimates:
            yield Number.of(estimates[name], arm, unit, paper=(paper or {}).get(name))


def p_value_of(test: HypothesisTest, arm: str, counts: CorrectnessCounts) -> Number:
    """Return the p-value of a test as a number of a study."""
    number = Number.bare(
        f"{test.name}_p_value",
        arm,
        "plain",
        test.p_value,
        counts=counts,
        method=f"{test.method}; null: {test.null}",
        target="this test set",
        absent=test.absent or "no interval: it is a p-value",
    )
    return replace(number, least=test.least_p_value)


def over(by: float, estimate: Estimate, name: str, *, inverse: bool = False) -> Estimate:
    """Return estimate / by, or by / estimate, with the image of the interval; `by` is taken as known.

    Assumption: the error of `by` is far below that of the estimate; it fails where both vary alike.
    """

    def image(value: float) -> float:
        return (by / value if value else math.inf) if inverse else value / by

    def both(interval: Interval | None) -> Interval | None:
        ends = sorted(map(image, interval or ()))
        return (ends[0], ends[1]) if ends else None

    return replace(
        estimate,
        name=name,
        value=None if estimate.value is None else image(estimate.value),
        interval=both(estimate.interval),
        interval_of_examples=both(estimate.interval_of_examples),
        method=f"image of the interval of {estimate.name}, {estimate.method}; the other term taken as known",
    )


def ratio_of(estimate: Estimate, by: Estimate, name: str) -> Estimate:
    """Return estimate / by for two that may share runs, both above 0; its interval holds whatever they share.

    Both intervals are widened so that they hold together (Bonferroni), as those of normal errors widen.
    Assumption: both intervals are about symmetric; it fails where one reaches to 0.
    """
    assert estimate.level == by.level
    tail = (1 - estimate.level) / 2
    wider = float(ndtri(1 - tail / 2) / ndtri(1 - tail))

    def ends(value: float, interval: Interval) -> Interval:
        low, high = interval
        return value - wider * (value - low), value + wider * (high - value)

    def over_by(interval: Interval | None, by_interval: Interval | None) -> Interval | None:
        if interval is None or by_interval is None or estimate.value is None or by.value is None:
            return None
        (low, high), (by_low, by_high) = ends(estimate.value, interval), ends(by.value, by_interval)
        return (low / by_high, high / by_low) if by_low > 0 else None

    value = None if estimate.value is None or not by.value else estimate.value / by.value
    interval, absent = None, estimate.absent or by.absent
    if value is not None and not absent:
        interval = over_by(estimate.interval, by.interval)
        absent = "" if interval else f"the interval of {by.name} reaches to 0"
    return replace(
        estimate,
        name=name,
        target="the distribution" if "the distribution" in (estimate.target, by.target) else estimate.target,
        value=value,
        interval=interval,
        interval_of_examples=over_by(estimate.interval_with_unlimited_runs, by.interval_with_unlimited_runs),
        absent=absent,
        standard_errors={},
        method=f"from the intervals of {estimate.name} and {by.name}, widened to hold together (Bonferroni)",
        warnings=tuple(dict.fromkeys((*estimate.warnings, *by.warnings))),
    )


def text_of(estimate: Estimate, digits: int = 2) -> str:
    """Return '0.93 (0.91 to 0.95)' for a plain number with its warnings, 'none (why)' without one."""
    if estimate.value is None or estimate.interval is None:
        return f"none ({estimate.absent})"
    low, high = estimate.interval
    return _in_words(f"{estimate.value:.{digits}f}", f"{low:.{digits}f} to {high:.{digits}f}", estimate)


def percent_of(estimate: Estimate) -> str:
    """Return '0.22 % (0.14 to 0.29 %)' for a share of 1 with its warnings, 'none (why)' without one."""
    if estimate.value is None or estimate.interval is None:
        return f"none ({estimate.absent})"
    return _in_words(value_text(estimate), interval_text(estimate), estimate)


def _in_words(value: str, interval: str, estimate: Estimate) -> str:
    """Return '0 % (0 to 0.29 %; estimate negative)'."""
    return f"{value} ({'; '.join((interval, *estimate.warnings))})"


def decided(
    verdict: Callable[..., Verdict], *estimates: Estimate, text: str, source: str, shown: str
) -> Claim:
    """Return a claim with its verdict, which follows from these estimates' intervals, and what it lacks.

    Where it cannot be told: the runs, or else the examples, of which intervals would be narrow enough.
    """
    found = verdict(*estimates)
    lacks = Needed()
    if found == "cannot be told":
        lacks = needed(lambda *narrower: verdict(*narrower) != "cannot be told", *estimates)
    return Claim(
        text=text,
        source=source,
        verdict=found,
        because=shown,
        runs_needed=lacks.runs,
        examples_needed=lacks.examples,
    )


def above(
    estimate: Estimate, bound: float, *, text: str, source: str, shown: str, below: bool = False
) -> Claim:
    """Return the verdict on a claim that a quantity is above a bound, or below it, from its interval.

    It holds where the whole interval lies on that side, does not hold where it lies on the other.
    """

    def verdict(one: Estimate) -> Verdict:
        if one.interval is None:
            return "cannot be told"
        low, high = one.interval
        if low > bound or high < bound:
            return "holds" if (low > bound) != below else "does not hold"
        return "cannot be told"

    shown = shown if estimate.interval else estimate.absent
    return decided(verdict, estimate, text=text, source=source, shown=shown)


def near(estimate: Estimate, place: float, tolerance: float, *, text: str, source: str, shown: str) -> Claim:
    """Return the verdict on a claim that a quantity is within a tolerance of a place, from its interval.

    It holds where the whole interval lies within, does not hold where all of it lies outside: an interval
    that holds the place itself says nothing while it is wide.
    """

    def verdict(one: Estimate) -> Verdict:
        if one.interval is None:
            return "cannot be told"
        low, high = one.interval
        if place - tolerance <= low and high <= place + tolerance:
            return "holds"
        outside = low > place + tolerance or high < place - tolerance
        return "does not hold" if outside else "cannot be told"

    shown = shown if estimate.interval else estimate.absent
    return decided(verdict, estimate, text=text, source=source, shown=shown)


def larger(a: Estimate, b: Estimate) -> Verdict:
    """Return the verdict on a claim that a is larger than b: it is told where the intervals do not overlap.

    That is stricter than an interval of the difference, for whatever runs the two share.
    """
    if a.interval is None or b.interval is None:
        return "cannot be told"
    if a.interval[0] > b.interval[1]:
        return "holds"
    return "does not hold" if a.interval[1] < b.interval[0] else "cannot be told"


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
