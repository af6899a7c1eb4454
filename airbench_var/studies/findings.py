"""What a study found: numbers with intervals, verdicts on the paper's claims, and pictures."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from airbench_var.analysis import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

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
            paper=paper,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values; what is not finite is None."""
        return {name: _finite(value) for name, value in vars(self).items()}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim of the paper, and what these runs say of it."""

    text: str
    source: str  #: where in the paper: "section 3.1, Fig 2"
    verdict: Verdict
    because: str  #: the numbers that decide, or why they do not
    runs_needed: int | None = None  #: to tell, where it cannot be told

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture: `draw` puts it on an empty matplotlib figure of this size."""

    name: str  #: of its files
    caption: str
    draw: "Callable[[Canvas], None]"
    inches: tuple[float, float] = (7.0, 4.0)


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


def above(
    estimate: Estimate, bound: float, *, text: str, source: str, shown: str, below: bool = False
) -> Claim:
    """Return the verdict on a claim that a quantity is above a bound, or below it, from its interval.

    It holds where the whole interval lies on that side, does not hold where it lies on the other. Else the
    runs needed are those for which the interval, narrowing with the root of their number, leaves the bound
    out if the estimate stays: an order of magnitude, and no promise.
    """
    if estimate.value is None or estimate.interval is None:
        return Claim(text=text, source=source, verdict="cannot be told", because=estimate.absent)
    low, high = estimate.interval
    runs = estimate.runs if isinstance(estimate.runs, int) else min(estimate.runs)
    needed = None
    if low > bound or high < bound:
        verdict: Verdict = "holds" if (low > bound) != below else "does not hold"
    else:
        verdict = "cannot be told"
        distance, reach = abs(estimate.value - bound), (high - low) / 2
        needed = math.ceil(runs * (reach / distance) ** 2) if distance else None
    return Claim(text=text, source=source, verdict=verdict, because=shown, runs_needed=needed)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
