"""The integer state: equal to brute force, exact to merge, and hard to feed with nonsense."""

import io
import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airbench_var.errors import StoreDamagedError, StoreRefusedError, UsageError
from airbench_var.stats import CorrectnessCounts

HASH = "a" * 64


def pack(correct_RN: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.packbits(correct_RN.astype(bool), axis=1, bitorder="little")


def count(correct_RN: npt.NDArray[Any], first_id: int = 0) -> CorrectnessCounts:
    ids_R = np.arange(first_id, first_id + len(correct_RN))
    return CorrectnessCounts.of(correct_RN.shape[1], HASH, ids_R, pack(correct_RN))


def saved(state: CorrectnessCounts) -> bytes:
    file = io.BytesIO()
    np.savez(file, **state.to_arrays())  # type: ignore[arg-type]  # its stub takes `allow_pickle` for one of them
    return file.getvalue()


def random_matrix(seed: int, runs: int, n: int) -> npt.NDArray[np.bool_]:
    rng = np.random.default_rng(seed)
    return rng.random((runs, n)) < rng.random(n)


#: (R, n): one of each; two; a full byte; a ragged last byte; more rows than one block of 64 holds.
SHAPES = [(1, 1), (2, 2), (3, 8), (5, 9), (7, 23), (65, 17), (130, 31)]


@pytest.mark.parametrize(("runs", "n"), SHAPES)
@pytest.mark.parametrize("kind", ["random", "all right", "all wrong"])
def test_equals_brute_force(runs: int, n: int, kind: str) -> None:
    correct_RN = {
        "random": random_matrix(runs * n, runs, n),
        "all right": np.ones((runs, n), bool),
        "all wrong": np.zeros((runs, n), bool),
    }[kind]
    state = count(correct_RN)
    k = [sum(map(int, row)) for row in correct_RN]
    assert state.k_R.tolist() == k
    assert state.even_R.tolist() == [sum(map(int, row[::2])) for row in correct_RN]
    for name, power in (("c_N", 0), ("h_N", 1), ("h2_N", 2)):
        brute = [sum(int(correct_RN[r, i]) * k[r] ** power for r in range(runs)) for i in range(n)]
        assert getattr(state, name).tolist() == brute, name
        assert getattr(state, name).dtype == np.int64
    c = [sum(map(int, column)) for column in correct_RN.T]
    totals = (runs, sum(k), sum(x * x for x in k), sum(x * x for x in c))
    assert totals == (state.R, state.S1, state.S2, state.Q)
    assert all(type(total) is int for total in (state.S1, state.S2, state.Q))


@settings(derandomize=True, deadline=None)
@given(st.data())
def test_any_cut_order_and_merge_tree_gives_the_same_bytes(data: st.DataObject) -> None:
    runs, n = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 20))
    correct_RN = random_matrix(data.draw(st.integers(0, 99)), runs, n)
    order = data.draw(st.permutations(range(runs)))
    cuts = sorted(data.draw(st.sets(st.integers(1, runs))) | {0, runs})
    states = [CorrectnessCounts.empty(n, HASH)]
    for start, end in itertools.pairwise(cuts):
        ids = np.array(order[start:end])
        states.append(CorrectnessCounts.empty(n, HASH).update(ids, pack(correct_RN[ids])))
    while len(states) > 1:
        other = states.pop(data.draw(st.integers(0, len(states) - 1)))
        partner = data.draw(st.integers(0, len(states) - 1))
        states[partner] = states[partner].merge(other, equal_rows=True)
    assert saved(states[0]) == saved(count(correct_RN))


def test_merging_leaves_both_states_as_they_were() -> None:
    first, second = count(random_matrix(1, 3, 10)), count(random_matrix(2, 3, 10), first_id=3)
    before = saved(first), saved(second)
    first.merge(second)
    assert (saved(first), saved(second)) == before


def test_arrays_round_trip_through_a_file() -> None:
    state = count(random_matrix(3, 9, 21))
    with np.load(io.BytesIO(saved(state)), allow_pickle=False) as arrays:
        assert saved(CorrectnessCounts.from_arrays(arrays)) == saved(state)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("c_N", lambda a: a.astype(np.float64), "float64"),
        ("k_R", lambda a: a[:-1], r"k_R is int64\(4,\)"),
        ("h_N", lambda a: a + 1, "disagree"),
        ("even_R", lambda a: a + 1, "disagree"),
        ("h2_N", lambda a: a - 1, "disagree"),
        ("run_ids_R", lambda a: a[::-1], "disagree"),
        ("row_hash_RB", lambda a: a[:, :8], "row_hash_RB"),
        ("Q", None, ""),
    ],
)
def test_damaged_arrays_are_refused(name: str, change: Any, message: str) -> None:
    arrays = count(random_matrix(4, 5, 11)).to_arrays()
    if change is None:
        del arrays["h2_N"]
        message = "lack h2_N"
    else:
        arrays[name] = change(arrays[name])
    with pytest.raises(StoreDamagedError, match=message):
        CorrectnessCounts.from_arrays(arrays)


