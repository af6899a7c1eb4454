"""Predicted classes of runs whose ensemble is calibrated by construction, or over-confident on purpose."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from airbench_var.stats import CampaignState, PredictionCounts

Float64 = npt.NDArray[np.float64]
Classes = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class SimulatedClasses:
    """A drawn test set: the label of an example is drawn from `chance_NK`, each prediction from `vote_NK`."""

    labels_N: Classes
    chance_NK: Float64
    vote_NK: Float64  #: what infinitely many runs vote; equal to `chance_NK` when the ensemble is calibrated
    predicted_RN: Classes

    @property
    def counts(self) -> PredictionCounts:
        """All runs together."""
        return PredictionCounts.of(self.vote_NK.shape[1], self.labels_N, self.predicted_RN)

    @property
    def state(self) -> CampaignState:
        """The runs as a campaign keeps them."""
        runs, n = self.predicted_RN.shape
        packed_RB = np.packbits(self.predicted_RN == self.labels_N, axis=1, bitorder="little")
        empty = CampaignState.empty("simulated", n, self.labels_N, self.vote_NK.shape[1])
        return empty.update(np.arange(runs), packed_RB, self.predicted_RN)


def simulate_classes(
    rng: np.random.Generator,
    *,
    n: int,
    runs: int,
    K: int = 4,
    temperature: float = 1.0,
    common: float = 0.0,
) -> SimulatedClasses:
    """Draw examples, labels and runs; below a temperature of 1 the ensemble is over-confident.

    With `common` above 0 every run takes the class of one random ranking of all classes with that chance, so
    that runs differ on all examples at once while the mean vote, and with it calibration, stays as it is.
    """
    chance_NK = rng.dirichlet(np.full(K, 0.25), n)
    vote_NK = chance_NK ** (1 / temperature)
    vote_NK /= vote_NK.sum(axis=1, keepdims=True)
    labels_N = _drawn(rng.random((1, n)), chance_NK)[0]
    uniform_RN = rng.random((runs, n))
    if common:  # the same uniform number for a share of the examples of a run
        shared_RN = rng.random((runs, n)) < common
        uniform_RN = np.where(shared_RN, rng.random((runs, 1)), uniform_RN)
    return SimulatedClasses(
        labels_N=labels_N, chance_NK=chance_NK, vote_NK=vote_NK, predicted_RN=_drawn(uniform_RN, vote_NK)
    )


def _drawn(uniform_RN: Float64, chance_NK: Float64) -> Classes:
    edges_NK = np.cumsum(chance_NK, axis=1)[:, :-1]
    return np.sum(uniform_RN[:, :, None] > edges_NK, axis=2).astype(np.uint8)
