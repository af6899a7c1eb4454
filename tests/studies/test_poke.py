"""Where the arms poke, and what the verdicts follow from."""

from airbench_var.studies import poke
from airbench_var.studies.arms import Workplace
from airbench_var.studies.scales import SCALES
from airbench_var.training import Settings, Trainer
from tests.analysis.made_estimates import estimate
from tests.studies.conftest import QUICK


def test_pokes_are_at_shares_of_the_steps_that_a_trainer_takes(workplace: Workplace) -> None:
    base, *poked = poke.arms(QUICK)
    steps = Trainer(base.recipe, workplace.data, Settings()).steps
    for arm, share in zip(poked, QUICK.poked_at, strict=True):
        assert arm.recipe.poke is not None
        assert arm.recipe.poke.step == int(share * steps) < steps
        assert (arm.seed, arm.runs) == (base.seed, base.runs)
    assert base.recipe.poke is None


def test_every_scale_pokes_at_different_steps() -> None:
    for scale in SCALES.values():
        steps = [arm.recipe.poke.step for arm in poke.arms(scale) if arm.recipe.poke]
        assert len(set(steps)) == len(scale.poked_at)
        assert scale.poked_at[0] == 0


def test_verdicts() -> None:
    new_seeds = estimate(0.05, (0.0495, 0.0505))
    near, far = estimate(0.049, (0.0485, 0.0495)), estimate(0.03, (0.0295, 0.0305))
    assert poke._as_new_seeds([near], new_seeds).verdict == "holds"
    assert poke._as_new_seeds([far], new_seeds).verdict == "does not hold"
    assert poke._as_new_seeds([estimate(None, None)], new_seeds).verdict == "cannot be told"
