"""Arms of other rates, and verdicts from made-up runs."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from airbench_var.analysis import summarize
from airbench_var.recipes import find_recipe
from airbench_var.stats import CorrectnessCounts
from airbench_var.studies import learning_rate
from airbench_var.studies.arms import Arm
from airbench_var.studies.learning_rate import with_rate


def test_all_rates_of_muon_are_scaled_and_nothing_else() -> None:
    own = find_recipe("tiny")
    optimizer, faster = own.optimizer, with_rate(own, 2).optimizer
    for name, value in vars(optimizer).items():
        times = 4 if name in ("lr", "bias_lr", "head_lr") else 1
        assert getattr(faster, name) == (value if isinstance(value, str) else value * times), name
    assert replace(with_rate(own, 2), optimizer=optimizer) == own
    assert with_rate(own, 0) == own


def test_the_rate_of_sgd_is_scaled() -> None:
    own = find_recipe("resnet9")
    assert with_rate(own, -1).optimizer == replace(own.optimizer, lr=own.optimizer.lr / 2)


def made_up(mean: float, std: float, name: str, runs: int = 200, n: int = 10_000) -> Any:
    """Return runs of this spread; examples are as many as it takes, right in the order of their index."""
    generator = np.random.default_rng(hash((mean, std)) % 2**32)
    k_R = np.clip(np.rint(n * generator.normal(mean, std, runs)), 0, n).astype(int)
    order_RN = np.argsort(generator.random((runs, n)), axis=1)
    correct_RN = np.zeros((runs, n), bool)
    for correct_N, order_N, k in zip(correct_RN, order_RN, k_R, strict=True):
        correct_N[order_N[:k]] = True
    counts = CorrectnessCounts.of(n, "t", np.arange(runs), np.packbits(correct_RN, axis=1, bitorder="little"))
    state = SimpleNamespace(correct=counts, predicted=None, chunks={}, witness_WN=None)
    summary = summarize("t", state, thorough=False)  # type: ignore[arg-type]
    return SimpleNamespace(
        arm=Arm(name=name, recipe=find_recipe("tiny"), runs=runs), state=state, summary=summary
    )


@pytest.mark.parametrize(
    ("stds", "same", "above"),
    [
        ((0.01, 0.005, 0.01), "holds", "holds"),
        ((0.005, 0.01, 0.005), "does not hold", "does not hold"),
        ((0.01, 0.01, 0.01), "cannot be told", "cannot be told"),
    ],
)
def test_verdicts(stds, same, above) -> None:
    trained = [made_up(mean, std, str(std)) for mean, std in zip((0.6, 0.7, 0.65), stds, strict=True)]
    assert learning_rate._same_place(trained).verdict == same
    assert learning_rate._above_the_best(trained).verdict == above


def test_beyond_the_largest_rate_nothing_can_be_told() -> None:
    trained = [made_up(mean, 0.01, str(mean)) for mean in (0.6, 0.7)]
    claim = learning_rate._above_the_best(trained)
    assert (claim.verdict, "largest rate" in claim.because) == ("cannot be told", True)
