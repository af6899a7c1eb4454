"""All pairs of examples: against a loop over pairs, in any blocks, from a store."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from airbench_var.analysis import analyze_pairs, pair_scan, pairs
from airbench_var.analysis.hypergeometric import HypergeometricLaws
from airbench_var.analysis.pair_scan import varying
from airbench_var.analysis.pairs import PairAnalysis, PairFindings, pairs_of
from airbench_var.errors import StoreDamagedError, UsageError
from airbench_var.store import StoreWriter
from tests.store.fake_campaign import CLASSES, IDENTITY, LABELS, PROVENANCE, outcome

Bools = npt.NDArray[np.bool_]


def matrix(seed: int, R: int, n: int, duplicates: int = 0) -> Bools:
    """Examples of all kinds, of which the first few are followed by near-duplicates."""
    rng = np.random.default_rng([seed, R, n])
    correct_RN = rng.random((R, n)) < rng.beta(1.2, 0.5, n)
    correct_RN[:, n // 2], correct_RN[:, n // 3] = True, False
    for i in range(duplicates):
        correct_RN[:, 2 * i] = rng.random(R) < 0.5
        correct_RN[:, 2 * i + 1] = correct_RN[:, 2 * i] ^ (rng.random(R) < 0.05)
    return correct_RN


def analysis_of(correct_RN: Bools, **options: int) -> PairAnalysis:
    class_N = np.array(CLASSES)[np.arange(correct_RN.shape[1]) % 3]
    return pairs_of("some", np.packbits(correct_RN, axis=1, bitorder="little"), class_N, **options)


def findings_of(correct_RN: Bools) -> PairFindings:
    findings = analysis_of(correct_RN).findings
    assert findings is not None
    return findings


def by_loop(correct_RN: Bools) -> dict[tuple[int, int], tuple[float, float]]:
    """z and p of every pair that varies, one at a time."""
    R, n = correct_RN.shape
    c = correct_RN.sum(axis=0).tolist()
    found = {}
    for i in range(n):
        for j in range(i + 1, n):
            a, b = c[i], c[j]
            if 0 < a < R and 0 < b < R:
                both = int((correct_RN[:, i] & correct_RN[:, j]).sum())
                z = (both - a * b / R) / np.sqrt(a * (R - a) * b * (R - b) / (R**2 * (R - 1)))
                p = HypergeometricLaws(R).two_sided(np.array([both]), np.array([a]), np.array([b]))
                found[i, j] = (float(z), float(p[0]))
    return found


@pytest.mark.parametrize(("R", "n", "duplicates"), [(2, 30, 0), (7, 20, 1), (40, 30, 4), (200, 41, 9)])
def test_what_is_found_is_what_a_loop_over_pairs_finds(R: int, n: int, duplicates: int) -> None:
    correct_RN = matrix(1, R, n, duplicates)
    loop, analysis = by_loop(correct_RN), analysis_of(correct_RN)
    assert analysis.pairs == len(loop)
    assert analysis.findings is not None
    p_sorted = np.sort([p for _, p in loop.values()])
    enough = np.flatnonzero(p_sorted <= 0.05 * np.arange(1, len(loop) + 1) / len(loop))
    discovered = int(enough[-1]) + 1 if len(enough) else 0
    findings = analysis.findings
    assert findings.benjamini_hochberg.number == discovered >= duplicates * (R > 7)
    assert findings.benjamini_yekutieli.number <= discovered
    assert len(findings.deviating) == discovered
    for pair in findings.deviating:
        i, j = pair.examples
        assert (pair.z, pair.p_value) == pytest.approx(loop[i, j], rel=1e-9)
        assert pair.classes == (CLASSES[i % 3], CLASSES[j % 3])
        assert pair.accuracies == (correct_RN[:, i].mean(), correct_RN[:, j].mean())
        assert pair.both_right == (correct_RN[:, i] & correct_RN[:, j]).mean()
    strengths = [pair.p_value for pair in findings.deviating]
    assert strengths == sorted(strengths)

    covariance_NN = np.cov(correct_RN.T)
    upper = np.triu_indices(n, 1)
    off = np.abs(correct_RN.T.astype(float) @ correct_RN / R - np.outer(*[correct_RN.mean(axis=0)] * 2))
    assert findings.joint_frequency.pairs == np.count_nonzero(off[upper] >= 0.02 - 1e-12)
    assert findings.squared_covariance.mean == pytest.approx((covariance_NN[upper] ** 2).mean(), rel=1e-10)


def test_blocks_and_their_size_leave_no_trace() -> None:
    correct_RN = matrix(2, 300, 203, 30)
    whole = analysis_of(correct_RN)
    assert whole.findings is not None
    assert len(whole.findings.deviating) >= 30
    for block in (8, 64, 104):
        assert json.dumps(analysis_of(correct_RN, block=block).to_json()) == json.dumps(whole.to_json())


def test_order_of_runs_leaves_no_trace_but_that_of_examples_moves_their_names() -> None:
    correct_RN = matrix(3, 150, 61, 5)
    shuffled = np.random.default_rng(0).permutation(correct_RN)
    assert analysis_of(shuffled).to_json() == analysis_of(correct_RN).to_json()
    turned = findings_of(correct_RN[:, ::-1])
    found = {tuple(sorted(60 - i for i in pair.examples)) for pair in turned.deviating}
    assert found == {pair.examples for pair in findings_of(correct_RN).deviating}


def test_what_is_listed_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    correct_RN = matrix(4, 300, 100, 20)
    whole = findings_of(correct_RN)
    assert whole.unlisted == 0
    monkeypatch.setattr(pairs, "MOST_LISTED", 7)
    cut = analysis_of(correct_RN, block=16)
    assert cut.findings is not None
    assert cut.findings.deviating == whole.deviating[:7]
    document = cut.to_json()
    assert document["deviating_unlisted"] == document["discoveries"]["benjamini_hochberg"]["pairs"] - 7 > 0


def test_of_pairs_that_are_equally_strong_the_first_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    correct_RN = np.repeat(np.random.default_rng(8).random((90, 1)) < 0.5, 24, axis=1)
    monkeypatch.setattr(pairs, "MOST_LISTED", 30)
    analysis = analysis_of(correct_RN, block=8)
    assert analysis.findings is not None
    listed = [pair.examples for pair in analysis.findings.deviating]
    assert listed == [*((0, j) for j in range(1, 24)), *((1, j) for j in range(2, 9))]


def test_equal_examples_have_the_smallest_p_value_there_is() -> None:
    correct_RN = np.repeat(np.random.default_rng(5).random((3000, 1)) < 0.5, 4, axis=1)
    assert [pair.p_value for pair in findings_of(correct_RN).deviating] == [pair_scan.SMALLEST_P] * 6


@pytest.mark.parametrize(
    ("correct_RN", "reason"),
    [
        (np.ones((0, 9), bool), "at least 2 runs are needed, there are 0"),
        (np.eye(1, 9, dtype=bool), "at least 2 runs are needed, there is 1"),
        (np.ones((5, 9), bool), "right in some runs and wrong in others, here 0"),
        (np.arange(5)[:, None] < np.array([5, 2, 0]), "right in some runs and wrong in others, here 1"),
    ],
    ids=["no run", "one run", "all right", "one example that varies"],
)
def test_without_pairs_there_is_a_reason_and_no_number(correct_RN: Bools, reason: str) -> None:
    analysis = analysis_of(correct_RN)
    assert analysis.findings is None
    assert reason in analysis.absent
    assert set(analysis.to_json()) == {"examples", "runs", "varying", "pairs", "absent"}


def test_more_runs_than_can_be_counted_exactly_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "MOST_RUNS", 99)
    assert (
        analysis_of(matrix(0, 100, 9)).absent == "no more than 99 runs can be counted exactly, there are 100"
    )
    assert analysis_of(matrix(0, 99, 9)).absent == ""


def test_json_has_the_documented_keys() -> None:
    document = analysis_of(matrix(6, 100, 50, 3)).to_json()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    sizes = ["examples", "runs", "varying", "pairs", "absent"]
    assert list(document) == [
        *sizes, "discoveries", "joint_frequency", "squared_covariance", "deviating", "deviating_unlisted"
    ]  # fmt: skip
    assert set(document["deviating"][0]) == {
        "examples", "classes", "accuracies", "both_right", "z", "p_value"
    }  # fmt: skip


def test_memory_does_not_grow_with_the_number_of_pairs() -> None:
    """Every pair deviates, and of each block only what is asked for is kept."""
    rng = np.random.default_rng(7)
    fails_R = rng.random((400, 1)) < 0.3
    correct_RN = rng.random((400, 1600)) < np.where(fails_R, 0.2, 0.8)
    columns = varying(np.packbits(correct_RN, axis=1, bitorder="little"), 1600)

    def peak(n_columns: int) -> int:
        some = columns._replace(
            places_T=columns.places_T[:n_columns], packed_RB=columns.packed_RB[:, : n_columns // 8]
        )
        tracemalloc.start()
        found = pair_scan.scan(some, 1, most=10, block=160)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.p_values.benjamini_hochberg(found.pairs, 0.05).number > 0.9 * found.pairs
        return used

    assert peak(1600) < 1.2 * peak(320)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    with StoreWriter.open(
        path, identity=IDENTITY, labels=LABELS, provenance=PROVENANCE, capacity=40
    ) as writer:
        writer.commit([outcome(run_id) for run_id in range(0, 40, 2)])
    return path


def test_a_store_is_read_from_its_committed_rows_alone(store: Path) -> None:
    found = analyze_pairs(store)
    assert list(found) == [*LABELS]
    for name, labels_N in LABELS.items():
        rows = [outcome(run_id).result.predictions[name].correct for run_id in range(0, 40, 2)]  # type: ignore[union-attr]
        wanted = pairs_of(name, np.stack(rows), np.array(CLASSES)[labels_N])
        assert found[name].to_json() == wanted.to_json()
        assert (found[name].runs, found[name].examples) == (20, len(labels_N))


def test_a_store_that_grows_meanwhile_is_read_as_it_was(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with StoreWriter.open(
        store, identity=IDENTITY, labels=LABELS, provenance=PROVENANCE, capacity=40
    ) as writer:
        late = iter([outcome(1), outcome(3)])

        def grow(*arguments: Any) -> PairAnalysis:
            writer.commit([next(late)])
            return pairs_of(*arguments)

        monkeypatch.setattr(pairs, "pairs_of", grow)
        assert [found.runs for found in analyze_pairs(store).values()] == [20, 20]


def test_a_damaged_row_is_never_analyzed_and_no_store_is_an_error(store: Path) -> None:
    path = store / "alpha" / "correct.npy"
    content = bytearray(path.read_bytes())
    content[512 + 2 * 6] ^= 1  # run 6
    path.write_bytes(content)
    with pytest.raises(StoreDamagedError, match=r"alpha/correct\.npy: run 6 "):
        analyze_pairs(store)
    with pytest.raises(UsageError, match="no such store"):
        analyze_pairs(store / "nothing")


def test_an_empty_store_has_no_pairs(tmp_path: Path) -> None:
    StoreWriter.open(
        tmp_path / "store", identity=IDENTITY, labels=LABELS, provenance=PROVENANCE, capacity=4
    ).close()
    assert "there are 0" in analyze_pairs(tmp_path / "store")["alpha"].absent
