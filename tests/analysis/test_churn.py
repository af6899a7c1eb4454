"""Churn: by hand, from two stores, and an interval that covers where counting examples does not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from airbench_var.analysis import agreement
from airbench_var.analysis.churn import changed_shares, churn, churn_of, churn_of_stores
from airbench_var.analysis.estimate import Estimate, Interval
from airbench_var.errors import StoreDamagedError, StoreRefusedError, UsageError
from airbench_var.stats import PredictionCounts
from airbench_var.store import Store, describe_test_set
from tests.store.fake_campaign import IDENTITY, LABELS, failure, open_writer, outcome, overwrite

A = np.array([[0, 1, 2, 1], [0, 0, 0, 0], [1, 1, 1, 1]], np.uint8)
B = np.array([[0, 1, 2, 1], [0, 1, 0, 0], [0, 2, 1, 0]], np.uint8)


def test_shares_by_hand() -> None:
    assert changed_shares(A, B).tolist() == [0, 1 / 4, 3 / 4]


def test_the_interval_is_students_over_pairs() -> None:
    estimate = churn_of(A, B, level=0.5)
    error = np.std([0, 1 / 4, 3 / 4], ddof=1) / np.sqrt(3)
    assert estimate.value == pytest.approx(1 / 3)
    assert estimate.standard_errors == {"test_set": pytest.approx(error)}
    assert estimate.interval == pytest.approx(stats.t.interval(0.5, 2, 1 / 3, error))
    assert (estimate.runs, estimate.examples, estimate.level, estimate.absent) == ((3, 3), 4, 0.5, "")


def test_the_interval_holds_shares_only() -> None:
    assert churn_of(A, B).interval == (0, 1)


@pytest.mark.parametrize(
    ("pairs", "value", "absent"),
    [
        (slice(0, 0), None, "at least 2 pairs are needed, there are 0"),
        (slice(1, 2), 1 / 4, "at least 2 pairs are needed, there is 1"),
        ([1, 1], 1 / 4, "every pair has the same churn"),
    ],
)
def test_where_there_is_no_interval_there_is_a_reason(pairs: Any, value: float | None, absent: str) -> None:
    estimate = churn_of(A[pairs], B[pairs])
    assert (estimate.value, estimate.interval) == (value, None)
    assert absent in estimate.absent


@pytest.mark.parametrize(("a_RN", "b_RN"), [(A, B[:2]), (A, B[:, :2]), (A[0], B[0]), (A[:, :0], B[:, :0])])
def test_what_is_no_pairs_is_refused(a_RN: np.ndarray, b_RN: np.ndarray) -> None:
    with pytest.raises(UsageError, match="are no pairs of runs"):
        churn_of(a_RN, b_RN)


def test_between_all_runs_of_one_recipe_it_is_the_disagreement() -> None:
    rng, labels_N = np.random.default_rng(0), np.zeros(50, np.uint8)
    rows_RN = rng.integers(0, 3, (6, 50)).astype(np.uint8)
    first, second = np.triu_indices(6, 1)
    counts = PredictionCounts.of(3, labels_N, rows_RN)
    chunks = [PredictionCounts.of(3, labels_N, row[None]) for row in rows_RN]
    expected = agreement.disagreement(counts, chunks, 0.95).value
    assert churn_of(rows_RN[first], rows_RN[second]).value == pytest.approx(expected)


ALPHA = "alpha"


def classes_of(run_id: int, salt: int) -> np.ndarray:
    """The classes that a run predicts on the 13 examples of test set alpha."""
    return np.random.default_rng([run_id, salt]).integers(0, 3, 13).astype(np.uint8)


def write(path: Path, salt: int, committed: list[int], **changes: Any) -> Store:
    """Return a store of ten runs of which these are committed and another has failed."""
    with open_writer(path, 10, **changes) as writer:
        for run_id in committed:
            done = outcome(run_id)
            assert done.result is not None
            row = replace(
                done.result.predictions[ALPHA],
                predicted=classes_of(run_id, salt),
                correct=np.packbits(classes_of(run_id, salt) == LABELS[ALPHA], bitorder="little"),
            )
            predictions = {**done.result.predictions, ALPHA: row}
            writer.commit([replace(done, result=replace(done.result, predictions=predictions))])
        writer.commit([failure(9)])
    return Store.open(path)


@pytest.mark.parametrize("rows_per_block", [1, 2, 256])
def test_runs_of_two_stores_are_paired_by_id(rows_per_block: int, tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", 1, [0, 2, 3, 5, 6]), write(tmp_path / "b", 2, [6, 1, 2, 5, 3])
    shared = [2, 3, 5, 6]
    rows_a, rows_b = (np.array([classes_of(run_id, salt) for run_id in shared]) for salt in (1, 2))
    assert churn_of_stores(a, b, ALPHA, rows_per_block=rows_per_block) == churn_of(rows_a, rows_b)
    some = churn_of_stores(a, b, ALPHA, [5, 2], level=0.8, rows_per_block=rows_per_block)
    assert some == churn_of(rows_a[[2, 0]], rows_b[[2, 0]], level=0.8)


def test_stores_without_a_run_in_common_have_no_churn(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", 1, [0]), write(tmp_path / "b", 2, [1])
    estimate = churn_of_stores(a, b, ALPHA)
    assert (estimate.value, estimate.runs, estimate.examples) == (None, (0, 0), 13)


def test_stores_that_cannot_be_paired_are_refused(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", 1, [0, 1]), write(tmp_path / "b", 2, [0, 1])
    with pytest.raises(StoreRefusedError, match="the same store"):
        churn_of_stores(a, Store.open(a.path), ALPHA)
    with pytest.raises(UsageError, match="run 2 is not committed"):
        churn_of_stores(a, b, ALPHA, [0, 2])
    with pytest.raises(UsageError, match="has no test set 'gamma'"):
        churn_of_stores(a, b, "gamma")


def test_stores_of_other_examples_are_refused(tmp_path: Path) -> None:
    a = write(tmp_path / "a", 1, [0, 1])
    labels = {name: np.roll(labels_N, 1) for name, labels_N in LABELS.items()}
    described = [
        describe_test_set(name, labels_N, ("cat", "dog", "ship")) for name, labels_N in labels.items()
    ]
    changes = {"labels": labels, "identity": {**IDENTITY, "test_sets": described}}
    with pytest.raises(StoreRefusedError, match=r"labels of alpha in .* differ"):
        churn_of_stores(a, write(tmp_path / "b", 2, [], **changes), ALPHA)
    data = [{"data": {"test": {"images_sha256": letter * 64}}} for letter in "xy"]
    c, d = (
        write(tmp_path / name, 2, [], identity={**IDENTITY, **one})
        for name, one in zip("cd", data, strict=True)
    )
    with pytest.raises(StoreRefusedError, match="tested on different images"):
        churn_of_stores(c, d, ALPHA)


def test_a_damaged_row_is_no_churn(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", 1, [0, 1]), write(tmp_path / "b", 2, [0, 1])
    file = b.path / ALPHA / "predicted.npy"
    data = bytearray(file.read_bytes())
    data[-9 * 13 + 2] ^= 1  # of run 1, of ten
    overwrite(file, bytes(data))
    with pytest.raises(StoreDamagedError, match="run 1"):
        churn_of_stores(a, b, ALPHA)


class Pairs:
    """Pairs of runs that drift apart by chance: an effect of the pair moves the rate of all examples."""

    def __init__(self, examples: int, effect: float, seed: int) -> None:
        self.rng, self.effect = np.random.default_rng(seed), effect
        self.logit_N = self.rng.normal(-3.5, 1.5, examples)
        nodes_Q, weights_Q = np.polynomial.hermite_e.hermegauss(40)
        rate_QN = special.expit(self.logit_N + effect * nodes_Q[:, None])
        self.churn = float(weights_Q @ rate_QN.mean(axis=1) / weights_Q.sum())

    def draw(self, pairs: int) -> tuple[np.ndarray, np.ndarray]:
        a_RN = self.rng.integers(0, 10, (pairs, len(self.logit_N))).astype(np.uint8)
        rate_RN = special.expit(self.logit_N + self.effect * self.rng.standard_normal((pairs, 1)))
        return a_RN, np.where(self.rng.random(rate_RN.shape) < rate_RN, (a_RN + 1) % 10, a_RN).astype(
            np.uint8
        )


def of_students(estimate: Estimate) -> Interval:
    assert estimate.interval is not None
    return estimate.interval


def of_all_examples(estimate: Estimate) -> Interval:
    """The wrong one: every example of every pair a coin of its own."""
    assert isinstance(estimate.runs, tuple)
    assert estimate.value is not None
    trials = estimate.runs[0] * estimate.examples
    found = stats.binomtest(round(estimate.value * trials), trials).proportion_ci(0.95, method="wilson")
    return found.low, found.high


@pytest.mark.parametrize("runs", [5, 20])
@pytest.mark.parametrize(
    ("interval_of", "least", "most"), [(of_students, 0.93, 0.97), (of_all_examples, 0.0, 0.75)]
)
def test_the_interval_covers_and_that_of_examples_does_not(
    interval_of: Callable[[Estimate], Interval], least: float, most: float, runs: int
) -> None:
    """The standard error of a coverage of 0.95 over 2,000 sets is 0.005: four of them on either side."""
    pairs, sets = Pairs(examples=400, effect=0.4, seed=runs), 2000
    hits = 0
    for _ in range(sets):
        low, high = interval_of(churn_of(*pairs.draw(runs)))
        hits += low <= pairs.churn <= high
    assert least <= hits / sets <= most


def test_the_mean_share_is_unbiased() -> None:
    pairs = Pairs(examples=400, effect=0.4, seed=9)
    value = churn(np.concatenate([changed_shares(*pairs.draw(100)) for _ in range(100)]), 400).value
    assert value == pytest.approx(pairs.churn, rel=0.02)
