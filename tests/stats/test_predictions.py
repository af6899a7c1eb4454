"""Votes and confusions: equal to brute force, exact to merge, and hard to feed with nonsense."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from airbench_var.errors import StoreDamagedError, StoreRefusedError, UsageError
from airbench_var.stats import PredictionCounts


def drawn(seed: int, runs: int, n: int, K: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    labels_N = rng.integers(0, K, n).astype(np.uint8)
    wrong_RN = rng.random((runs, n)) < 0.4
    return labels_N, np.where(wrong_RN, rng.integers(0, K, (runs, n)), labels_N).astype(np.uint8)


def equal(first: PredictionCounts, second: PredictionCounts) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in vars(first))


@pytest.mark.parametrize(("runs", "n", "K"), [(1, 1, 1), (2, 5, 2), (5, 23, 10), (130, 17, 4), (3, 9, 17)])
def test_equals_brute_force(runs: int, n: int, K: int) -> None:
    labels_N, predicted_RN = drawn(runs, runs, n, K)
    counts = PredictionCounts.of(K, labels_N, predicted_RN)
    assert runs == counts.R
    votes = [[sum(int(row[i]) == k for row in predicted_RN) for k in range(K)] for i in range(n)]
    assert counts.votes_NK.tolist() == votes
    if K > 12:
        assert counts.pairs_P.size == counts.pairs_PP.size == 0
        return
    pairs = list(itertools.combinations_with_replacement(range(K), 2))
    e_RP = np.array(
        [
            [sum({int(y), int(c)} == set(pair) for y, c in zip(labels_N, row, strict=True)) for pair in pairs]
            for row in predicted_RN
        ]
    )
    assert counts.pairs_P.tolist() == e_RP.sum(0).tolist()
    assert counts.pairs_PP.tolist() == (e_RP.T @ e_RP).tolist()


def test_merging_and_leaving_out_are_exact_and_undo_each_other() -> None:
    labels_N, predicted_RN = drawn(1, 9, 30, 5)
    first, second = (PredictionCounts.of(5, labels_N, rows) for rows in np.split(predicted_RN, [4]))
    both = first.merge(second)
    assert equal(both, PredictionCounts.of(5, labels_N, predicted_RN))
    assert equal(both, second.merge(first))
    assert equal(both.without(second), first)
    assert equal(first.merge(PredictionCounts.empty(5, labels_N)), first)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda labels, rows: (labels, rows.astype(np.int64)), UsageError, "int64"),
        (lambda labels, rows: (labels, rows[:, 1:]), UsageError, r"not uint8 \(R, 6\)"),
        (lambda labels, rows: (labels, rows + np.uint8(9)), StoreDamagedError, "of 3 classes"),
        (lambda labels, rows: (labels + np.uint8(3), rows), UsageError, "labels go up to class"),
    ],
    ids=["dtype", "shape", "class", "label"],
)
def test_refuses_what_no_run_wrote(change: Any, error: type[Exception], message: str) -> None:
    labels_N, predicted_RN = drawn(2, 3, 6, 3)
    with pytest.raises(error, match=message):
        PredictionCounts.of(3, *change(labels_N, predicted_RN))


def test_refuses_other_labels() -> None:
    labels_N, predicted_RN = drawn(3, 3, 6, 3)
    counts = PredictionCounts.of(3, labels_N, predicted_RN)
    for other in (PredictionCounts.empty(3, 2 - labels_N), PredictionCounts.empty(4, labels_N)):
        with pytest.raises(StoreRefusedError, match="different labels"):
            counts.merge(other)
