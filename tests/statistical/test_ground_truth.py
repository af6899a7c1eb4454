"""Eq 3 against the truth: trained networks, a distribution with a sampler, and millions of fresh examples.

For given networks h_1 ... h_R the mean of Eq 3 over test sets is the sample variance of their accuracies on
the distribution. Two independent streams of fresh examples measure that variance without bias (the covariance
over networks of the two accuracies), and a third, cut into small test sets, gives as many estimates.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from airbench_var.analysis import variance
from tests.statistical.generator import count
from tests.statistical.test_unbiasedness import plug_in, z_score

CLASSES, PIXELS, HIDDEN, TRAINING_EXAMPLES = 3, 6, 12, 90
CENTRES_KP = np.random.default_rng(100).normal(0, 0.9, (CLASSES, PIXELS))


def fresh(rng: np.random.Generator, n: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Draw n examples of the distribution: three overlapping clouds."""
    labels_N = rng.integers(0, CLASSES, n)
    noise_NP = rng.standard_normal((n, PIXELS), dtype=np.float32)
    return (CENTRES_KP[labels_N] + noise_NP).astype(np.float32), labels_N


@dataclass(frozen=True)
class Network:
    """One hidden layer drawn by the seed, and a last layer fitted to the same training set by ridge."""

    hidden_PH: npt.NDArray[np.float32]
    bias_H: npt.NDArray[np.float32]
    last_HK: npt.NDArray[np.float32]

    @classmethod
    def train(cls, seed: int) -> "Network":
        rng = np.random.default_rng([200, seed])
        untrained = cls(
            rng.standard_normal((PIXELS, HIDDEN), dtype=np.float32),
            rng.standard_normal(HIDDEN, dtype=np.float32),
            np.zeros((HIDDEN, CLASSES), np.float32),
        )
        x_NP, labels_N = fresh(np.random.default_rng(300), TRAINING_EXAMPLES)
        h_NH = untrained.features(x_NP)
        penalty_HH = np.eye(HIDDEN, dtype=np.float32)
        last_HK = np.linalg.solve(
            h_NH.T @ h_NH + penalty_HH, h_NH.T @ np.eye(CLASSES, dtype=np.float32)[labels_N]
        )
        return cls(untrained.hidden_PH, untrained.bias_H, last_HK)

    def features(self, x_NP: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.maximum(0, x_NP @ self.hidden_PH + self.bias_H)

    def correct(
        self, x_NP: npt.NDArray[np.float32], labels_N: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        return np.asarray((self.features(x_NP) @ self.last_HK).argmax(1) == labels_N)


def accuracies(networks: list[Network], seed: int, examples: int) -> npt.NDArray[np.float64]:
    rng, right_R = np.random.default_rng([400, seed]), np.zeros(len(networks))
    for _ in range(examples // 100_000):
        x_NP, labels_N = fresh(rng, 100_000)
        right_R += [network.correct(x_NP, labels_N).sum() for network in networks]
    return right_R / examples


def z_scores(runs: int, n: int, sets: int, stream: int) -> tuple[float, float, float]:
    """Return how far the means of Eq 3, its plug-in form and the test-set variance are from the truth."""
    networks = [Network.train(seed) for seed in range(runs)]
    first, second = (accuracies(networks, seed, stream) for seed in (1, 2))
    truth = float(np.cov(first, second)[0, 1])
    rng = np.random.default_rng([500, runs, n])
    states = []
    for _ in range(sets):
        x_NP, labels_N = fresh(rng, n)
        states.append(count(np.array([network.correct(x_NP, labels_N) for network in networks])))
    eq3 = [float(variance.distribution_wise_variance(state)) for state in states]
    # The truth has an error of its own: that of the streams, which half of the difference of two shows.
    gap = first - second
    of_truth = abs(truth) ** 0.5 * float(np.std(gap, ddof=1)) / np.sqrt(2) * 2 / np.sqrt(runs - 1)
    widen = np.std(eq3, ddof=1) / np.sqrt(sets) / np.hypot(np.std(eq3, ddof=1) / np.sqrt(sets), of_truth)
    raw = [float(variance.test_set_variance(state)) for state in states]
    return (
        z_score(eq3, truth) * widen,
        z_score([plug_in(state) for state in states], truth * (1 - 1 / n)) * widen,
        z_score(raw, truth) * widen,
    )


@pytest.mark.parametrize(("runs", "n"), [(5, 200), (3, 50)])
def test_eq_3_finds_the_truth_and_the_plug_in_form_does_not(runs: int, n: int) -> None:
    ours, plugged, raw = z_scores(runs, n, sets=5000, stream=1_000_000)
    assert abs(ours) <= 2
    assert plugged >= 3
    assert raw >= 3


@pytest.mark.statistics
@pytest.mark.parametrize(("runs", "n"), [(10, 200), (5, 200)])
def test_eq_3_finds_the_truth_with_millions_of_examples(runs: int, n: int) -> None:
    ours, plugged, raw = z_scores(runs, n, sets=20_000, stream=10_000_000)
    assert abs(ours) <= 2
    assert plugged >= 3
    assert raw >= 3
