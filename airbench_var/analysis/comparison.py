"""Is recipe A better than recipe B? Two answers that are not the same, and how the runs themselves compare.

On this test set: would infinitely many runs of A be right more often on these examples? More runs answer it.
On the distribution: would they on fresh examples? From some number of runs on only a larger test set helps.
Assumption throughout: runs are independent, within a recipe and between the two.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import fdtri, ndtri, stdtr

from airbench_var.analysis import duplicates, intervals, variance
from airbench_var.analysis.estimate import EXAMPLES, Estimate, Interval
from airbench_var.analysis.summary import LEVEL
from airbench_var.errors import StoreRefusedError, UsageError
from airbench_var.stats import CorrectnessCounts

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

#: Below it, whether there is an interval of the chance to beat depends too much on the runs themselves.
RUNS_TO_RANK = 5

_RUNS = "runs are independent, within each recipe and between the two"


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison:
    """What the runs of two recipes on one test set say about their difference, A minus B."""

    test_set: str
    examples: int
    runs: tuple[int, int]  #: of A, of B
    estimates: Mapping[str, Estimate]
    p_values: Mapping[str, float]  #: two-sided, of no difference in mean accuracy, by estimate
    runs_that_help: int | None  #: per recipe; beyond it the test set is the limit for the distribution
    diverged: tuple[int, int] = (0, 0)  #: of these runs; they are part of the recipes and of every estimate
    difference_without_diverged: float | None = None  #: to compare; None when none diverged, or all did
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return what it is of: all its numbers would fill pages."""
        a, b = self.runs
        return f"<Comparison of {a:,} and {b:,} runs on {self.test_set}: estimates, p_values, to_json()>"

    def without_intervals(self, why: str) -> Self:
        """Return the values alone, and why."""
        estimates = {name: replace(one, interval=None, absent=why) for name, one in self.estimates.items()}
        return replace(self, estimates=estimates, p_values={})

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON values; accuracies are fractions."""
        return {
            "test_set": self.test_set,
            "examples": self.examples,
            "runs": list(self.runs),
            "estimates": {name: estimate.to_json() for name, estimate in self.estimates.items()},
            "p_values": dict(self.p_values),
            "runs_that_help": self.runs_that_help,
            "diverged": list(self.diverged),
            "difference_without_diverged": self.difference_without_diverged,
            "warnings": list(self.warnings),
        }


def compare_counts(
    test_set: str,
    a: CorrectnessCounts,
    b: CorrectnessCounts,
    level: float = LEVEL,
    diverged: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset()),
) -> Comparison:
    """Return the comparison of two recipes from the counts of their runs on the same test set.

    `diverged` are the ids of diverged runs of A and of B.

    Raises: StoreRefusedError for different test sets, UsageError for fewer than two runs or examples.
    """
    _refuse(test_set, a, b)
    difference = float(variance.mean_accuracy(a) - variance.mean_accuracy(b))
    of_runs = [(float(variance.test_set_variance(c)) / c.R, c.R - 1) for c in (a, b)]
    here, here_freedom = _error(of_runs)
    fresh, fresh_freedom = _error([*of_runs, (example_part(a, b), a.n - 1)])
    beats, beats_interval = _beats(a, b, level)
    estimates = [
        Estimate(
            name="difference_on_this_test_set",
            target="this test set",
            value=difference,
            interval=intervals.around(difference, here, here_freedom, level),
            level=level,
            standard_errors={"test_set": here},
            method="Welch's t over runs",
            assumption=_RUNS,
            runs=(a.R, b.R),
            examples=a.n,
        ),
        Estimate(
            name="difference_on_the_distribution",
            target="the distribution",
            value=difference,
            interval=intervals.hull(
                intervals.around(difference, here, here_freedom, level),
                intervals.around(difference, fresh, fresh_freedom, level),
            ),
            level=level,
            standard_errors={"distribution": fresh},
            method="Student's t over runs and examples paired by example, Satterthwaite's degrees of "
            "freedom; no narrower than on this test set",
            assumption=f"{_RUNS}; {EXAMPLES}",
            runs=(a.R, b.R),
            examples=a.n,
        ),
        Estimate(
            name="probability_a_beats_b",
            target="this test set",
            value=beats,
            interval=beats_interval,
            level=level,
            absent="" if beats_interval else _why_no_beats(a, b),
            method="Mann-Whitney over pairs of runs, ties count half; DeLong's variance on the logit scale",
            assumption=_RUNS,
            runs=(a.R, b.R),
            examples=a.n,
        ),
        Estimate(
            name="variance_ratio_a_to_b",
            target="this test set",
            value=float(variance.test_set_variance(a) / variance.test_set_variance(b)),
            interval=_ratio_interval(a, b, level),
            level=level,
            method="F over runs, degrees of freedom adjusted to their kurtosis",
            assumption=_RUNS,
            runs=(a.R, b.R),
            examples=a.n,
        ),
    ]
    p_here, p_fresh = (
        2 * float(stdtr(freedom, -abs(difference) / error))
        for error, freedom in ((here, here_freedom), (fresh, fresh_freedom))
    )
    comparison = Comparison(
        test_set=test_set,
        examples=a.n,
        runs=(a.R, b.R),
        estimates={estimate.name: estimate for estimate in estimates},
        p_values={
            "difference_on_this_test_set": p_here,
            "difference_on_the_distribution": max(p_here, p_fresh),
        },
        runs_that_help=runs_that_help(a, b),
        diverged=(len(diverged[0]), len(diverged[1])),
        difference_without_diverged=_without(a, b, diverged) if any(diverged) else None,
        warnings=tuple(filter(None, [duplicates.between(a, b, diverged)])),
    )
    return comparison.without_intervals("equal runs are in both") if comparison.warnings else comparison


def _without(
    a: CorrectnessCounts, b: CorrectnessCounts, diverged: tuple[frozenset[int], frozenset[int]]
) -> float | None:
    """Return the difference of the mean accuracies of the runs that did not diverge."""
    means = []
    for counts, ids in zip((a, b), diverged, strict=True):
        kept_R = counts.k_R[~np.isin(counts.run_ids_R, list(ids))]
        if not len(kept_R):
            return None
        means.append(float(kept_R.mean()) / counts.n)
    return means[0] - means[1]


def _refuse(test_set: str, a: CorrectnessCounts, b: CorrectnessCounts) -> None:
    if (a.n, a.test_set_hash) != (b.n, b.test_set_hash):
        raise StoreRefusedError(
            f"the test set {test_set!r} of the two stores is not the same ({a.n} examples, "
            f"{a.test_set_hash[:12]}; {b.n} examples, {b.test_set_hash[:12]}). Compare runs on one test set."
        )
    for name, counts in (("A", a), ("B", b)):
        if counts.R < 2 or counts.n < 2:
            raise UsageError(
                f"{name} has {counts.R} run{'' if counts.R == 1 else 's'} on {counts.n} example"
                f"{'' if counts.n == 1 else 's'} of {test_set!r}; a comparison needs two of each at least. "
                "Train more runs."
            )
        if variance.test_set_variance(counts) == 0:
            raise UsageError(
                f"every run of {name} has the same accuracy on {test_set!r}, which leaves no scale for an "
                "interval. Train more runs."
            )


def _error(parts: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """Return the standard error whose square has these parts, each with its degrees of freedom, and its own.

    Source: Satterthwaite, Biometrics 1946; of the runs of two recipes they are Welch's.
    """
    square = sum(part for part, _ in parts)
    return math.sqrt(square), square**2 / sum(part**2 / freedom for part, freedom in parts)


def example_part(a: CorrectnessCounts, b: CorrectnessCounts) -> float:
    """Return what the choice of examples adds to the squared error: the spread of their differences.

    The noise that finite runs add to each example's difference is taken off; the result is at least 0.
    """
    difference_N = a.c_N / a.R - b.c_N / b.R
    noise = sum(float(intervals.example_variances(counts).mean()) / counts.R for counts in (a, b))
    return max(0.0, float(np.var(difference_N, ddof=1)) - noise) / a.n


def runs_that_help(a: CorrectnessCounts, b: CorrectnessCounts) -> int | None:
    """Return for how many runs per recipe the runs' part of the error equals that of the examples."""
    examples = example_part(a, b)
    runs = sum(float(variance.test_set_variance(counts)) for counts in (a, b))
    return math.ceil(runs / examples) if examples > 0 else None


