"""What the predicted classes of many runs add to their correctness, as integers that merge exactly.

Axis letters: R runs, N examples, K classes, P unordered pairs of classes, each class with itself among them.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from airbench_var.errors import StoreDamagedError, StoreRefusedError, UsageError

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Classes = npt.NDArray[np.uint8]

#: Beyond it the moments of confusions are left out: there would be more than 2,047 ways to make two classes.
MOST_CLASSES_FOR_PAIRS = 12
_ROWS_PER_BLOCK = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictionCounts:
    """The predicted classes of some runs on one test set, summed up.

    `votes_NK` counts the runs that call example n class k. With e_p of a run the number of examples of one
    class of pair p that it calls the other (for a class with itself: its right answers), `pairs_P` is the sum
    over runs of e_p, `pairs_PP` that of e_p e_q. int64 holds them while R n**2 stays below 2**63, int32 the
    votes below 2**31 runs. Source: enough for every way to make two classes of K (paper, section 3.4).
    """

    K: int
    labels_N: Classes
    votes_NK: Int32
    pairs_P: Int64  #: (K (K + 1) / 2,), in the order of numpy.triu_indices(K); (0,) beyond 12 classes
    pairs_PP: Int64

    @classmethod
    def empty(cls, K: int, labels_N: Classes) -> Self:
        """Return the counts of no runs; merging them changes nothing.

        Raises: UsageError for labels outside of the classes.
        """
        if len(labels_N) and int(labels_N.max()) >= K:
            raise UsageError(f"The labels go up to class {labels_N.max()}, and there are {K} classes.")
        pairs = K * (K + 1) // 2 if K <= MOST_CLASSES_FOR_PAIRS else 0
        return cls(
            K=K,
            labels_N=labels_N,
            votes_NK=np.zeros((len(labels_N), K), np.int32),
            pairs_P=np.zeros(pairs, np.int64),
            pairs_PP=np.zeros((pairs, pairs), np.int64),
        )

    @classmethod
    def of(cls, K: int, labels_N: Classes, predicted_RN: Classes) -> Self:
        """Count predicted classes, uint8 (R, N); the cost follows the wrong answers, not all of them.

        Raises: UsageError for a wrong shape or labels outside of the classes, StoreDamagedError for a
        predicted class that is none.
        """
        nothing, n = cls.empty(K, labels_N), len(labels_N)
        if predicted_RN.dtype != np.uint8 or predicted_RN.shape[1:] != (n,):
            raise UsageError(
                f"Predicted classes are {predicted_RN.dtype}{predicted_RN.shape}, and not uint8 (R, {n})."
            )
        if predicted_RN.size and int(predicted_RN.max()) >= K:
            raise StoreDamagedError(
                f"A run predicts class {predicted_RN.max()} of {K} classes, which no run wrote. Verify the "
                "store."
            )
        wrong_NK = np.zeros(n * K, np.int64)
        pairs_P, pairs_PP = nothing.pairs_P.copy(), nothing.pairs_PP.copy()
        for start in range(0, len(predicted_RN), _ROWS_PER_BLOCK):
            rows_RN = predicted_RN[start : start + _ROWS_PER_BLOCK]
            wrong = np.flatnonzero(rows_RN != labels_N)
            run, example = np.divmod(wrong, n)
            called = rows_RN.reshape(-1)[wrong].astype(np.int64)
            wrong_NK += np.bincount(example * K + called, minlength=n * K)
            if len(pairs_P):
                place = (run * K + labels_N[example]) * K + called
                wrong_RKK = np.bincount(place, minlength=len(rows_RN) * K * K).reshape(-1, K, K)
                pairs_RP = _pairs(wrong_RKK, np.bincount(labels_N, minlength=K))
                pairs_P += pairs_RP.sum(axis=0)
                exact_RP = pairs_RP.astype(np.float64)  # sums of at most 64 n**2, below 2**53 for n < 10**7
                pairs_PP += (exact_RP.T @ exact_RP).astype(np.int64)
        votes_NK = wrong_NK.reshape(n, K).astype(np.int32)
        votes_NK[np.arange(n), labels_N] = len(predicted_RN) - votes_NK.sum(axis=1)
        return cls(K=K, labels_N=labels_N, votes_NK=votes_NK, pairs_P=pairs_P, pairs_PP=pairs_PP)

    def merge(self, other: Self) -> Self:
        """Return the counts of both sets of runs together: exact, associative, commutative, O(n K).

        Raises: StoreRefusedError for other classes or labels.
        """
        if self.K != other.K or not np.array_equal(self.labels_N, other.labels_N):
            raise StoreRefusedError(
                "The predictions are of test sets with different labels, so their votes cannot be added. "
                "Merge only runs of the same test set."
            )
        return self._with(other, sign=1)

    def without(self, part: Self) -> Self:
        """Return the counts of the runs that are not in `part`, which is a part of these."""
        return self._with(part, sign=-1)

    def _with(self, other: Self, sign: int) -> Self:
        return type(self)(
            K=self.K,
            labels_N=self.labels_N,
            votes_NK=self.votes_NK + np.int32(sign) * other.votes_NK,
            pairs_P=self.pairs_P + sign * other.pairs_P,
            pairs_PP=self.pairs_PP + sign * other.pairs_PP,
        )

    @property
    def R(self) -> int:
        """Number of runs."""
        return int(self.votes_NK[0].sum()) if len(self.votes_NK) else 0


def _pairs(wrong_RKK: Int64, class_size_K: Int64) -> Int64:
    """Return e_p of each run from its wrong answers by label and called class, (R, P)."""
    first_P, second_P = np.triu_indices(len(class_size_K))
    both = wrong_RKK + wrong_RKK.transpose(0, 2, 1)
    right_RK = class_size_K - wrong_RKK.sum(axis=2)
    k = np.arange(len(class_size_K))
    both[:, k, k] = right_RK
    return np.asarray(both[:, first_P, second_P])
