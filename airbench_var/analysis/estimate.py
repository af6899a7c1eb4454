"""A number with everything needed to read it: interval, method, assumption, and what to be wary of."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

Target = Literal["this test set", "the distribution"]
Interval = tuple[float, float]

#: What nearly every estimate assumes, and those for the distribution besides.
RUNS = "runs are independent and identically distributed"
EXAMPLES = "examples are independent draws from the distribution"

#: Why there is no interval where the accuracies of runs do not vary.
NO_SCALE = "every run has the same accuracy, which leaves no scale for an interval"

#: The warning of a standard deviation whose variance was estimated below 0.
NEGATIVE = "estimate negative"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One estimate: accuracies and standard deviations are fractions of 1, variances the squares of such."""

    name: str
    target: Target  #: infinitely many runs on these examples, or examples drawn afresh as well
    value: float | None
    interval: Interval | None
    #: On the distribution: the interval that unlimited runs on these examples would leave; None: not known.
    interval_of_examples: Interval | None = None
    level: float  #: of the interval
    absent: str = ""  #: why there is no value, or no interval around it
    standard_errors: Mapping[str, float] = field(default_factory=dict)  #: of the value, by what they are for
    method: str
    assumption: str
    runs: int | tuple[int, int]  #: of one recipe, or of A and of B
    examples: int
    warnings: tuple[str, ...] = ()

    @property
    def interval_with_unlimited_runs(self) -> Interval | None:
        """What of the interval no number of runs narrows: on this test set, nothing; None: not known."""
        if self.target == "the distribution":
            return self.interval_of_examples
        return None if self.value is None else (self.value, self.value)

    def standard_deviation(self, name: str) -> Self:
        """Return the square root of this variance: 0, with a warning, where the estimate is negative."""
        negative = self.value is not None and self.value < 0
        return replace(
            self,
            name=name,
            value=None if self.value is None else _root(self.value),
            interval=_roots(self.interval),
            interval_of_examples=_roots(self.interval_of_examples),
            method=f"square root of {self.name}: {self.method}",
            warnings=(NEGATIVE, *self.warnings) if negative else self.warnings,
        )

    def numbers(self) -> dict[str, Any]:
        """Return value, low, high, level, standard_error_<of what>, warnings; None where not defined."""
        low, high = self.interval or (None, None)
        errors = {f"standard_error_{key}": error for key, error in self.standard_errors.items()}
        interval = {"low": low, "high": high, "level": self.level}
        return {"value": self.value, **interval, **errors, "warnings": list(self.warnings)}

    def to_json(self) -> dict[str, Any]:
        """Return `numbers` with target, method, assumption, runs, examples, and absent (None: nothing is)."""
        words = {"target": self.target, "method": self.method, "assumption": self.assumption}
        sizes = {"runs": self.runs if isinstance(self.runs, int) else list(self.runs)}
        return {**self.numbers(), **words, **sizes, "examples": self.examples, "absent": self.absent or None}


def too_few(what: str, there: int, needed: int) -> str:
    """Return that so many runs or examples (`what`, in the singular) are too few, or '' when they suffice."""
    if there >= needed:
        return ""
    noun = f"{what} is" if needed == 1 else f"{what}s are"
    return f"at least {needed} {noun} needed, there {'is' if there == 1 else 'are'} {there}"


def _roots(interval: Interval | None) -> Interval | None:
    return None if interval is None else (_root(interval[0]), _root(interval[1]))


def _root(variance: float) -> float:
    return math.sqrt(max(0.0, variance))