def _beats(a: CorrectnessCounts, b: CorrectnessCounts, level: float) -> tuple[float, Interval | None]:
    """Return P(one run of A beats one run of B) + half of P(tie), and its interval.

    Source: DeLong, DeLong and Clarke-Pearson, Biometrics 1988. On the logit scale, so that it stays within 0
    and 1; there is none when all pairs fall to one side.
    """
    a_over_b_R, b_over_a_R = _placements(a.k_R, b.k_R), _placements(b.k_R, a.k_R)
    share = float(a_over_b_R.mean())
    error = math.sqrt(float(np.var(a_over_b_R, ddof=1)) / a.R + float(np.var(b_over_a_R, ddof=1)) / b.R)
    if not 0 < share < 1 or min(a.R, b.R) < RUNS_TO_RANK:
        return share, None
    centre = math.log(share / (1 - share))
    reach = float(ndtri((1 + level) / 2)) * error / (share * (1 - share))
    return share, (1 / (1 + math.exp(reach - centre)), 1 / (1 + math.exp(-reach - centre)))


def _placements(of_R: Int64, among_R: Int64) -> Float64:
    """Return for each value the share of the others that it beats, ties counting half."""
    ordered = np.sort(among_R)
    below, up_to = (np.searchsorted(ordered, of_R, side) for side in ("left", "right"))
    return np.asarray((below + up_to) / (2 * len(ordered)))


def _ratio_interval(a: CorrectnessCounts, b: CorrectnessCounts, level: float) -> Interval:
    ratio = float(variance.test_set_variance(a) / variance.test_set_variance(b))
    ends = [
        (ratio / float(fdtri(nu_a, nu_b, (1 + level) / 2)), ratio / float(fdtri(nu_a, nu_b, (1 - level) / 2)))
        for nu_a in intervals.run_freedoms(a)
        for nu_b in intervals.run_freedoms(b)
    ]
    return min(low for low, _ in ends), max(high for _, high in ends)


def _why_no_beats(a: CorrectnessCounts, b: CorrectnessCounts) -> str:
    if min(a.R, b.R) < RUNS_TO_RANK:
        return f"at least {RUNS_TO_RANK} runs of each are needed, there are {a.R} and {b.R}"
    return "every run of one recipe beats every run of the other"
