"""Where the arms poke, and what the verdicts follow from."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from airbench_var.studies import durations, poke, run_study
from airbench_var.studies.arms import Workplace
from airbench_var.studies.scales import SCALES
from airbench_var.training import Settings, Trainer
from tests.analysis.made_estimates import estimate
from tests.studies.conftest import QUICK
from tests.studies.made_up import made_up


def test_pokes_are_at_shares_of_the_steps_that_a_trainer_takes(workplace: Workplace) -> None:
    base, *poked = poke.arms(QUICK)
    steps = Trainer(base.recipe, workplace.data, Settings()).steps
    for arm, share in zip(poked, QUICK.poked_at, strict=True):
        assert arm.recipe.poke is not None
        assert arm.recipe.poke.step == int(share * steps) < steps
        assert (arm.seed, arm.runs) == (base.seed, base.runs)
    assert base.recipe.poke is None


def test_pokes_are_at_shares_of_the_steps_on_other_data_as_well(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of half the images half the steps."""

    class Planned(Exception):
        pass

    def planned(*_: object) -> None:
        raise Planned

    monkeypatch.setattr(Workplace, "train", planned)
    data = replace(workplace.data, train=workplace.data.train.first(10_000))
    with pytest.raises(Planned):
        run_study(poke.STUDY, QUICK, replace(workplace, data=data), tmp_path)
    arms = json.loads((tmp_path / "study.json").read_text())["arms"]
    steps = Trainer(poke.arms(QUICK)[0].recipe, data, Settings()).steps
    poked_at = [arm["recipe"]["poke"]["step"] for arm in arms[1:]]
    assert poked_at == [int(share * steps) for share in QUICK.poked_at]


def test_at_the_scale_of_the_paper_training_is_as_long_as_in_the_paper() -> None:
    for name, scale in SCALES.items():
        base, *poked = poke.arms(scale)
        assert (base.recipe.epochs == 128) == (name == "paper")
        assert {arm.recipe.epochs for arm in poked} == {base.recipe.epochs}
        for same in durations.arms(scale):  # the same runs, or of other seeds
            assert (same.recipe == base.recipe) == (same.seed == base.seed)


def test_every_scale_pokes_at_different_steps() -> None:
    for scale in SCALES.values():
        steps = [arm.recipe.poke.step for arm in poke.arms(scale) if arm.recipe.poke]
        assert len(set(steps)) == len(scale.poked_at)
        assert scale.poked_at[0] == 0


def test_verdicts() -> None:
    new_seeds = estimate(0.05, (0.0495, 0.0505))
    near, far = estimate(0.049, (0.0485, 0.0495)), estimate(0.03, (0.0295, 0.0305))
    assert poke._as_new_seeds([near, far], new_seeds).verdict == "holds"
    assert poke._as_new_seeds([far, near], new_seeds).verdict == "does not hold"
    nine_tenths = estimate(0.0455, (0.0454, 0.0456))  # 0.91 of it
    assert poke._as_new_seeds([nine_tenths], new_seeds).verdict == "cannot be told"
    assert poke._as_new_seeds([estimate(0.0462, (0.0461, 0.0463))], new_seeds).verdict == "holds"
    assert poke._as_new_seeds([estimate(None, None)], new_seeds).verdict == "cannot be told"


@pytest.mark.parametrize(
    ("churns", "verdict"),
    [
        ((0.05, 0.04, 0.03), "holds"),
        ((0.05, 0.0499, 0.03), "cannot be told"),  # of the first two
        ((0.05, 0.04, 0.0399), "cannot be told"),  # of the last two
        ((0.05, 0.03, 0.04), "does not hold"),  # the last changes more than the one before it
        ((0.03, 0.04, 0.05), "does not hold"),
        ((0.03, 0.05, 0.02), "does not hold"),  # the first changes more than the last, and less than another
        ((0.05, 0.05, 0.0499), "cannot be told"),
    ],
)
def test_earlier_is_more_at_every_step(churns, verdict) -> None:
    found = [estimate(churn, (churn - 0.001, churn + 0.001)) for churn in churns]
    poked = [made_up(f"at {place}", 0.6, 0.01, runs=9, n=90) for place in range(3)]
    claim = poke._earlier_is_more(poked, found)
    assert claim.verdict == verdict
    assert claim.because.startswith(f"{100 * churns[0]:.2f} % (")
    assert claim.because.index("at 0") < claim.because.index("at 2")


def test_runs_of_equal_id_are_paired_on_the_first_test_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poke, "churn_of_stores", lambda *arguments: arguments)
    base, other = (made_up(name, 0.6, 0.01, runs=9, n=90) for name in ("not poked", "0 %"))
    base.run_ids_R = [0, 1, 2, 5]
    assert poke._churn(base, other) == (base.store, other.store, "t", base.run_ids_R)


@pytest.mark.parametrize(("epochs", "printed"), [(128, (0.0519, 0.0514)), (64, (None, None))])
def test_numbers_are_over_that_of_new_seeds(epochs, printed) -> None:
    """Beside them what the paper prints, of training as long as its own."""
    base, one, other = (
        made_up(name, 0.6, 0.01, runs=9, n=90, epochs=epochs) for name in ("not poked", "0 %", "50 %")
    )
    base.summary = SimpleNamespace(estimates={"disagreement": estimate(0.05, (0.049, 0.051))})
    churns = [estimate(0.04, (0.039, 0.041)), estimate(0.02, (0.019, 0.021))]
    found = [
        (number.arm, number.name, number.value, number.paper)
        for number in poke._numbers(base, [one, other], churns)
    ]
    ratio = "churn_over_that_of_new_seeds"
    assert found == [
        ("not poked", "churn_of_new_seeds", 0.05, printed[0]),
        ("0 %", "x", 0.04, printed[1]),
        ("0 %", ratio, pytest.approx(0.8), None),
        ("50 %", "x", 0.02, None),
        ("50 %", ratio, pytest.approx(0.4), None),
    ]
