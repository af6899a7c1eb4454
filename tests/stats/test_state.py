"""The state of a campaign follows from its set of runs alone, goes through a file, and refuses nonsense."""

import io
import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airbench_var.errors import StoreDamagedError, StoreRefusedError, UsageError
from airbench_var.stats import CampaignState, CorrectnessCounts, PredictionCounts
from airbench_var.stats.state import MOST_CHUNKS, WITNESSES

HASH = "a" * 64
K = 3


def labels(n: int) -> npt.NDArray[np.uint8]:
    return (np.arange(n) % K).astype(np.uint8)


def predictions(seed: int, runs: int, n: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, K, (runs, n)).astype(np.uint8)


def pack(predicted_RN: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.packbits(predicted_RN == labels(predicted_RN.shape[1]), axis=1, bitorder="little")


def counted(ids: Any, predicted_RN: npt.NDArray[np.uint8]) -> CampaignState:
    n = predicted_RN.shape[1]
    return CampaignState.empty(HASH, n, labels(n), K).update(ids, pack(predicted_RN), predicted_RN)


def saved(state: CampaignState) -> bytes:
    file = io.BytesIO()
    np.savez(file, **state.to_arrays())  # type: ignore[arg-type]  # its stub takes `allow_pickle` for one of them
    return file.getvalue()


@settings(derandomize=True, deadline=None)
@given(st.data())
def test_any_cut_order_and_merge_tree_gives_the_same_bytes(data: st.DataObject) -> None:
    ids = np.array(data.draw(st.lists(st.integers(0, 300), min_size=1, max_size=14, unique=True)))
    n = data.draw(st.integers(1, 12))
    predicted_RN = predictions(data.draw(st.integers(0, 99)), len(ids), n)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(ids)))) | {0, len(ids)})
    states = [CampaignState.empty(HASH, n, labels(n), K)]
    for start, end in itertools.pairwise(cuts):
        states.append(counted(ids[start:end], predicted_RN[start:end]))
    while len(states) > 1:
        other = states.pop(data.draw(st.integers(0, len(states) - 1)))
        partner = data.draw(st.integers(0, len(states) - 1))
        states[partner] = states[partner].merge(other, equal_rows=True)
    order = np.argsort(ids)
    assert saved(states[0]) == saved(counted(ids[order], predicted_RN[order]))


