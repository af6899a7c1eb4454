"""From the counts of one test set to its named estimates."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from airbench_var.analysis import (
    agreement,
    calibration,
    drift,
    duplicates,
    halves,
    independence,
    intervals,
    theorems,
    variance,
)
from airbench_var.analysis.by_class import OneClass, by_class
from airbench_var.analysis.calibration import Reliability
from airbench_var.analysis.estimate import EXAMPLES, NO_SCALE, RUNS, Estimate, Interval, Target, too_few
from airbench_var.analysis.independence import HypothesisTest
from airbench_var.analysis.theorems import Collapses
from airbench_var.stats import CampaignState, CorrectnessCounts, PredictionCounts

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class TestSetSummary:
    """What a campaign says about one test set: the estimates by name, and what to be wary of."""

    __test__ = False  # pytest would take the name for a test class

    name: str
    examples: int
    classes: int | None  #: None where the store keeps no predicted classes
    runs: int
    diverged: int  #: of these runs; they are part of the recipe and of every estimate
    estimates: Mapping[str, Estimate]
    #: These are left out while a campaign runs; the last two also where there are no predicted classes.
    tests: Mapping[str, HypothesisTest] = field(default_factory=dict)
    within_chunk_variance: float | None = None  #: Eq 3 without a drift between chunks of runs, to compare
    reliability: Reliability | None = None
    collapses: Collapses | None = None
    by_class: tuple[OneClass, ...] = ()  #: of more than 256 classes none
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON values (see the `to_json` of the parts); None for what is not there."""
        return {
            "examples": self.examples,
            "classes": self.classes,
            "runs": self.runs,
            "diverged": self.diverged,
            "warnings": list(self.warnings),
            "estimates": {name: estimate.to_json() for name, estimate in self.estimates.items()},
            "tests": {name: test.to_json() for name, test in self.tests.items()},
            "within_chunk_variance": self.within_chunk_variance,
            "reliability": self.reliability and self.reliability.to_json(),
            "collapses": self.collapses and self.collapses.to_json(),
            "by_class": [one.to_json() for one in self.by_class],
        }


def summarize(
    name: str,
    state: CampaignState,
    *,
    diverged: frozenset[int] = frozenset(),
    level: float = LEVEL,
    thorough: bool = True,
) -> TestSetSummary:
    """Return every estimate of one test set; what R or n is too small for is absent, with the reason.

    `<x>_variance` is followed by `<x>_std`, its square root. `diverged` holds the ids of diverged runs.
    Without `thorough`, what takes more than a few milliseconds is left out: the tests, and all that comes
    from predicted classes.
    """
    counts, predicted = state.correct, state.predicted
    estimates = [kind.estimate(counts, level) for kind in _KINDS]
    estimates += [of(counts, level) for of in _HALVES]
    tests: list[HypothesisTest] = []
    within_chunks = reliability = collapses = None
    classes: tuple[OneClass, ...] = ()
    if thorough:
        tests = [independence.variance_ratio(counts), independence.goodness_of_fit(counts)]
        if predicted is not None:
            reliability = calibration.reliability(predicted, _parts(state))
            collapses = theorems.collapses(predicted)
            tests.append(calibration.calibration(predicted, state.witness_WN))
        if state.by_class is not None:
            classes = by_class(state.by_class, predicted, level)
        estimates += _from_predictions(state, reliability, level)
        tests.append(drift.drift(counts))
        within_chunks = drift.within_chunk_variance(chunk.correct for chunk in state.chunks.values())
    return TestSetSummary(
        name=name,
        examples=counts.n,
        classes=None if predicted is None else predicted.K,
        runs=counts.R,
        diverged=len(diverged),
        estimates={estimate.name: estimate for estimate in _with_roots(estimates)},
        tests={test.name: test for test in tests},
        within_chunk_variance=within_chunks,
        reliability=reliability,
        collapses=collapses,
        by_class=classes,
        warnings=(*_warnings(counts, diverged), *_guessing(estimates, predicted)),
    )


def _with_roots(estimates: Iterable[Estimate]) -> Iterator[Estimate]:
    for estimate in estimates:
        yield estimate
        if estimate.name.endswith("_variance"):
            yield estimate.standard_deviation(estimate.name.replace("_variance", "_std"))


def _parts(state: CampaignState) -> list[PredictionCounts]:
    return [chunk.predicted for chunk in state.chunks.values() if chunk.predicted is not None]


def _from_predictions(
    state: CampaignState, reliability: Reliability | None, level: float
) -> Iterator[Estimate]:
    """Yield what needs predicted classes; where the store has none, each is absent with that reason."""
    counts, chunks = state.predicted, _parts(state)
    if counts is None:
        for name, target in _NEED_PREDICTIONS.items():
            yield Estimate(
                name=name,
                target=target,
                value=None,
                interval=None,
                level=level,
                absent="the store keeps no predicted classes, only which were right",
                method="none",
                assumption="none",
                runs=state.correct.R,
                examples=state.correct.n,
            )
        return
    yield agreement.disagreement(counts, chunks, level)
    yield agreement.disagreement_gap(counts, chunks, level)
    yield agreement.ensemble_accuracy(counts, level)
    yield calibration.calibration_error(reliability, counts, chunks, level)
    yield agreement.predicted_without_labels(counts, chunks, level)
    if (ratio := theorems.theorem_3_ratio(counts, chunks, level)) is not None:
        yield ratio
    yield theorems.theorem_4_ratio(state.correct, counts.K, level)


_NEED_PREDICTIONS: Mapping[str, Target] = {
    "disagreement": "this test set",
    "disagreement_gap": "the distribution",
    "ensemble_accuracy": "the distribution",
    "calibration_error": "the distribution",
    "label_free_variance": "this test set",
    "theorem_4_ratio": "this test set",
}

