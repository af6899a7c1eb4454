"""Looking after every pair keeps its error, stops early, and a t test at every pair does neither.

Runs have the std of the paper's 64 epochs, 0.149 % on 10,000 examples, and the difference to be detected is
0.02 %: 874 runs of each recipe with one look, at a power of 80 %. Monitored by the formulas of
`analysis.sequential`, over all paths at once; `test_paths_at_once_are_courses` ties them to `Course`.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats

from airbench_var.analysis import LiveStatistics, compare_counts
from airbench_var.analysis.obrien_fleming import OBrienFleming, max_runs_for
from airbench_var.analysis.sequential import SCALE_FREE_G, Course, PairSums, TMixture, g_for, log_e
from airbench_var.analysis.standing import Referee, Standing
from tests.statistical.figures import number, share
from tests.statistical.generator import count, state_of

N = 10_000
STD, DETECT, ALPHA = 0.00149, 0.0002, 0.05
FIXED = 874
TUNED = g_for(DETECT, STD)
PATHS_AT_A_TIME = 200


@dataclass(frozen=True)
class Paths:
    """Sums over the first t pairs of many comparisons, in right answers: arrays (paths, looks)."""

    total_PT: np.ndarray
    scatter_PT: np.ndarray

    @property
    def pairs_T(self) -> np.ndarray:
        return np.arange(1.0, self.total_PT.shape[1] + 1)

    def t_PT(self) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.total_PT * np.sqrt((self.pairs_T - 1) / self.scatter_PT))

    def log_e_PT(self, g: tuple[float, ...]) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            value_PT = log_e(self.pairs_T, self.total_PT**2 / self.scatter_PT, g)
        return np.where(self.scatter_PT > 0, value_PT, 0.0)


def drawn(
    rng: np.random.Generator, paths: int, looks: int, difference: float, skewed: bool = False
) -> np.ndarray:
    """Return differences of right answers, int64 (paths, looks); skewed: 5 % of the runs fail by 4.4 std."""

    def arm() -> np.ndarray:
        z_PT = rng.standard_normal((paths, looks))
        if skewed:
            fails_PT = rng.random((paths, looks)) < 0.05
            z_PT = math.sqrt(1 - 0.0475 * 4.4**2) * z_PT + 4.4 * (0.05 - fails_PT)
        return N * STD * z_PT

    return np.rint(arm() - arm() + N * difference).astype(np.int64)


def paths_of(difference_PT: np.ndarray) -> Paths:
    total_PT, squares_PT = difference_PT.cumsum(axis=1), (difference_PT**2).cumsum(axis=1)
    return Paths(total_PT, np.arange(1, difference_PT.shape[1] + 1) * squares_PT - total_PT**2)


def stops(hit_PT: np.ndarray) -> np.ndarray:
    """Return the first look at which a path is stopped, or one beyond the last."""
    return np.where(hit_PT.any(axis=1), hit_PT.argmax(axis=1) + 1, hit_PT.shape[1] + 1)


def monitored(
    paths: int, looks: int, difference: float, *, seed: int, skewed: bool = False
) -> dict[str, np.ndarray]:
    """Return the pair at which each rule stops each path: by name, int64 (paths,)."""
    rng, found = np.random.default_rng([seed, looks]), []
    for start in range(0, paths, PATHS_AT_A_TIME):
        p = paths_of(drawn(rng, min(PATHS_AT_A_TIME, paths - start), looks, difference, skewed))
        t_PT = np.abs(p.t_PT())
        critical_T = stats.t.isf(ALPHA / 2, np.maximum(p.pairs_T - 1, 1))
        found.append(
            {
                "tuned": stops(p.log_e_PT(TUNED) >= -math.log(ALPHA)),
                "scale-free": stops(p.log_e_PT(SCALE_FREE_G) >= -math.log(ALPHA)),
                "t test at every pair": stops((t_PT >= critical_T) & (p.pairs_T >= 10)),
            }
        )
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def planned(paths: int, difference: float, *, seed: int, left_out: int = 0) -> np.ndarray:
    """Return the pair at which O'Brien and Fleming's five looks stop each path, or one beyond the last."""
    rule = OBrienFleming(margin=DETECT, max_runs=max_runs_for(DETECT, STD, 5), looks=5)
    schedule = [*rule.schedule[:-1], rule.max_runs - left_out]
    difference_PT = drawn(np.random.default_rng([seed, 5]), paths, schedule[-1], difference)
    t_PT, hit_PT = np.abs(paths_of(difference_PT).t_PT()), np.zeros((paths, schedule[-1]), bool)
    for pairs in schedule:
        any_sums = PairSums(pairs=pairs, total=0, squares=1)  # the boundary depends on the pairs alone
        threshold = rule.look(any_sums, N, last=pairs == schedule[-1]).threshold
        hit_PT[:, pairs - 1] = t_PT[:, pairs - 1] >= threshold
    return stops(hit_PT)


def require_error(paths: int, looks: int, seed: int) -> None:
    at = monitored(paths, looks, 0.0, seed=seed)
    stopped = {name: float((at[name] <= looks).mean()) for name in at}
    for name in ("tuned", "scale-free"):
        assert share(f"type-I error over {looks:,} looks, {name}", stopped[name], 0.0, 0.055, paths), stopped
    wrong = stopped["t test at every pair"]
    assert number(f"type-I error over {looks:,} looks, t test at every pair", wrong, 0.4, None, paths)


def require_early_stops(paths: int, looks: int, seed: int) -> None:
    for factor, most in ((1, 1.2), (2, 0.4)):
        at = monitored(paths, looks, factor * DETECT, seed=seed)
        tuned, free = at["tuned"].mean() / FIXED, at["scale-free"].mean() / at["tuned"].mean()
        assert number(f"mean stop at {factor} d, over the fixed number", tuned, None, most, paths)
        assert number(f"the same without a std, over that with one, at {factor} d", free, None, 1.3, paths)
        assert all((at[name] <= looks).mean() > 0.98 for name in ("tuned", "scale-free"))


def require_planned_looks(paths: int, seed: int) -> None:
    last = max_runs_for(DETECT, STD, 5)
    for left_out in (0, 60):
        error = (planned(paths, 0.0, seed=seed, left_out=left_out) <= last - left_out).mean()
        what = f"type-I error, O'Brien-Fleming, {left_out} pairs left out"
        assert share(what, error, 0.0, 0.055, paths)
    at = planned(paths, DETECT, seed=seed)
    assert share("power, O'Brien-Fleming", (at <= last).mean(), 0.8, 0.8, paths)
    mean = np.minimum(at, last).mean() / FIXED
    assert number("mean stop, O'Brien-Fleming, over the fixed number", mean, None, 1.2, paths)


def test_paths_at_once_are_courses() -> None:
    difference_PT = drawn(np.random.default_rng(1), 5, 300, DETECT)
    paths = paths_of(difference_PT)
    for g in (TUNED, SCALE_FREE_G):
        log_e_PT = paths.log_e_PT(g)
        for p, difference_T in enumerate(difference_PT):
            course = Course(TMixture(margin=1e-9, max_runs=300, g=g), N)
            course.extend(difference_T.tolist())
            values = [look.statistic for look in course.looks[1:]]
            assert values == pytest.approx(log_e_PT[p, 1 : len(course.looks)], abs=1e-12)


def test_the_error_of_looking_after_every_pair() -> None:
    require_error(paths=400, looks=1000, seed=0)


def test_a_difference_is_found_soon() -> None:
    require_early_stops(paths=200, looks=3500, seed=1)


def test_planned_looks_keep_error_and_power() -> None:
    require_planned_looks(paths=600, seed=2)


@pytest.mark.statistics
def test_the_error_over_four_thousand_looks() -> None:
    require_error(paths=2000, looks=4000, seed=3)


@pytest.mark.statistics
def test_early_stops_over_two_thousand_paths() -> None:
    require_early_stops(paths=2000, looks=4000, seed=4)


@pytest.mark.statistics
def test_planned_looks_over_twenty_thousand_paths() -> None:
    require_planned_looks(paths=20_000, seed=5)


@pytest.mark.statistics
def test_runs_that_fail_do_not_raise_the_error() -> None:
    paths, looks = 2000, 4000
    stopped = monitored(paths, looks, 0.0, seed=6, skewed=True)
    for name in ("tuned", "scale-free"):
        error = (stopped[name] <= looks).mean()
        assert number(f"type-I error, 5 % of runs fail, {name}", error, None, 0.055, paths)


def standing(rule: TMixture, a_RN: np.ndarray, b_RN: np.ndarray) -> Standing:
    a, b = (LiveStatistics({"x": state_of(count(correct_RN))}) for correct_RN in (a_RN, b_RN))
    return Referee(rule, "x", a, b).standing()


def coverage_after_a_stop(sets: int, seed: int) -> dict[str, float]:
    """Return how often the intervals after a stop contain their truths; examples differ in what favours them.

    On fresh examples A and B are equal; on a test set of 300 they are not.
    """
    rng, n, runs, hits = np.random.default_rng(seed), 300, 80, {"this": 0, "fresh": 0, "Welch, fresh": 0}
    for _ in range(sets):
        p_N, delta_N = rng.uniform(0.35, 0.65, n), rng.uniform(-0.3, 0.3, n)
        a, b = (rng.random((runs, n)) < p_N + sign * delta_N / 2 for sign in (1, -1))
        rule = TMixture(margin=1e-6, max_runs=runs, g=(0.1,))
        stop = max(2, standing(rule, a, b).pairs)
        a, b = a[:stop], b[:stop]
        comparison = standing(replace(rule, max_runs=stop), a, b).comparison
        assert comparison is not None
        this, fresh = (
            comparison.estimates[f"difference_on_{name}"].interval or (-1.0, 1.0)
            for name in ("this_test_set", "the_distribution")
        )
        welch = compare_counts("x", count(a), count(b)).estimates["difference_on_this_test_set"].interval or (
            0.0,
            0.0,
        )
        hits["this"] += this[0] <= delta_N.mean() <= this[1]
        hits["fresh"] += fresh[0] <= 0 <= fresh[1]
        hits["Welch, fresh"] += welch[0] <= 0 <= welch[1]
    return {name: number / sets for name, number in hits.items()}


def require_coverage(sets: int, seed: int) -> None:
    found = coverage_after_a_stop(sets, seed)
    for name in ("this", "fresh"):
        assert share(f"coverage after a stop, {name}", found[name], 0.95, 1.0, sets), found
    wrong = found["Welch, fresh"]
    assert number("coverage after a stop, the wrong way: Welch", wrong, None, 0.8, sets)


def test_intervals_after_a_stop_contain_what_they_name() -> None:
    require_coverage(sets=150, seed=7)


@pytest.mark.statistics
def test_intervals_after_two_thousand_stops() -> None:
    require_coverage(sets=2000, seed=8)
