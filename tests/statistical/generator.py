"""Correctness matrices whose distribution-wise variance is known exactly.

A population of examples (70 % always right, 1.5 % always wrong, the rest with a success rate from a Beta law)
with mean accuracy 94.2 % and E p(1-p) = 0.021, so that 10,000 examples show an independent-errors standard
deviation of 0.145 %, as in the paper. A run with effect z is right on an example with probability
p + z * eta * p(1-p): with Var z = 1 the standard deviation over the distribution is eta * E p(1-p).
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from airbench_var.stats import CampaignState, Chunk, CorrectnessCounts

ALWAYS_RIGHT, ALWAYS_WRONG = 0.70, 0.015
ALPHA, BETA = 1.149, 0.204
MEAN_ACCURACY = ALWAYS_RIGHT + (1 - ALWAYS_RIGHT - ALWAYS_WRONG) * ALPHA / (ALPHA + BETA)
MEAN_PQ = (1 - ALWAYS_RIGHT - ALWAYS_WRONG) * ALPHA * BETA / ((ALPHA + BETA) * (ALPHA + BETA + 1))
#: Failing runs: 5 % of them, this many standard deviations of the run effect below the others.
FAIL_SHARE, FAIL_DEPTH = 0.05, 4.4

RunEffects = Literal["normal", "failing", "coin"]


@dataclass(frozen=True, kw_only=True)
class SimulatedTestSet:
    """One drawn test set with its runs, and what is true of it."""

    counts: CorrectnessCounts
    correct_RN: npt.NDArray[np.bool_]
    mean_accuracy: float  #: of infinitely many runs on these examples
    independent_errors_variance: float  #: likewise
    excess_variance: float  #: likewise: mean covariance over pairs of distinct examples
    distribution_wise_variance: float

    @property
    def test_set_variance(self) -> float:
        """Variance of infinitely many runs on these examples."""
        return self.independent_errors_variance + (1 - 1 / self.counts.n) * self.excess_variance


def simulate(
    rng: np.random.Generator,
    *,
    n: int,
    runs: int,
    distribution_wise_std: float,
    effects: RunEffects = "normal",
) -> SimulatedTestSet:
    """Draw n examples, then runs on them; the std is a fraction of 1, for "coin" at most MEAN_PQ."""
    uncertain, right, _ = rng.multinomial(n, [1 - ALWAYS_RIGHT - ALWAYS_WRONG, ALWAYS_RIGHT, ALWAYS_WRONG])
    p_U = rng.beta(ALPHA, BETA, uncertain)  # the certain examples need no draws
    pq_U = p_U * (1 - p_U)
    effect_U = distribution_wise_std / MEAN_PQ * pq_U
    chance_RU = p_U + np.outer(run_effects(rng, runs, effects), effect_U)
    correct_RN = np.zeros((runs, n), dtype=bool)
    correct_RN[:, :uncertain] = rng.random((runs, uncertain), dtype=np.float32) < chance_RU
    correct_RN[:, uncertain : uncertain + right] = True
    return SimulatedTestSet(
        counts=count(correct_RN),
        correct_RN=correct_RN,
        mean_accuracy=(float(p_U.sum()) + int(right)) / n,
        independent_errors_variance=float(pq_U.sum()) / n**2,
        excess_variance=float(effect_U.sum() ** 2 - effect_U @ effect_U) / (n * (n - 1)),
        distribution_wise_variance=distribution_wise_std**2,
    )


def count(correct_RN: npt.NDArray[Any]) -> CorrectnessCounts:
    """Return the state of an unpacked 0/1 or boolean matrix, with run ids 0 ... R-1."""
    packed_RB = np.packbits(np.asarray(correct_RN, dtype=bool), axis=1, bitorder="little")
    return CorrectnessCounts.of(correct_RN.shape[1], "simulated", np.arange(len(correct_RN)), packed_RB)


def state_of(counts: CorrectnessCounts) -> CampaignState:
    """Return the state of a campaign that kept no predictions, all runs in one chunk."""
    empty = CampaignState.empty(counts.test_set_hash, counts.n)
    chunks = {0: Chunk(correct=counts, predicted=None, by_class=None)} if counts.R else {}
    return replace(empty, chunk_runs=max(1, counts.R), chunks=chunks)


def state_with_classes(correct_RN: npt.NDArray[Any], K: int, seed: int = 0) -> CampaignState:
    """Return the state of runs that, where they are wrong, call one of the other K - 1 classes at random."""
    rng = np.random.default_rng(seed)
    runs, n = correct_RN.shape
    labels_N = rng.integers(0, K, n).astype(np.uint8)
    other_RN = (labels_N + rng.integers(1, K, (runs, n))) % K
    predicted_RN = np.where(correct_RN, labels_N, other_RN).astype(np.uint8)
    packed_RB = np.packbits(np.asarray(correct_RN, bool), axis=1, bitorder="little")
    return CampaignState.empty("simulated", n, labels_N, K).update(np.arange(runs), packed_RB, predicted_RN)


def run_effects(rng: np.random.Generator, runs: int, effects: RunEffects) -> npt.NDArray[np.float64]:
    """Return z_R of mean 0 and variance 1; "coin" is +-1, for which no chance ever leaves [0, 1]."""
    if effects == "coin":
        return rng.choice([-1.0, 1.0], runs)
    if effects == "normal":
        return rng.standard_normal(runs)
    between = FAIL_SHARE * (1 - FAIL_SHARE) * FAIL_DEPTH**2
    fails_R = rng.random(runs) < FAIL_SHARE
    level_R = FAIL_DEPTH * np.where(fails_R, FAIL_SHARE - 1, FAIL_SHARE)
    return np.asarray(level_R + np.sqrt(1 - between) * rng.standard_normal(runs))
