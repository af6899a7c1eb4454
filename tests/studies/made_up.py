"""Runs that nobody trained, of a known mean and spread: for the verdicts of studies."""

import zlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from airbench_var.analysis import summarize
from airbench_var.recipes import find_recipe
from airbench_var.stats import CampaignState
from airbench_var.studies.arms import Arm


def made_up(name: str, mean: float, std: float, runs: int = 200, n: int = 4000, **more: Any) -> Any:
    """Return runs of this very mean and std, normal, each right on examples drawn without replacement."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    z_R = generator.permutation(ndtri((np.arange(runs) + 0.5) / runs))
    accuracy_R = mean + std * z_R / z_R.std(ddof=1)
    k_R = np.clip(np.rint(n * accuracy_R), 0, n).astype(int)
    correct_RN = generator.permuted(np.arange(n) < k_R[:, None], axis=1)
    return of_bits(name, {"t": correct_RN}, **more)


def of_bits(name: str, correct: dict[str, npt.NDArray[np.bool_]], **more: Any) -> Any:
    """Return what a study sees of runs with these bits, (R, N) by test set."""
    one = of_states(name, {test_set: _state(correct_RN) for test_set, correct_RN in correct.items()}, **more)
    one.correct_RN = lambda test_set: correct[test_set].astype(np.uint8)
    return one


def of_states(
    name: str,
    states: dict[str, CampaignState],
    *,
    epochs: float = 8,
    vary: tuple[str, ...] = Arm.vary,
    thorough: bool = False,
) -> Any:
    """Return what a study sees of runs with these counts by test set, as if trained for so many epochs."""
    summaries = {
        test_set: summarize(test_set, state, thorough=thorough) for test_set, state in states.items()
    }
    first = next(iter(states))
    recipe = find_recipe("tiny").with_values({"epochs": epochs})
    return SimpleNamespace(
        arm=Arm(name=name, recipe=recipe, runs=states[first].correct.R, vary=vary),
        state=states[first],
        summary=summaries[first],
        state_of=states.__getitem__,
        summary_of=summaries.__getitem__,
        store=SimpleNamespace(test_sets=tuple(states)),
    )


def of_accuracies(accuracies: dict[str, npt.NDArray[np.float64]], n: int = 1_000_000) -> Any:
    """Return what a study of fresh examples sees of runs with these accuracies, (R,) by test set."""
    states = {
        name: SimpleNamespace(
            correct=SimpleNamespace(k_R=np.rint(n * of_R).astype(np.int64), n=n, R=len(of_R))
        )
        for name, of_R in accuracies.items()
    }
    return SimpleNamespace(state_of=states.__getitem__, store=SimpleNamespace(test_sets=tuple(states)))


def _state(correct_RN: npt.NDArray[np.bool_]) -> CampaignState:
    runs, n = correct_RN.shape
    packed_RB = np.packbits(correct_RN, axis=1, bitorder="little")
    return CampaignState.empty("t", n).update(np.arange(runs), packed_RB)