@pytest.mark.parametrize("last", [0, 31, 32, 63, 64, 5000])
def test_the_total_is_that_of_all_rows_and_the_chunks_are_their_parts(last: int) -> None:
    ids, predicted_RN = np.array([*range(min(last, 70)), last]), predictions(1, min(last, 70) + 1, 23)
    state = counted(ids, predicted_RN)
    whole = CorrectnessCounts.of(23, HASH, ids, pack(predicted_RN))
    for name, array in whole.to_arrays().items():
        np.testing.assert_array_equal(array, state.correct.to_arrays()[name])
    votes = PredictionCounts.of(K, labels(23), predicted_RN)
    assert state.predicted is not None
    for name in ("votes_NK", "pairs_P", "pairs_PP"):
        np.testing.assert_array_equal(getattr(votes, name), getattr(state.predicted, name))
    assert last // state.chunk_runs < MOST_CHUNKS
    assert state.chunk_runs == 1 or last // (state.chunk_runs // 2) >= MOST_CHUNKS
    for number, chunk in state.chunks.items():
        assert set(chunk.correct.run_ids_R // state.chunk_runs) == {number}


@pytest.mark.parametrize("keeps", [True, False])
def test_right_answers_are_counted_by_class_with_predictions_and_without(keeps: bool) -> None:
    ids, predicted_RN = np.random.default_rng(0).permutation(200)[:70], predictions(1, 70, 23)
    state = CampaignState.empty(HASH, 23, labels(23), K + 1, with_predictions=keeps)
    for some in np.split(np.arange(70), [10, 64]):
        of_some = predicted_RN[some]
        state = state.update(ids[some], pack(of_some), of_some if keeps else None)
    assert (state.predicted is not None) == keeps
    assert state.by_class is not None
    order = np.argsort(ids)
    right_RN = (predicted_RN == labels(23))[order]
    expected = np.stack([right_RN[:, labels(23) == k].sum(axis=1) for k in range(K + 1)], axis=1)
    np.testing.assert_array_equal(state.by_class.right_RK, expected)
    np.testing.assert_array_equal(state.by_class.run_ids_R, ids[order])
    np.testing.assert_array_equal(state.by_class.sizes_K, [8, 8, 7, 0])
    again = CampaignState.empty(HASH, 23, labels(23), K + 1, with_predictions=keeps)
    assert saved(again.with_arrays(state.to_arrays())) == saved(state)
    assert CampaignState.empty(HASH, 23, labels(23), 257, with_predictions=False).by_class is None


def test_the_witnesses_are_the_runs_with_the_lowest_ids() -> None:
    predicted_RN = predictions(2, 300, 11)
    order = np.random.default_rng(0).permutation(300)
    state = CampaignState.empty(HASH, 11, labels(11), K)
    for ids in np.split(order, [40, 260]):
        state = state.update(ids, pack(predicted_RN[ids]), predicted_RN[ids])
    np.testing.assert_array_equal(state.witness_ids_W, np.arange(WITNESSES))
    np.testing.assert_array_equal(state.witness_WN, predicted_RN[:WITNESSES])


def test_a_store_without_predictions_is_counted_without_them() -> None:
    predicted_RN = predictions(3, 5, 9)
    state = CampaignState.empty(HASH, 9).update(range(5), pack(predicted_RN))
    assert state.predicted is None
    assert int(np.count_nonzero(predicted_RN == labels(9))) == state.correct.S1
    again = CampaignState.empty(HASH, 9).with_arrays(state.to_arrays())
    assert saved(again) == saved(state)


def test_arrays_round_trip_through_a_file() -> None:
    state = counted(range(100), predictions(4, 100, 21))
    with np.load(io.BytesIO(saved(state)), allow_pickle=False) as arrays:
        again = CampaignState.empty(HASH, 21, labels(21), K).with_arrays(arrays)
    assert saved(again) == saved(state)
    assert saved(again.update([100], pack(again.witness_WN[:1]), again.witness_WN[:1])) == saved(
        state.update([100], pack(state.witness_WN[:1]), state.witness_WN[:1])
    )


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("c_N", lambda a: a[:1]),
        ("k_R", lambda a: a + 1),
        ("votes_NK", lambda a: a + 1),
        ("right_RK", lambda a: a + 1),
        ("right_RK", lambda a: a[:, :2]),
        ("right_RK", lambda a: a[:-1]),
        ("right_RK", None),
        ("votes_NK", lambda a: a[:, :, :2]),
        ("chunk_runs", lambda a: a * 0),
        ("run_ids_R", lambda a: a[:-1]),
        ("witness_WN", None),
    ],
)
def test_damaged_arrays_are_refused(name: str, change: Any) -> None:
    arrays = counted(range(40), predictions(5, 40, 21)).to_arrays()
    if change is None:
        del arrays[name]
    else:
        arrays[name] = change(arrays[name])
    with pytest.raises(StoreDamagedError, match="Saved statistics are damaged"):
        CampaignState.empty(HASH, 21, labels(21), K).with_arrays(arrays)


def test_refusals() -> None:
    predicted_RN = predictions(6, 80, 30)
    state = counted(range(80), predicted_RN)
    with pytest.raises(StoreRefusedError, match="Run 77 would be counted twice"):
        state.update([77], pack(predicted_RN[:1]), predicted_RN[:1])
    with pytest.raises(StoreRefusedError, match="Run 3 would be counted twice"):
        state.merge(counted([3], predictions(7, 1, 30)))
    with pytest.raises(StoreRefusedError, match="Run 900 equals run 5 bit for bit"):
        state.merge(counted([900], predicted_RN[5:6]))
    with pytest.raises(StoreRefusedError, match="different test sets"):
        state.merge(CampaignState.empty("b" * 64, 30, labels(30), K))
    with pytest.raises(UsageError, match="from its first row to its last"):
        state.update([900], pack(predicted_RN[:1]))
    with pytest.raises(UsageError, match="29 labels for 30 examples"):
        CampaignState.empty(HASH, 30, labels(29), K)


def test_a_state_with_predictions_is_not_merged_with_one_without() -> None:
    """The votes of half of the runs would pass for those of all."""
    with_classes = counted([0, 1], predictions(1, 2, 9))
    without = CampaignState.empty(HASH, 9).update([2, 3], pack(predictions(2, 2, 9)))
    for first, second in ((with_classes, without), (without, with_classes)):
        with pytest.raises(UsageError, match="votes of some runs would pass for those of all"):
            first.merge(second)
