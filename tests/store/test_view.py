from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airbench_var.errors import StoreDamagedError, UsageError
from airbench_var.own import run_many
from airbench_var.seeds import Seeds, seeds_of_run
from airbench_var.store import Store

N, R = 45, 9


def answer(seeds: Seeds) -> np.ndarray:
    return np.random.default_rng(seeds.init).integers(0, 2, N)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(Store, "blocks", partialmethod(Store.blocks, rows_per_block=4))
    return run_many(answer, np.zeros(N, int) + (np.arange(N) % 2), runs=R, out=tmp_path / "own", show="quiet")


@pytest.mark.parametrize(
    "look",
    [
        lambda a: a[0],
        lambda a: a[-1],
        lambda a: a[2:7],
        lambda a: a[::-2],
        lambda a: a[[5, 0, 5]],
        lambda a: a[np.arange(R) % 3 == 1],
        lambda a: a[:, 7],
        lambda a: a[3, 7],
        lambda a: a[3, -5:],
        lambda a: a[1:, ::3],
        lambda a: a[:, [4, 1]],
        lambda a: a[:0],
        lambda a: a[:0, 3],
        lambda a: a[()],
        lambda a: a[(3,)],
        lambda a: a[..., 3],
        lambda a: np.asarray(a),
        lambda a: np.asarray(a, np.float64),
        lambda a: np.stack(list(a)),
    ],
)
def test_it_is_what_the_whole_array_is(store: Store, look: Callable[[Any], np.ndarray]) -> None:
    whole_RN = np.unpackbits(store.correct_packed("test"), axis=1, count=N, bitorder="little")
    view = store.view("test")
    found, expected = look(view), look(whole_RN)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    assert (found == expected).all()
    assert view.shape == whole_RN.shape == (R, N)


def test_two_lists_choose_a_rectangle(store: Store) -> None:
    view = store.view("test")
    assert (view[[1, 2], [3, 4]] == np.asarray(view)[np.ix_([1, 2], [3, 4])]).all()


def test_runs_that_are_asked_for(store: Store) -> None:
    view = store.view("test", [8, 2])
    assert view.run_ids_R.tolist() == [8, 2]
    assert (view[0] == store.view("test")[8]).all()
    assert (np.asarray(view) == np.asarray(store.view("test"))[[8, 2]]).all()
    assert (len(view), view.shape) == (2, (2, N))
    assert repr(view) == f"<correctness of 2 runs on {N} examples of test>"


def test_runs_that_are_not_committed_are_no_rows(tmp_path: Path) -> None:
    def fails(seeds: Seeds) -> np.ndarray:
        if seeds == seeds_of_run(0, 2):
            raise ZeroDivisionError
        return answer(seeds)

    with pytest.raises(ZeroDivisionError):
        run_many(fails, np.arange(N) % 2, runs=R, out=tmp_path / "own", show="quiet")
    store = Store.open(tmp_path / "own")
    assert store.view("test").run_ids_R.tolist() == [0, 1]
    assert store.capacity == R


def test_there_is_no_array_to_share(store: Store) -> None:
    with pytest.raises(ValueError, match="copy=False"):
        np.asarray(store.view("test"), copy=False)


def test_mistakes(store: Store) -> None:
    with pytest.raises(UsageError, match="no test set 'tset'"):
        store.view("tset")
    with pytest.raises(IndexError, match="out of bounds"):
        store.view("test")[R]
    with pytest.raises(IndexError, match="too many indices"):
        store.view("test")[1, 2, 3]
    for rows in (None, [[1, 2], [3, 4]]):
        with pytest.raises(IndexError, match="rows are chosen by"):
            store.view("test")[rows]
    with pytest.raises(UsageError, match="has no run 99"):
        store.view("test", [99])[0]


def test_only_what_is_looked_at_is_read_and_it_is_verified(store: Store) -> None:
    path = store.path / "test" / "correct.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # of the last run
    path.write_bytes(data)
    view = Store.open(store.path).view("test")
    assert view[: R - 1].shape == (R - 1, N)
    with pytest.raises(StoreDamagedError, match=f"run {R - 1}"):
        view[R - 1]
