"""Intervals of a comparison contain the truth as often as they say; Welch's does not for the distribution.

Both recipes draw on the same examples; a share of the examples is easier for A, another for B. The truth for
the test set is the mean of those differences over its examples, for the distribution their expectation.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from airbench_var.analysis import Comparison, compare_counts
from airbench_var.errors import UsageError
from airbench_var.stats import CorrectnessCounts
from tests.statistical.figures import number, share
from tests.statistical.generator import ALPHA, ALWAYS_RIGHT, ALWAYS_WRONG, BETA, count, run_effects

TRUE_DIFFERENCE = 0.001


@dataclass(frozen=True)
class Drawn:
    comparison: Comparison
    on_this_test_set: float
    beats: float  #: the chance that a run of A beats one of B on this test set, from many more runs


def draw(rng: np.random.Generator, n: int, runs: int, spread: float) -> Drawn:
    """Draw one test set, and runs of both recipes on it; `spread` is the std of the examples' differences."""
    uncertain, right, _ = rng.multinomial(n, [1 - ALWAYS_RIGHT - ALWAYS_WRONG, ALWAYS_RIGHT, ALWAYS_WRONG])
    p_U = 0.2 + 0.6 * rng.beta(ALPHA, BETA, uncertain)  # away from 0 and 1: differences are not cut off
    delta_U = TRUE_DIFFERENCE / (1 - ALWAYS_RIGHT - ALWAYS_WRONG) + spread * rng.standard_normal(uncertain)
    delta_U = np.clip(delta_U, -0.39, 0.39)

    def counts_of(sign: int, many: int) -> CorrectnessCounts:
        chance_RU = np.clip(p_U + sign * delta_U / 2, 0, 1) + 0.005 * np.outer(
            run_effects(rng, many, "normal"), p_U * (1 - p_U)
        )
        correct_RN = np.zeros((many, n), bool)
        correct_RN[:, :uncertain] = rng.random((many, uncertain), dtype=np.float32) < chance_RU
        correct_RN[:, uncertain : uncertain + right] = True
        return count(correct_RN)

    comparison = compare_counts("simulated", counts_of(1, runs), counts_of(-1, runs))
    a_U, b_U = (np.clip(p_U + sign * delta_U / 2, 0, 1) for sign in (1, -1))
    here = float((a_U - b_U).sum()) / n
    # The chance to beat: accuracies of runs are normal to a good approximation at these sizes.
    variance = sum(
        float((q * (1 - q)).sum()) + (0.005 * float((p_U * (1 - p_U)).sum())) ** 2 for q in (a_U, b_U)
    )
    return Drawn(comparison, here, float(_normal_cdf(here * n / np.sqrt(variance))))


def _normal_cdf(x: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(x))


def shares(n: int, runs: int, spread: float, sets: int) -> dict[str, float]:
    rng = np.random.default_rng([6, n, runs, round(1000 * spread)])
    hits = dict.fromkeys(("welch, this test set", "welch, distribution", "two-way, distribution", "beats"), 0)
    for _ in range(sets):
        drawn = draw(rng, n, runs, spread)
        intervals = {name: e.interval or (0.0, 1.0) for name, e in drawn.comparison.estimates.items()}
        here, fresh = intervals["difference_on_this_test_set"], intervals["difference_on_the_distribution"]
        beats = intervals["probability_a_beats_b"]
        hits["welch, this test set"] += here[0] <= drawn.on_this_test_set <= here[1]
        hits["welch, distribution"] += here[0] <= TRUE_DIFFERENCE <= here[1]
        hits["two-way, distribution"] += fresh[0] <= TRUE_DIFFERENCE <= fresh[1]
        hits["beats"] += beats[0] <= drawn.beats <= beats[1]
    return {name: count / sets for name, count in hits.items()}


def require(found: dict[str, float], sets: int) -> None:
    for name in ("welch, this test set", "two-way, distribution", "beats"):
        assert share(f"coverage, {name}", found[name], 0.935, 0.965, sets), (name, found)
    wrong = found["welch, distribution"]
    assert number("coverage, the wrong way: Welch for the distribution", wrong, None, 0.8, sets), found


def test_a_comparison_covers_what_it_names_and_welch_does_not_cover_the_distribution() -> None:
    sets = 400
    require(shares(1000, 60, 0.1, sets), sets)


@pytest.mark.parametrize("runs", [3, 5])
def test_few_runs_are_covered_on_the_distribution_where_the_normal_law_does_not(runs: int) -> None:
    rng, sets, hits, normal = np.random.default_rng([9, runs]), 0, 0, 0
    while sets < 800:
        try:
            fresh = draw(rng, 1000, runs, 0.02).comparison.estimates["difference_on_the_distribution"]
        except UsageError:  # three runs of one accuracy: one set in some 400
            continue
        sets += 1
        assert fresh.interval is not None
        assert fresh.value is not None
        hits += fresh.interval[0] <= TRUE_DIFFERENCE <= fresh.interval[1]
        normal += abs(fresh.value - TRUE_DIFFERENCE) <= 1.96 * fresh.standard_errors["distribution"]
    assert share("coverage, two-way, distribution", hits / sets, 0.935, 0.985, sets)
    assert number("coverage, the wrong way: a normal law for few runs", normal / sets, None, 0.935, sets)


@pytest.mark.statistics
@pytest.mark.parametrize(("n", "runs", "spread"), [(1000, 60, 0.1), (10_000, 100, 0.1), (2000, 300, 0.05)])
def test_coverage_over_a_thousand_sets(n: int, runs: int, spread: float) -> None:
    sets = 1000
    require(shares(n, runs, spread, sets), sets)
