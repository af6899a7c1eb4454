"""Churn: on how many examples do two runs call another class? Pairs of runs, one of each of two recipes.

Between different runs of one recipe it is `agreement.disagreement`, from the votes of all pairs at once.
Source: paper, App D.2, Fig 12.
"""

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from airbench_var.analysis import intervals
from airbench_var.analysis.estimate import Estimate, too_few
from airbench_var.analysis.live import refuse_other_images, refuse_same_store
from airbench_var.analysis.summary import LEVEL
from airbench_var.errors import StoreRefusedError, UsageError
from airbench_var.store import Store
from airbench_var.store.reader import ROWS_PER_BLOCK

Classes = npt.NDArray[np.uint8]
Float64 = npt.NDArray[np.float64]


def changed_shares(predicted_a_RN: Classes, predicted_b_RN: Classes) -> Float64:
    """Return the share of examples that run r of A and run r of B call two classes, (R,).

    Raises: UsageError for arrays of different or other shapes, or no examples.
    """
    a, b = predicted_a_RN.shape, predicted_b_RN.shape
    if a != b or len(a) != 2 or not a[1]:
        raise UsageError(
            f"Predicted classes of shapes {a} and {b} are no pairs of runs: give both as (R, N), of the same "
            "runs and examples."
        )
    return np.asarray((predicted_a_RN != predicted_b_RN).mean(axis=1))


def churn_of(predicted_a_RN: Classes, predicted_b_RN: Classes, level: float = LEVEL) -> Estimate:
    """Return the churn between run r of A and run r of B, both on the same examples; see `churn`.

    Raises: UsageError as `changed_shares`.
    """
    return churn(changed_shares(predicted_a_RN, predicted_b_RN), predicted_a_RN.shape[1], level)


def churn_of_stores(
    a: Store,
    b: Store,
    test_set: str,
    run_ids: Iterable[int] | None = None,
    level: float = LEVEL,
    rows_per_block: int = ROWS_PER_BLOCK,
) -> Estimate:
    """Return the churn between the runs of equal id in two stores, by default all that both committed.

    Rows are read and verified block by block. Runs that diverged count as they predict. See `churn`.

    Raises: StoreRefusedError for one store twice or other examples, StoreDamagedError, UsageError when a run
    or the predicted classes are missing.
    """
    refuse_same_store(a, b)
    refuse_other_images(a, b)
    if not np.array_equal(a.labels(test_set), b.labels(test_set)):
        raise StoreRefusedError(
            f"The labels of {test_set} in {a.path} and {b.path} differ, so their rows are not of the same "
            "examples. Compare runs on one test set."
        )
    ids_R = np.intersect1d(a.committed_ids(), b.committed_ids()) if run_ids is None else list(run_ids)
    both = (store.blocks(test_set, ids_R, rows_per_block, column="predicted") for store in (a, b))
    shares = [changed_shares(one.rows_Rb, other.rows_Rb) for one, other in zip(*both, strict=True)]
    return churn(np.concatenate([np.zeros(0), *shares]), len(a.labels(test_set)), level)


def churn(share_R: Float64, examples: int, level: float = LEVEL) -> Estimate:
    """Return the mean of `changed_shares` with its interval; Student's t over the pairs, R - 1.

    The examples of a pair are not independent: when a pair drifts apart, many change. Assumption: pairs are.
    They are not where a run is part of two pairs, or all runs share a seed that `vary` left out. It fails
    where few pairs show the rare large churn: that takes more runs.
    """
    R = len(share_R)
    value, interval, standard_errors = (float(share_R.mean()) if R else None), None, {}
    absent = too_few("pair", R, 2)
    if not absent and np.ptp(share_R) == 0:
        absent = "every pair has the same churn, which leaves no scale for an interval"
    if not absent:
        assert value is not None
        error = float(share_R.std(ddof=1)) / math.sqrt(R)
        interval = intervals.share_around(value, error, R - 1, level)
        standard_errors = {"test_set": error}
    return Estimate(
        name="churn",
        target="this test set",
        value=value,
        interval=interval,
        level=level,
        absent=absent,
        standard_errors=standard_errors,
        method="mean over pairs of runs of equal id; Student's t over pairs",
        assumption="pairs of runs are independent and identically distributed",
        runs=(R, R),
        examples=examples,
    )
