"""Arms of other rates, and verdicts from made-up runs."""

from dataclasses import replace

import pytest

from airbench_var.recipes import find_recipe
from airbench_var.studies import learning_rate
from airbench_var.studies.arms import Evidence
from airbench_var.studies.findings import Findings
from airbench_var.studies.learning_rate import with_rate
from airbench_var.studies.scales import SCALES
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
    assert [claim.verdict for claim in learning_rate._above_the_best(trained, (-1, 0, 1))] == [above] * 2


def test_the_length_of_training_is_said_and_what_the_paper_prints_stands_beside_its_own() -> None:
    def found(scale_name: str) -> Findings:
        scale = SCALES[scale_name]
        trained = [
            made_up(arm.name, 0.6, 0.01, runs=9, n=90, thorough=True) for arm in learning_rate.arms(scale)
        ]
        for one, arm in zip(trained, learning_rate.arms(scale), strict=True):
            one.arm = arm
        return learning_rate.findings(Evidence(trained=trained, data=None, scale=scale))  # type: ignore[arg-type]

    cpu, paper = found("cpu"), found("paper")
    for findings, length in ((cpu, "4 epochs)"), (paper, "64 epochs)")):
        assert [length in claim.text for claim in findings.claims] == [True] * 3
    assert cpu.notes[0].startswith("Every arm is trained for 4 epochs, in the paper for 64.")
    assert {(one.arm, one.name): one.paper for one in paper.numbers if one.paper is not None} == {
        ("rate x 2^0", "test_set_std"): 0.00148,
        ("rate x 2^1", "test_set_std"): 0.00168,
    }
    assert not any(one.paper for one in cpu.numbers)


@pytest.mark.parametrize(("means", "exponents"), [((0.6, 0.7), (0, 1)), ((0.7, 0.6), (-2, 0))])
def test_nothing_can_be_told_where_twice_the_best_rate_was_not_trained(means, exponents) -> None:
    trained = [made_up(str(mean), mean, std) for mean, std in zip(means, (0.005, 0.02), strict=True)]
    for claim in learning_rate._above_the_best(trained, exponents):
        assert (claim.verdict, "was not trained" in claim.because) == ("cannot be told", True)


def test_the_choice_of_the_lowest_variance_is_allowed_for() -> None:
    """A spread that is told apart from one other need not be when it is the lowest of six."""
    best, lowest = made_up("best", 0.7, 0.01), made_up("lowest", 0.6, 0.0084)
    others = [made_up(str(place), 0.5, 0.03) for place in range(5)]
    assert learning_rate._same_place([lowest, best]).verdict == "does not hold"
    claim = learning_rate._same_place([lowest, best, *others])
    assert (claim.verdict, "others at lowest" in claim.because) == ("cannot be told", True)
    assert (claim.runs_needed or 0) > best.state.correct.R


def test_arms_are_one_a_rate_at_the_length_of_the_study_with_seeds_of_their_own() -> None:
    for scale in SCALES.values():
        arms = learning_rate.arms(scale)
        assert len({arm.seed for arm in arms}) == len(arms) == len(scale.rates)
        for arm, exponent in zip(arms, scale.rates, strict=True):
            assert arm.recipe == with_rate(scale.recipe.with_values({"epochs": scale.rate_epochs}), exponent)
            assert arm.name == f"rate x 2^{exponent}"
