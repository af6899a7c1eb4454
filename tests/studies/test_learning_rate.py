"""Arms of other rates, and verdicts from made-up runs."""

from dataclasses import replace

import pytest

from airbench_var.recipes import find_recipe
from airbench_var.studies import learning_rate
from airbench_var.studies.learning_rate import with_rate
from tests.studies.made_up import made_up


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


@pytest.mark.parametrize(
    ("stds", "same", "above"),
    [
        ((0.01, 0.005, 0.01), "holds", "holds"),
        ((0.005, 0.01, 0.005), "does not hold", "does not hold"),
        ((0.01, 0.01, 0.01), "cannot be told", "cannot be told"),
    ],
)
def test_verdicts(stds, same, above) -> None:
    trained = [made_up(str(std), mean, std) for mean, std in zip((0.6, 0.7, 0.65), stds, strict=True)]
    assert learning_rate._same_place(trained).verdict == same
    assert learning_rate._above_the_best(trained).verdict == above


def test_beyond_the_largest_rate_nothing_can_be_told() -> None:
    trained = [made_up(str(mean), mean, 0.01) for mean in (0.6, 0.7)]
    claim = learning_rate._above_the_best(trained)
    assert (claim.verdict, "largest rate" in claim.because) == ("cannot be told", True)
