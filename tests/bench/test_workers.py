"""Workers are there before their first turn, work at once, and leave when they are no longer asked."""

import multiprocessing
import os
from functools import partial

import pytest
import torch

from bench.workers import Work, WorkerFailedError, Workers


def make(failing_seed: int) -> Work:
    return partial(work, failing_seed)


def work(failing_seed: int, seed: int) -> float:
    if seed == failing_seed:
        raise ArithmeticError("no such seed")
    return seed + torch.get_num_threads() / 10 + 100 * ("OMP_NUM_THREADS" in os.environ)


def fail() -> Work:
    raise ArithmeticError("cannot be made")


def test_a_turn_gives_each_worker_a_seed_and_what_one_raises_is_raised_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")  # of our shell, and not of theirs
    with Workers(partial(make, 4), processes=2, threads=1) as workers:
        assert workers.turn() == [0.1, 1.1]
        assert workers.turn() == [2.1, 3.1]
        assert len(multiprocessing.active_children()) == 2
        with pytest.raises(WorkerFailedError, match="no such seed"):
            workers.turn()
    assert multiprocessing.active_children() == []
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_a_worker_that_cannot_be_made_leaves_nothing() -> None:
    with pytest.raises(WorkerFailedError, match="cannot be made"):
        Workers(fail, processes=1, threads=1)
    assert multiprocessing.active_children() == []
