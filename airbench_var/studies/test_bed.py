"""Eq 3 against the truth: few networks, millions of fresh examples, and as many small test sets.

For given networks h_1 ... h_R the mean of Eq 3 over test sets is the sample variance of their accuracies on
the distribution. Two streams of fresh examples that share nothing measure that variance without bias, as the
covariance over networks of the two accuracies; a third, cut into small test sets, gives as many estimates.
Axis letters: R runs, M test sets, N examples of one, B blocks of a stream.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint8]
Float64 = npt.NDArray[np.float64]

#: Blocks of a stream for the jackknife of the truth.
BLOCKS = 50


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The sample variance over these networks of their accuracies on the distribution."""

    value: float
    standard_error: float  #: of measuring it on finite streams; the networks are given


@dataclass(frozen=True, kw_only=True)
class Against:
    """How far the mean of an estimator over many test sets is from the truth."""

    name: str
    mean: float
    standard_error: float  #: of the mean, over test sets
    truth: Truth

    @property
    def z(self) -> float:
        """Their difference over its standard error, that of the truth included."""
        return (self.mean - self.truth.value) / math.hypot(self.standard_error, self.truth.standard_error)


def truth_of(first_RN: Bits, second_RN: Bits) -> Truth:
    """Return the covariance over networks of the accuracies on two streams, zeros and ones (R, N) each.

    Unbiased because the streams share no example. The standard error leaves out one of 50 blocks of both
    streams at a time. Assumption: examples are independent draws; R >= 2, and N >= 50 in each.
    """
    first_RB, second_RB = _block_means(first_RN), _block_means(second_RN)

    def covariance(keep_B: npt.NDArray[np.bool_]) -> float:
        return float(np.cov(first_RB[:, keep_B].mean(axis=1), second_RB[:, keep_B].mean(axis=1))[0, 1])

    everything_B = np.ones(BLOCKS, bool)
    left_out_B = np.array([covariance(np.arange(BLOCKS) != block) for block in range(BLOCKS)])
    spread = float(((left_out_B - left_out_B.mean()) ** 2).sum())
    return Truth(value=covariance(everything_B), standard_error=math.sqrt((BLOCKS - 1) / BLOCKS * spread))


def against(truth: Truth, stream_RN: Bits, n: int) -> list[Against]:
    """Return Eq 3, its plug-in form, and the test-set variance, over disjoint test sets of n examples.

    The plug-in form takes p (1 - p) for the variance of an example, which is too small by 1/R of it. Its
    expectation here is too large by the independent-errors variance over R.
    """
    estimates = estimates_of(cut(stream_RN, n))
    found = []
    for name, values_M in estimates.items():
        error = float(np.std(values_M, ddof=1)) / math.sqrt(len(values_M))
        found.append(Against(name=name, mean=float(values_M.mean()), standard_error=error, truth=truth))
    return found


def cut(stream_RN: Bits, n: int) -> Bits:
    """Return disjoint test sets of n examples, (R, M, n); what is left over is not used."""
    R, N = stream_RN.shape
    return stream_RN[:, : N // n * n].reshape(R, N // n, n)


def estimates_of(correct_RMN: Bits) -> dict[str, Float64]:
    """Return the three estimates of every test set, (M,) each, from exact integer sums; paper, Eq 3."""
    R, _, n = correct_RMN.shape
    k_RM = correct_RMN.sum(axis=2, dtype=np.int64)
    c_MN = correct_RMN.sum(axis=0, dtype=np.int64)
    S1_M, S2_M, Q_M = k_RM.sum(axis=0), (k_RM**2).sum(axis=0), (c_MN**2).sum(axis=1)
    between_M = R * S2_M - S1_M**2  # R (R - 1) n**2 times the test-set variance
    within_M = R * S1_M - Q_M  # the same of the independent-errors variance
    scale = n * (n - 1) * R * (R - 1)
    return {
        "eq_3": (between_M - within_M) / scale,
        "plug_in": (between_M - within_M * (R - 1) / R) / scale,
        "test_set_variance": between_M / (R * (R - 1) * n**2),
    }


def _block_means(correct_RN: Bits) -> Float64:
    R, N = correct_RN.shape
    return np.asarray(correct_RN[:, : N // BLOCKS * BLOCKS].reshape(R, BLOCKS, -1).mean(axis=2))
