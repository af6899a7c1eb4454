"""Runs of two stores with the same seeds: alike ones are told, independent ones are not."""

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr

from airbench_var import compare, run_many
from airbench_var.analysis.same_seeds import CORRELATED_P, FEWEST, correlated
from airbench_var.seeds import Seeds
from tests.statistical.generator import count

N = 500
LABELS_N = np.zeros(N, np.uint8)


def runs(shared_R: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """Return correctness (R, N) whose accuracies have a part that comes with the seed."""
    luck_R = share * shared_R + (1 - share) * rng.standard_normal(len(shared_R))
    return rng.random((len(shared_R), N)) < (0.8 + 0.05 * luck_R)[:, None]


def seeds(R: int, first: int = 1) -> np.ndarray:
    return np.arange(first, first + 3 * R, dtype=np.uint64).reshape(R, 3)


def test_runs_that_share_their_luck_are_told() -> None:
    rng = np.random.default_rng(0)
    shared_R = rng.standard_normal(40)
    a, b = (count(runs(shared_R, rng, 1.0)) for _ in "ab")
    told = correlated(a, seeds(40), b, seeds(40))
    assert told is not None
    assert told.startswith("40 runs of A have the seeds of runs of B")
    assert "wider than they need be" in told
    assert correlated(a, seeds(40), b, seeds(40, first=1000)) is None, "other seeds"
    assert correlated(a, np.zeros((40, 3), np.uint64), b, np.zeros((40, 3), np.uint64)) is None, "not known"
    last = seeds(40)[40 - FEWEST + 1 :]
    assert correlated(a, np.concatenate([seeds(40 - len(last), first=1000), last]), b, seeds(40)) is None


def test_runs_that_go_against_one_another_are_told() -> None:
    rng = np.random.default_rng(1)
    shared_R = rng.standard_normal(40)
    a, b = count(runs(shared_R, rng, 1.0)), count(runs(-shared_R, rng, 1.0))
    told = str(correlated(a, seeds(40), b, seeds(40)))
    assert "go against one another" in told
    assert "narrower than is right" in told


def test_runs_are_found_by_their_seeds_and_not_by_their_places() -> None:
    rng = np.random.default_rng(2)
    shared_R = rng.standard_normal(40)
    order = rng.permutation(40)
    a, b = count(runs(shared_R, rng, 1.0)), count(runs(shared_R[order], rng, 1.0))
    assert correlated(a, seeds(40), b, seeds(40)[order])
    assert correlated(a, seeds(40), b, seeds(40)) is None


@pytest.mark.parametrize(
    ("pairs", "failing", "share"), [(FEWEST, 0.0, 0.003), (FEWEST, 0.1, 0.003), (50, 0.0, CORRELATED_P)]
)
def test_independent_runs_are_hardly_ever_told(pairs: int, failing: float, share: float) -> None:
    """Whether or not a tenth of the runs fail; the correlation of accuracies tells far too often there."""
    rng, told, told_by_pearson, sets = np.random.default_rng(3), 0, 0, 2_000
    for _ in range(sets):
        chance_2R = np.where(rng.random((2, pairs)) < failing, 0.1, 0.7)
        a, b = (count(rng.random((pairs, 60)) < chance_R[:, None]) for chance_R in chance_2R)
        told += correlated(a, seeds(pairs), b, seeds(pairs)) is not None
        z = np.arctanh(np.corrcoef(a.k_R, b.k_R)[0, 1]) * math.sqrt(pairs - 3)
        told_by_pearson += 2 * ndtr(-abs(z)) < CORRELATED_P
    most = sets * share + 3 * (sets * share) ** 0.5
    assert told <= most
    assert (told_by_pearson > most) == (failing > 0)


def test_runs_without_a_spread_have_no_correlation() -> None:
    same = count(np.ones((20, N), bool))
    assert correlated(same, seeds(20), same, seeds(20)) is None


@pytest.mark.parametrize(
    ("seed_of_b", "recipe_of_b", "is_told"),
    [
        (0, 1, True),
        (1, 1, False),
        pytest.param(0, 0, False, id="the same runs, so that there are no intervals"),
    ],
)
def test_two_stores_of_one_campaign_seed_get_a_note(
    seed_of_b: int, recipe_of_b: int, is_told: bool, tmp_path: Path
) -> None:
    def train_one(seeds: Seeds, recipe: int) -> np.ndarray:
        chance = 0.6 + 0.3 * np.random.default_rng(seeds.init).random()
        return (np.random.default_rng([seeds.order, recipe]).random(N) > chance).astype(np.int64)

    stores = [
        run_many(
            partial(train_one, recipe=recipe),
            runs=30,
            labels=LABELS_N,
            classes=2,
            name=name,
            out=tmp_path / name,
            seed=seed,
            show="quiet",
        )
        for name, seed, recipe in (("a", 0, 0), ("b", seed_of_b, recipe_of_b))
    ]
    [found] = compare(*stores).values()
    assert any("have the seeds of runs of B" in warning for warning in found.warnings) == is_told
