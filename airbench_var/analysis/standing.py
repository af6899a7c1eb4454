"""How a comparison that stops by itself stands: its pairs, the decision, and what may be said besides.

After optional stopping the usual intervals do not hold: the number of runs was chosen by what they showed.
What holds is the rule's own interval and, with the error divided between runs and examples, that on fresh
examples. Everything else is given as a value alone.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

from scipy.special import ndtri

from airbench_var.analysis.comparison import Comparison, compare_counts, example_part
from airbench_var.analysis.estimate import EXAMPLES, Estimate
from airbench_var.analysis.live import LiveStatistics
from airbench_var.analysis.sequential import Course, Decision, Look, Rule
from airbench_var.errors import UsageError
from airbench_var.stats import CorrectnessCounts

#: Why an estimate has no interval.
STOPPED = "the number of runs was chosen by what they showed, for which this interval is not made"

_PAIRS = "differences of runs are independent and normal"


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """The differences of two campaigns, run by run, as far as both are through."""

    differences: tuple[int, ...]  #: right answers of A's run less those of B's, in the order of run ids
    run_ids: tuple[int, ...]  #: of each
    left_out: tuple[int, ...]  #: run ids of pairs of which a run failed for good
    complete: bool  #: no more will come


def pairs_of(a: CorrectnessCounts, b: CorrectnessCounts, failed: Collection[int], max_runs: int) -> Pairs:
    """Return the pairs before the first run that is still to come: a function of what ran, not of when.

    `failed` are the ids that failed for good, of either recipe. A pair without both runs says nothing, and
    is left out; that is right as long as failing has nothing to do with the accuracy a run would have had.
    """
    k_a, k_b = (dict(zip(counts.run_ids_R.tolist(), counts.k_R.tolist(), strict=True)) for counts in (a, b))
    through = list(takewhile(lambda i: i in failed or (i in k_a and i in k_b), range(max_runs)))
    run_ids = tuple(i for i in through if i not in failed)
    return Pairs(
        differences=tuple(k_a[i] - k_b[i] for i in run_ids),
        run_ids=run_ids,
        left_out=tuple(i for i in through if i in failed),
        complete=len(through) == max_runs,
    )


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a comparison is: the decision, or what it has so far."""

    rule: Rule
    test_set: str
    examples: int
    decision: Decision | None  #: None while runs are still to come
    look: Look | None  #: the one that decided, or the last; None before the first
    pairs: int  #: up to the decision
    last_run_id: int | None  #: of the last of these pairs
    left_out: int  #: pairs up to the decision of which a run failed for good
    runs: tuple[int, int]  #: committed, of A and of B
    beyond: int  #: of these, those after the last pair; they change no decision
    diverged: tuple[int, int]  #: of these
    path: Mapping[str, list[Any]]
    comparison: Comparison | None  #: None when the runs are too few or too equal
    no_comparison: str = ""  #: why

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values; accuracies are fractions."""
        look = self.look
        low, high = (look.interval if look else None) or (None, None)
        return {
            **self.rule.to_json(),
            "test_set": self.test_set,
            "examples": self.examples,
            "decision": self.decision,
            "pairs": self.pairs,
            "last_run_id": self.last_run_id,
            "left_out": self.left_out,
            "difference": look.difference if look else None,
            "low": low,
            "high": high,
            "level": 1 - self.rule.alpha,
            self.rule.statistic: look.statistic if look else None,
            "threshold": look.threshold if look and math.isfinite(look.threshold) else None,
            "absent": (look.absent if look else "no pair is through") or None,
            "runs": list(self.runs),
            "beyond": self.beyond,
            "diverged": list(self.diverged),
            "comparison": self.comparison.to_json() if self.comparison else None,
            "no_comparison": self.no_comparison or None,
            "path": dict(self.path),
        }


class Referee:
    """A rule and the statistics of the two campaigns it watches; `look` after each commit."""

    def __init__(self, rule: Rule, test_set: str, a: LiveStatistics, b: LiveStatistics) -> None:
        self.rule, self.test_set, self._arms = rule, test_set, (a, b)
        self._course = Course(rule, a.counts[test_set].n)
        self.look()

    @property
    def decision(self) -> Decision | None:
        """What is decided; None while runs are still to come."""
        return self._course.decision

    def look(self) -> None:
        """Take the pairs that came since."""
        pairs = self._pairs()
        self._course.extend(pairs.differences[self._course.sums.pairs :])
        if pairs.complete:
            self._course.finish()

    def standing(self, *, with_comparison: bool = True) -> Standing:
        """Return where the comparison is; with the estimates of all runs unless there is no time for them."""
        pairs, course = self._pairs(), self._course
        a, b = (arm.counts[self.test_set] for arm in self._arms)
        used = course.sums.pairs
        last_run_id = pairs.run_ids[used - 1] if used else None
        left_out = pairs.left_out
        if last_run_id is not None and course.decision not in (None, "undecided"):
            left_out = tuple(run_id for run_id in left_out if run_id < last_run_id)
        comparison, why = None, ""
        if with_comparison:
            try:
                comparison = compare_stopped(self.test_set, a, b, course)
            except UsageError as error:
                why = str(error)
        return Standing(
            rule=self.rule,
            test_set=self.test_set,
            examples=a.n,
            decision=course.decision,
            look=course.looks[-1] if course.looks else None,
            pairs=used,
            last_run_id=last_run_id,
            left_out=len(left_out),
            runs=(a.R, b.R),
            beyond=sum(
                int((c.run_ids_R > (-1 if last_run_id is None else last_run_id)).sum()) for c in (a, b)
            ),
            diverged=(len(self._arms[0].diverged), len(self._arms[1].diverged)),
            path=course.path(),
            comparison=comparison,
            no_comparison=why,
        )

    def _pairs(self) -> Pairs:
        a, b = self._arms
        counts_a, counts_b = (arm.counts[self.test_set] for arm in (a, b))
        return pairs_of(counts_a, counts_b, a.failed | b.failed, self.rule.max_runs)


def compare_stopped(test_set: str, a: CorrectnessCounts, b: CorrectnessCounts, course: Course) -> Comparison:
    """Return the comparison of two recipes with the intervals that hold although runs stopped by a rule.

    On the distribution half of alpha goes to the rule's interval, half to the choice of examples: the first
    holds for every test set at every stop, the second does not depend on when runs stop. Assumption of the
    second: examples are independent draws.

    Raises: as `compare_counts`.
    """
    alpha = course.rule.alpha
    fixed = compare_counts(test_set, a, b, 1 - alpha)
    look = course.looks[-1] if course.looks else None
    value = look.difference if look else None
    here = look.interval if look else None
    half = course.interval(alpha / 2)
    reach = -float(ndtri(alpha / 4)) * math.sqrt(example_part(a, b))
    absent = look.absent if look else "no pair is through"
    too_few = (
        f"so few pairs bound the difference of runs at {100 * (1 - alpha):g} %, but not yet at the "
        f"{100 * (1 - alpha / 2):g} % that it takes where the choice of examples may err too"
    )
    interval = f"{course.rule.name}, valid at every look"
    changes = {
        "difference_on_this_test_set": {
            "value": value,
            "interval": here,
            "method": interval,
            "assumption": _PAIRS,
            "absent": "" if here else absent,
        },
        "difference_on_the_distribution": {
            "value": value,
            "interval": half and (half[0] - reach, half[1] + reach),
            "method": f"half of the error to {interval}, half to the examples (normal)",
            "assumption": f"{_PAIRS}; {EXAMPLES}",
            "absent": "" if half else absent or too_few,
        },
    }
    estimates = {
        name: _stopped(estimate, changes.get(name, {})) for name, estimate in fixed.estimates.items()
    }
    return replace(fixed, estimates=estimates, p_values={})


def _stopped(estimate: Estimate, change: Mapping[str, Any]) -> Estimate:
    return replace(estimate, **{"interval": None, "standard_errors": {}, "absent": STOPPED, **change})