_HALVES = (
    halves.split_half_correlation,
    halves.split_half_correlation_over_splits,
    halves.lucky_quarter_gain,
    halves.lucky_quarter_gain_over_splits,
)


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """How one estimate is named, computed, and what it rests on."""

    name: str
    target: Target
    value: Callable[[CorrectnessCounts], Fraction]
    interval: Callable[[CorrectnessCounts, float], Interval]
    interval_of_examples: Callable[[CorrectnessCounts, float], Interval] | None = None
    standard_errors: Callable[[CorrectnessCounts], dict[str, float]] = lambda _: {}
    method: str
    assumption: str
    runs_needed: int = 2
    examples_needed: int = 1

    def estimate(self, counts: CorrectnessCounts, level: float) -> Estimate:
        has_value = self.runs_needed <= counts.R and self.examples_needed <= counts.n
        absent = _why_no_interval(counts)
        interval = None if absent else self.interval(counts, level)
        if interval and self.name.endswith("_variance"):
            interval = intervals.below_the_largest(interval, float(self.value(counts)))
        return Estimate(
            name=self.name,
            target=self.target,
            value=float(self.value(counts)) if has_value else None,
            interval=interval,
            interval_of_examples=None
            if absent or not self.interval_of_examples
            else self.interval_of_examples(counts, level),
            level=level,
            absent=absent,
            standard_errors={} if absent else self.standard_errors(counts),
            method=self.method,
            assumption=self.assumption,
            runs=counts.R,
            examples=counts.n,
            warnings=_under_dispersed(counts) if interval and interval[1] < 0 else (),
        )


def _why_no_interval(counts: CorrectnessCounts) -> str:
    if absent := too_few("run", counts.R, 2) or too_few("example", counts.n, 2):
        return absent
    return NO_SCALE if variance.test_set_variance(counts) == 0 else ""


def _under_dispersed(counts: CorrectnessCounts) -> tuple[str]:
    p_value = independence.under_dispersion_p_value(counts)
    return (f"under-dispersed: runs differ less than independent errors would make them, p = {p_value:.2g}",)


def _warnings(counts: CorrectnessCounts, diverged: frozenset[int]) -> Iterator[str]:
    if diverged:
        yield f"{len(diverged)} of {counts.R} runs diverged; diverged runs are part of every estimate"
    if equal := duplicates.within(counts, diverged):
        yield equal


def _guessing(estimates: Iterable[Estimate], predicted: PredictionCounts | None) -> Iterator[str]:
    """Yield that runs may do no better than guessing: labels of other examples look like that, too."""
    [mean] = [one for one in estimates if one.name == "distribution_wise_accuracy"]
    if predicted is None or mean.interval is None:
        return
    classes = len(np.unique(predicted.labels_N))
    low, high = mean.interval
    if low <= 1 / classes < 1:
        may_be = "is below that" if high < 1 / classes else "may be that"
        yield (
            f"on fresh examples the mean accuracy {may_be} of guessing among {classes} classes "
            f"({100 / classes:.3g} %); of runs that have learned, that means labels of other examples, in "
            "another order, or counted from another number"
        )


def _accuracy_errors(counts: CorrectnessCounts) -> dict[str, float]:
    of_test_set, of_distribution = intervals.accuracy_standard_errors(counts)
    return {"test_set": of_test_set, "distribution": of_distribution}


_KINDS = (
    _Kind(
        name="mean_accuracy",
        target="this test set",
        value=variance.mean_accuracy,
        interval=intervals.accuracy_interval,
        standard_errors=_accuracy_errors,
        method="Student's t over runs",
        assumption=RUNS,
        runs_needed=1,
    ),
    _Kind(
        name="distribution_wise_accuracy",
        target="the distribution",
        value=variance.mean_accuracy,
        interval=intervals.distribution_wise_accuracy_interval,
        interval_of_examples=intervals.accuracy_interval_of_examples,
        standard_errors=lambda counts: {"distribution": intervals.accuracy_standard_errors(counts)[1]},
        method="Student's t over runs and examples, Satterthwaite's degrees of freedom",
        assumption=f"{RUNS}; {EXAMPLES}",
        runs_needed=1,
    ),
    _Kind(
        name="test_set_variance",
        target="this test set",
        value=variance.test_set_variance,
        interval=intervals.test_set_variance_interval,
        method="chi-square over runs, degrees of freedom adjusted to their kurtosis",
        assumption=RUNS,
    ),
    _Kind(
        name="independent_errors_variance",
        target="this test set",
        value=variance.independent_errors_variance,
        interval=intervals.independent_errors_interval,
        method="Student's t over runs, on the influence of each",
        assumption=f"{RUNS}; one common effect moves all examples of a run",
    ),
    _Kind(
        name="binomial_variance",
        target="this test set",
        value=variance.binomial_variance,
        interval=intervals.binomial_interval,
        method="image of the interval of mean_accuracy",
        assumption=f"{RUNS}; that examples are equally hard is the claim, not assumed",
        runs_needed=1,
    ),
    _Kind(
        name="excess_variance",
        target="this test set",
        value=variance.distribution_wise_variance,
        interval=intervals.excess_variance_interval,
        method="interval of test_set_variance less independent_errors_variance, times n / (n - 1)",
        assumption=RUNS,
        examples_needed=2,
    ),
    _Kind(
        name="distribution_wise_variance",
        target="the distribution",
        value=variance.distribution_wise_variance,
        interval=intervals.distribution_wise_variance_interval,
        interval_of_examples=intervals.variance_interval_of_examples,
        method="chi-square over runs and normal over examples, combined by MOVER",
        assumption=f"{RUNS}; {EXAMPLES}",
        examples_needed=2,
    ),
)
