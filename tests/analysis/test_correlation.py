"""Correlations over runs: what common images do to them, and the level of intervals and discoveries."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import stdtrit

from airbench_var.analysis.correlation import Correlation, Rows, correlations, discoveries
from airbench_var.stats import CorrectnessCounts


def counts_of(correct_RN: npt.NDArray[np.bool_]) -> CorrectnessCounts:
    packed_RB = np.packbits(correct_RN, axis=1, bitorder="little")
    return CorrectnessCounts.of(correct_RN.shape[1], "t", np.arange(len(correct_RN)), packed_RB)


MEAN, SLIPS, EXAMPLES = 0.7, 0.1, 400


def same_images_twice(seed: int, skill: float, runs: int = 60) -> dict[str, npt.NDArray[np.bool_]]:
    """Return two test sets that show the same images, by runs of this std on the distribution.

    Errors of a run on an image are nearly the same on both, as of a light corruption.
    """
    generator = np.random.default_rng(seed)
    right_RN = generator.random((runs, EXAMPLES)) < generator.normal(MEAN, skill, (runs, 1))
    return {"plain": right_RN, "corrupted": right_RN ^ (generator.random((runs, EXAMPLES)) < SLIPS)}


def of_others(skill: float) -> float:
    """Return the correlation on two such test sets of other images each."""
    corrupted, share = MEAN + SLIPS - 2 * MEAN * SLIPS, 1 - 2 * SLIPS
    variances = [
        of + (mean * (1 - mean) - of) / EXAMPLES
        for mean, of in ((MEAN, skill**2), (corrupted, (share * skill) ** 2))
    ]
    return float(share * skill**2 / np.sqrt(np.prod(variances)))


def both_ways(right: dict[str, npt.NDArray[np.bool_]]) -> tuple[Correlation, Correlation]:
    """Return the correlation of distinct images, and of the test sets as they are."""
    counts = [(name, counts_of(right_RN)) for name, right_RN in right.items()]
    rows: dict[str, Rows] = {name: right_RN.astype(np.uint8) for name, right_RN in right.items()}
    [apart], [whole] = (correlations(counts, level=0.95, same_images=of) for of in (rows, None))
    return apart, whole


def test_distinct_images_hold_their_level_where_test_sets_as_they_are_do_not() -> None:
    """No run is better than another: the test sets go together by their images alone."""
    found = [both_ways(same_images_twice(seed, skill=0.0)) for seed in range(400)]
    rejected = np.array([[one.p_value < 0.05 for one in pair] for pair in found]).sum(axis=0)
    assert 7 <= rejected[0] <= 35  # 20 expected, four standard deviations
    assert rejected[1] > 380


@pytest.mark.parametrize("runs", [20, 200])
def test_distinct_images_tell_of_test_sets_without_a_common_one(runs: int) -> None:
    """Halves of both, which share no image either, are correlated less than test sets of that size are."""
    skill, tries, real = 0.02, 300, of_others(0.02)
    found, halves = [], []
    for seed in range(tries):
        right = same_images_twice(seed, skill, runs)
        found.append(both_ways(right))
        even_R, odd_R = right["plain"][:, ::2].mean(axis=1), right["corrupted"][:, 1::2].mean(axis=1)
        halves.append(np.corrcoef(even_R, odd_R)[0, 1])
    inside = np.array([[one.low <= real <= one.high for one in pair] for pair in found]).sum(axis=0)
    assert inside[0] >= 0.95 * tries - 4 * np.sqrt(tries * 0.95 * 0.05)
    r_T2 = np.array([[one.r for one in pair] for pair in found])
    error = r_T2[:, 0].std() / np.sqrt(tries)
    assert r_T2[:, 0].mean() == pytest.approx(real, abs=4 * error)
    assert np.mean(halves) < real - 5 * error
    if runs == 200:
        assert inside[1] < 0.2 * tries


def test_they_are_the_covariances_of_all_pairs_of_distinct_images_without_each_run() -> None:
    right = {name: rows_RN[:9, :30] for name, rows_RN in same_images_twice(1, 0.1).items()}

    def directly(a_RN: npt.NDArray[np.bool_], b_RN: npt.NDArray[np.bool_]) -> float:
        n = a_RN.shape[1]
        covariance_NN = np.cov(a_RN.T.astype(float), b_RN.T.astype(float))[:n, n:]
        distinct = (covariance_NN.sum() - np.trace(covariance_NN)) / (n * (n - 1))
        return float(distinct / (a_RN.mean(axis=1).std(ddof=1) * b_RN.mean(axis=1).std(ddof=1)))

    a_RN, b_RN = right.values()
    apart, _ = both_ways(right)
    left_out_R = [directly(np.delete(a_RN, run, 0), np.delete(b_RN, run, 0)) for run in range(9)]
    reach = stdtrit(8, 0.975) * np.sqrt(8 * np.var(left_out_R))
    assert apart.r == pytest.approx(9 * directly(a_RN, b_RN) - 8 * np.mean(left_out_R))
    assert apart.low == pytest.approx(max(-1, apart.r - reach))
    assert apart.high == pytest.approx(min(1, apart.r + reach))


def test_intervals_without_common_images_hold_for_all_pairs_together_as_well() -> None:
    generator = np.random.default_rng(0)
    rows: dict[str, Rows] = {
        name: (generator.random((40, 200)) < 0.7).astype(np.uint8) for name in ("a", "b", "c")
    }
    counts = [(name, counts_of(rows_RN.astype(bool))) for name, rows_RN in rows.items()]
    together = correlations(counts, level=0.95, same_images=rows)
    [alone] = correlations(counts[:2], level=0.95, same_images=rows)
    ratio = stdtrit(39, 1 - 0.025 / 3) / stdtrit(39, 0.975)
    assert together[0].high - together[0].r == pytest.approx(ratio * (alone.high - alone.r))
    assert together[0].p_value == alone.p_value


def test_one_run_that_differs_from_all_others_tells_nothing() -> None:
    right_RN = np.tile(np.arange(40) < 20, (6, 1))
    right_RN[0, 25] = True
    apart, _ = both_ways({"a": right_RN, "b": right_RN})
    assert (apart.low, apart.high, apart.p_value) == (-1, 1, 1)


def test_no_correlation_of_few_runs_is_beyond_1() -> None:
    found = [both_ways(same_images_twice(seed, skill=0.3, runs=5))[0] for seed in range(30)]
    assert all(-1 <= one.low <= one.r <= one.high <= 1 for one in found)
    assert any(one.r == 1 for one in found)


def test_intervals_hold_for_all_pairs_together() -> None:
    generator, missed, single = np.random.default_rng(0), 0, 0
    for _ in range(300):
        sets = [(str(place), counts_of(generator.random((40, 200)) < 0.7)) for place in range(5)]
        found = correlations(sets, level=0.95)
        assert len(found) == 10
        missed += any(one.low > 0 or one.high < 0 for one in found)
        single += any(one.p_value < 0.05 for one in found)  # an interval for each pair alone
    assert missed <= 15 + 4 * np.sqrt(300 * 0.05 * 0.95)
    assert single > 75


def test_runs_that_are_better_everywhere_are_found() -> None:
    generator = np.random.default_rng(0)
    skill_R1 = generator.normal(0.7, 0.05, (80, 1))
    sets = [(str(place), counts_of(generator.random((80, 600)) < skill_R1)) for place in range(4)]
    found = correlations(sets, level=0.95)
    assert all(one.low > 0.3 for one in found)
    assert discoveries(found) == 6
    assert discoveries([]) == 0


def test_what_does_not_vary_is_left_out_and_other_runs_are_refused() -> None:
    varying = counts_of(np.random.default_rng(0).random((10, 50)) < 0.5)
    constant = counts_of(np.ones((10, 50), bool))
    assert correlations([("a", varying), ("b", constant)], level=0.95) == []
    other = counts_of(np.random.default_rng(1).random((9, 50)) < 0.5)
    few = [
        (name, counts_of(np.random.default_rng(seed).random((3, 50)) < 0.5)) for seed, name in enumerate("ab")
    ]
    with pytest.raises(ValueError, match="four at least"):
        correlations(few, level=0.95)
    with pytest.raises(ValueError, match="a and c need the same runs"):
        correlations([("a", varying), ("c", other)], level=0.95)


def test_discoveries_allow_for_pairs_that_share_runs() -> None:
    """By Benjamini and Yekutieli four p-values of 0.03 are 0.03 (1 + 1/2 + 1/3 + 1/4) each."""
    found = [Correlation(names=("a", "b"), r=0.3, low=0.1, high=0.5, p_value=0.03, method="t")] * 4
    assert discoveries(found) == 0
    assert discoveries(found, rate=0.063) == 4
