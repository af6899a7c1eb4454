"""On calibrated ensembles nothing is found, from two runs on; sorting by all votes finds an error."""

import numpy as np
import pytest

from airbench_var.analysis import agreement, calibration, theorems
from airbench_var.stats import CampaignState, PredictionCounts
from tests.statistical.classes import SimulatedClasses, simulate_classes
from tests.statistical.figures import number, share
from tests.statistical.test_unbiasedness import z_score

LEVEL = 0.95


def parts(state: CampaignState) -> tuple[PredictionCounts, list[PredictionCounts]]:
    assert state.predicted is not None
    return state.predicted, [c.predicted for c in state.chunks.values() if c.predicted is not None]


def naive_error(counts: PredictionCounts) -> float:
    """The wrong way: sort by the votes of all runs, and compare the label with that share."""
    R, n = counts.R, len(counts.labels_N)
    share_NK = counts.votes_NK / R
    label_NK = counts.labels_N[:, None] == np.arange(counts.K)
    bin_NK = np.minimum(14, 15 * counts.votes_NK // R)
    return float(sum(abs((label_NK - share_NK)[bin_NK == b].sum()) for b in range(15)) / n)


@pytest.mark.parametrize("runs", [2, 3, 5, 20])
def test_gaps_have_mean_0_under_calibration_from_two_runs_on(runs: int) -> None:
    rng = np.random.default_rng([1, runs])
    gaps = [calibration.calibration_gaps(simulate_classes(rng, n=50, runs=runs).counts) for _ in range(3000)]
    z_B = [z_score(list(gap), 0.0) for gap in np.array(gaps).T if np.ptp(gap)]
    assert number("largest |z| of 15 gaps", max(map(abs, z_B)), None, 3, 3000)


def test_sorting_by_all_votes_finds_an_error_where_there_is_none() -> None:
    drawn = simulate_classes(np.random.default_rng(2), n=20_000, runs=5)
    ours = float(np.abs(calibration.calibration_gaps(drawn.counts)).sum())
    assert ours < 0.02
    assert naive_error(drawn.counts) > 5 * ours
    over_confident = simulate_classes(np.random.default_rng(3), n=20_000, runs=5, temperature=0.5)
    assert float(np.abs(calibration.calibration_gaps(over_confident.counts)).sum()) > 5 * ours


def pool_p_value(drawn: SimulatedClasses) -> float:
    p_value = calibration.calibration(drawn.counts, drawn.predicted_RN).p_value
    assert p_value is not None
    return p_value


def rejections(sets: int, n: int, runs: int, temperature: float = 1.0, common: float = 0.0) -> float:
    rng = np.random.default_rng([4, n, runs])
    drawn = (
        simulate_classes(rng, n=n, runs=runs, temperature=temperature, common=common) for _ in range(sets)
    )
    return float(np.mean([pool_p_value(one) <= 1 - LEVEL for one in drawn]))


@pytest.mark.parametrize(("n", "runs"), [(200, 39), (300, 59)])
def test_the_pool_test_holds_its_level_and_has_power(n: int, runs: int) -> None:
    assert share("type-I error", rejections(400, n, runs), 0.035, 0.06, 400)
    assert rejections(60, n, runs, temperature=0.6) > 0.8


def test_runs_that_move_as_a_whole_make_the_pool_test_timid() -> None:
    """The labels do not move so: runs in their place fit the others worse, and the true labels never do."""
    assert rejections(200, 300, 59, common=0.2) < 0.02


@pytest.mark.statistics
@pytest.mark.parametrize(("n", "runs"), [(200, 39), (300, 59), (3000, 59)])
def test_the_pool_test_over_many_sets(n: int, runs: int) -> None:
    sets = 4000 if n < 1000 else 1000
    assert share("type-I error", rejections(sets, n, runs), 0.035, 0.06, sets)


def gap_rejections(sets: int, n: int, runs: int, common: float) -> float:
    rng = np.random.default_rng([5, n, runs])
    rejected = 0
    for _ in range(sets):
        state = simulate_classes(rng, n=n, runs=runs, common=common).state
        interval = agreement.disagreement_gap(*parts(state), LEVEL).interval
        assert interval is not None
        rejected += not interval[0] <= 0 <= interval[1]
    return rejected / sets


@pytest.mark.parametrize(("runs", "common"), [(10, 0.0), (40, 0.0), (40, 0.2)])
def test_disagreement_equals_error_under_calibration(runs: int, common: float) -> None:
    """With few runs the noise of the runs is counted twice, so that the level is not used up."""
    assert share(
        "type-I error", gap_rejections(300, 300, runs, common), 0.005 if runs < 40 else 0.025, 0.06, 300
    )


@pytest.mark.statistics
@pytest.mark.parametrize(("runs", "common"), [(5, 0.0), (50, 0.0), (50, 0.2), (500, 0.0)])
def test_disagreement_equals_error_over_four_thousand_sets(runs: int, common: float) -> None:
    assert share(
        "type-I error", gap_rejections(4000, 400, runs, common), 0.0 if runs < 50 else 0.03, 0.06, 4000
    )


@pytest.mark.parametrize("runs", [3, 4, 8])
def test_disagreement_and_the_variance_without_labels_are_unbiased_and_plug_ins_are_not(runs: int) -> None:
    rng = np.random.default_rng([6, runs])
    sets = [simulate_classes(rng, n=20, runs=runs) for _ in range(5000)]
    off = [agreement.disagreements(one.counts).mean() - (1 - (one.vote_NK**2).sum(1)).mean() for one in sets]
    assert number("|z|, disagreement", abs(z_score(off, 0.0)), None, 2.5, 5000)
    true = [float((one.vote_NK**2 * (1 - one.vote_NK)).sum()) / 20**2 for one in sets]
    off = [agreement.label_free_variance(one.counts) - t for one, t in zip(sets, true, strict=True)]
    assert number("|z|, variance without labels", abs(z_score(off, 0.0)), None, 2.5, 5000)
    shares = [one.counts.votes_NK / runs for one in sets]
    plug_in = [float((q**2 * (1 - q)).sum()) / 20**2 - t for q, t in zip(shares, true, strict=True)]
    assert number("|z|, plug-in", abs(z_score(plug_in, 0.0)), 3, None, 5000)
    off = [
        (1 - (q**2).sum(1)).mean() - (1 - (one.vote_NK**2).sum(1)).mean()
        for q, one in zip(shares, sets, strict=True)
    ]
    assert number("|z|, plug-in disagreement", abs(z_score(off, 0.0)), 3, None, 5000)


def coverages(sets: int, runs: int, n: int) -> dict[str, float]:
    """Return how often the intervals of the jackknife contain what infinitely many runs would give."""
    rng = np.random.default_rng([7, runs, n])
    hits = dict.fromkeys(("disagreement", "label_free_variance", "theorem_3_ratio"), 0)
    for _ in range(sets):
        drawn = simulate_classes(rng, n=n, runs=runs)
        counts, chunks = parts(drawn.state)
        q_NK = drawn.vote_NK
        truths = {
            "disagreement": 1 - float((q_NK**2).sum(1).mean()),
            "label_free_variance": float((q_NK**2 * (1 - q_NK)).sum()) / n**2,
            "theorem_3_ratio": _true_ratio(drawn),
        }
        estimates = {
            "disagreement": agreement.disagreement(counts, chunks, LEVEL),
            "label_free_variance": agreement.predicted_without_labels(counts, chunks, LEVEL),
            "theorem_3_ratio": theorems.theorem_3_ratio(counts, chunks, LEVEL),
        }
        for name, estimate in estimates.items():
            assert estimate is not None
            assert estimate.interval is not None
            hits[name] += estimate.interval[0] <= truths[name] <= estimate.interval[1]
    return {name: hit / sets for name, hit in hits.items()}


def _true_ratio(drawn: SimulatedClasses) -> float:
    """Mean variance over mean err / 2n of infinitely many independent runs on this test set."""
    found = theorems.collapses(drawn.counts)
    assert found is not None
    n, labels_N = len(drawn.labels_N), drawn.labels_N
    right_NT = np.array(
        [(drawn.vote_NK * (sides == sides[labels_N][:, None])).sum(1) for sides in found.positive_TK]
    ).T
    variance = (right_NT * (1 - right_NT)).sum(axis=0) / n**2
    return float(variance.mean() / ((1 - right_NT).mean(axis=0) / (2 * n)).mean())


@pytest.mark.parametrize("runs", [10, 40])
def test_intervals_over_chunks_cover(runs: int) -> None:
    for name, value in coverages(300, runs, 150).items():
        assert share(f"coverage, {name}", value, 0.925, 0.98, 300), f"{name}: {value}"


@pytest.mark.statistics
@pytest.mark.parametrize(("runs", "n"), [(10, 300), (60, 300), (600, 300)])
def test_intervals_over_chunks_cover_in_many_sets(runs: int, n: int) -> None:
    for name, value in coverages(2000, runs, n).items():
        assert share(f"coverage, {name}", value, 0.93, 0.975, 2000), f"{name}: {value}"


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_interval_of_the_calibration_error_covers_with_more_than_its_level(temperature: float) -> None:
    rng, runs = np.random.default_rng(8), 20
    large = [simulate_classes(rng, n=20_000, runs=runs, temperature=temperature).counts for _ in range(20)]
    truth = float(np.abs(np.mean([calibration.calibration_gaps(counts) for counts in large], axis=0)).sum())
    hits = 0
    for _ in range(150):
        state = simulate_classes(rng, n=400, runs=runs, temperature=temperature).state
        found = calibration.reliability(*parts(state))
        interval = calibration.calibration_error(found, *parts(state), LEVEL).interval
        assert interval is not None
        hits += interval[0] <= truth <= interval[1]
    assert number("coverage", hits / 150, 0.95, None, 150)
