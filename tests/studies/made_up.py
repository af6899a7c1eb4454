"""Runs that nobody trained, of a known mean and spread: for the verdicts of studies."""

import zlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from airbench_var.analysis import summarize
from airbench_var.recipes import find_recipe
from airbench_var.stats import CorrectnessCounts
from airbench_var.studies.arms import Arm


def made_up(name: str, mean: float, std: float, runs: int = 200, n: int = 4000) -> Any:
    """Return runs of normal accuracies, each right on examples drawn without replacement."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    k_R = np.clip(np.rint(n * generator.normal(mean, std, runs)), 0, n).astype(int)
    correct_RN = generator.permuted(np.arange(n) < k_R[:, None], axis=1)
    return of_bits(name, {"t": correct_RN})


def of_bits(name: str, correct: dict[str, npt.NDArray[np.bool_]]) -> Any:
    """Return what a study sees of runs with these bits, (R, N) by test set."""
    states = {test_set: _state(correct_RN) for test_set, correct_RN in correct.items()}
    summaries = {test_set: summarize(test_set, state, thorough=False) for test_set, state in states.items()}
    first = next(iter(correct))
    return SimpleNamespace(
        arm=Arm(name=name, recipe=find_recipe("tiny"), runs=len(correct[first])),
        state=states[first],
        summary=summaries[first],
        state_of=states.__getitem__,
        summary_of=summaries.__getitem__,
        store=SimpleNamespace(test_sets=tuple(correct)),
    )


def _state(correct_RN: npt.NDArray[np.bool_]) -> Any:
    packed_RB = np.packbits(correct_RN, axis=1, bitorder="little")
    counts = CorrectnessCounts.of(correct_RN.shape[1], "t", np.arange(len(correct_RN)), packed_RB)
    return SimpleNamespace(correct=counts, predicted=None, chunks={}, witness_WN=None)