def test_refuses_to_count_a_run_twice() -> None:
    state = count(random_matrix(5, 4, 10))
    with pytest.raises(StoreRefusedError, match="Run 3 would be counted twice"):
        state.merge(count(random_matrix(6, 2, 10), first_id=3))
    with pytest.raises(StoreRefusedError, match="Run 9 would be counted twice"):
        CorrectnessCounts.of(10, HASH, [9, 8, 9], pack(random_matrix(6, 3, 10)))


def test_refuses_to_merge_equal_rows_unless_they_are_said_to_be_honest() -> None:
    correct_RN = random_matrix(10, 6, 40)
    correct_RN[5] = correct_RN[1]
    first, second = count(correct_RN[:3]), count(correct_RN[3:], first_id=3)
    with pytest.raises(StoreRefusedError, match=r"Run 5 equals run 1 bit for bit \(rows found in both: 1\)"):
        first.merge(second)
    assert saved(first.merge(second, equal_rows=True)) == saved(count(correct_RN))


@pytest.mark.parametrize(("n", "test_set"), [(11, HASH), (10, "b" * 64)])
def test_refuses_another_test_set(n: int, test_set: str) -> None:
    with pytest.raises(StoreRefusedError, match="different test sets"):
        count(random_matrix(7, 2, 10)).merge(CorrectnessCounts.empty(n, test_set))


def test_refuses_pad_bits_and_wrong_shapes() -> None:
    packed_RB = pack(random_matrix(8, 3, 10))
    packed_RB[1, -1] |= 1 << 2
    with pytest.raises(StoreDamagedError, match="row of run 41 has bits beyond its 10 examples"):
        CorrectnessCounts.of(10, HASH, [40, 41, 42], packed_RB)
    for n, ids, rows in (
        (17, [1, 2, 3], packed_RB),
        (10, [1, 2], packed_RB),
        (10, [1, 2, 3], packed_RB * 1.0),
    ):
        with pytest.raises(UsageError, match="pack with np"):
            CorrectnessCounts.of(n, HASH, ids, rows)  # type: ignore[arg-type]


def test_equal_rows_under_different_ids_are_reported_in_groups() -> None:
    correct_RN = random_matrix(9, 8, 40)
    correct_RN[5] = correct_RN[2]
    correct_RN[[4, 7]] = correct_RN[1]
    assert sorted(count(correct_RN).repeated_rows()) == [(1, 4, 7), (2, 5)]
    assert count(correct_RN[:4]).repeated_rows() == []
    assert CorrectnessCounts.empty(8, HASH).repeated_rows() == []


def test_sums_of_a_large_campaign_are_exact_beyond_float64() -> None:
    """60,000 runs on 50,000 examples, all right: R * S2 and S1**2 are 9e18, the sum of h2 is 7.5e18."""
    runs, n = 60_000, 50_000
    state = CorrectnessCounts(
        n=n,
        test_set_hash=HASH,
        run_ids_R=np.arange(runs),
        k_R=np.full(runs, n),
        even_R=np.full(runs, n // 2),
        row_hash_RB=np.zeros((runs, 16), np.uint8),
        c_N=np.full(n, runs),
        h_N=np.full(n, runs * n),
        h2_N=np.full(n, runs * n**2),
    )
    assert (runs * n, runs * n**2, n * runs**2) == (state.S1, state.S2, state.Q)
    assert runs * n**2 == CorrectnessCounts.from_arrays(state.to_arrays()).S2


def test_block_sums_of_wide_rows_are_exact() -> None:
    """k**2 of 200,000 examples is 4e10: past float32, and 64 such rows past 2**41."""
    n = 200_001
    correct_RN = np.ones((70, n), bool)
    correct_RN[::2, 0] = False
    state = count(correct_RN)
    assert state.h2_N[0] == 35 * n**2
    assert state.h2_N[1] == 35 * n**2 + 35 * (n - 1) ** 2
