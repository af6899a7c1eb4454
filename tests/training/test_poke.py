"""The poke: which weight, that nothing before it changes, and that everything after it may."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from airbench_var.data.dataset import Dataset
from airbench_var.errors import UsageError
from airbench_var.models import Model, build
from airbench_var.recipe import Poke, Recipe
from airbench_var.recipes import find_recipe
from airbench_var.seeds import Seeds, init_generator
from airbench_var.training import Settings, Trainer, refuse_misfit
from airbench_var.training import trainer as trainer_module
from airbench_var.training.optimizers import Optimizers
from airbench_var.training.poke import poke, poked_weight
from airbench_var.training.settings import IN_C, Engine, obstacle_to
from tests.training.test_trainer import SEEDS, bits, quick

WHERE = {
    "airbench94": ("groups.0.conv1.weight", (0, 0, 1, 1)),
    "resnet9": ("stem.0.conv.weight", (0, 0, 1, 1)),
    "tiny": ("groups.0.conv1.weight", (0, 0, 1, 1)),
    "linear": ("weight", (0, 0)),
}
#: A thousandth of a weight of 1e-4, which `linear` starts with, may be lost in the rounding of a loss.
SMALL: dict[str, dict[str, object]] = {
    "tiny": {},
    "resnet9": {"network.width": 4},
    "linear": {"network.init_std": 0.1},
}
STEPS = 12  #: of one epoch


def poked(recipe: Recipe, step: int, factor: float = 1.001) -> Recipe:
    return replace(recipe, poke=Poke(step=step, factor=factor))


def network(name: str) -> Model:
    """Return a new network, as runs begin with."""
    model = build(find_recipe(name).network, classes=10, pixels=3072)
    model.reset(init_generator(SEEDS.init))
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class Run:
    """One run: what it predicts, its loss in every step, and the weights that it ends with."""

    def __init__(self, trainer: Trainer, seeds: Seeds = SEEDS) -> None:
        trainer.prepare()  # which may try a step
        self.losses: list[float] = []
        loss = trainer.loss

        def noting(images_BCHW: Tensor, labels_B: Tensor) -> Tensor:
            value = loss(images_BCHW, labels_B)
            self.losses.append(value.item())
            return value

        trainer.loss = noting
        self.bits = bits(trainer(seeds))
        trainer.loss = loss
        self.weights = [tensor.numpy().tobytes() for tensor in trainer.model.state_dict().values()]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and vars(self) == vars(other)


@pytest.mark.parametrize("name", WHERE)
def test_one_weight_is_multiplied_and_it_is_this_one(name: str) -> None:
    model, (parameter, place) = network(name), WHERE[name]
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    poke(model, 1.001)
    for key, tensor in model.state_dict().items():
        changed = [tuple(index) for index in torch.nonzero(tensor != before[key]).tolist()]
        assert changed == ([place] if key == parameter else [])
    was, is_now = before[parameter][place].item(), model.state_dict()[parameter][place].item()
    assert was != 0
    assert is_now == np.float32(was) * np.float32(1.001)


@pytest.mark.parametrize("name", WHERE)
def test_it_is_trained_to_the_last_step(name: str) -> None:
    model = network(name)
    optimizers = Optimizers(model, find_recipe(name).optimizer, steps=20, steps_per_epoch=2)
    optimizers.begin_phase(19)
    base = poked_weight(model)._base
    assert any(base is parameter and parameter.requires_grad for parameter in optimizers.params)


@pytest.fixture(
    params=["tiny", "resnet9", "linear", *(f"tiny-{engine}" for engine in IN_C), "linear-compiled"]
)
def trained(request: pytest.FixtureRequest, small_data: Dataset) -> tuple[Recipe, Settings]:
    """A recipe of one epoch, and the engine that trains it."""
    name, _, engine_name = request.param.partition("-")
    engine: Engine = engine_name or "eager"
    recipe = quick(name, **SMALL[name])
    if engine in IN_C and (why_not := obstacle_to(engine, recipe, small_data, threads=1)):
        pytest.skip(why_not)
    return recipe, Settings(engine=engine)


@pytest.mark.parametrize("step", [0, 5, STEPS - 1])
def test_it_comes_once_right_before_its_step(
    step: int, small_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(poked(quick("linear"), step), small_data, Settings())
    order: list[object] = []
    loss = trainer.loss
    monkeypatch.setattr(trainer, "loss", lambda *batch: (order.append("step"), loss(*batch))[1])
    monkeypatch.setattr(trainer_module, "poke", lambda model, factor: order.append((model, factor)))
    trainer(SEEDS)
    assert order == ["step"] * step + [(trainer.model, 1.001)] + ["step"] * (STEPS - step)


def test_what_comes_before_is_the_same_and_what_comes_after_is_not(
    trained: tuple[Recipe, Settings], small_data: Dataset
) -> None:
    recipe, settings = trained
    plain = Run(Trainer(recipe, small_data, settings))
    assert len(plain.losses) == STEPS
    for step in (0, 5):
        # By more than 1.001: of so few steps in half precision none need show that, as on some processors.
        after = Run(Trainer(poked(recipe, step, 1.5), small_data, settings))
        assert after.losses[:step] == plain.losses[:step]
        assert after.losses[step:] != plain.losses[step:]
        assert after.weights != plain.weights


def test_it_can_come_before_the_last_step(trained: tuple[Recipe, Settings], small_data: Dataset) -> None:
    recipe, settings = trained
    plain, after = (Run(Trainer(one, small_data, settings)) for one in (recipe, poked(recipe, STEPS - 1)))
    assert after.losses[:-1] == plain.losses[:-1]
    assert after.weights != plain.weights


def test_a_factor_of_one_changes_no_bit(trained: tuple[Recipe, Settings], small_data: Dataset) -> None:
    recipe, settings = trained
    plain, after = (Run(Trainer(one, small_data, settings)) for one in (recipe, poked(recipe, 5, 1.0)))
    assert after == plain


def test_every_run_is_poked_alike(trained: tuple[Recipe, Settings], small_data: Dataset) -> None:
    recipe, settings = trained
    trainer = Trainer(poked(recipe, 0), small_data, settings)
    first = Run(trainer)
    other = Run(trainer, Seeds(init=9, order=9, aug=9))
    assert Run(trainer) == first
    assert Run(Trainer(poked(recipe, 0), small_data, settings)) == first
    assert other != first


def test_a_large_factor_changes_predictions(small_data: Dataset) -> None:
    """1.001 need not, on 203 easy examples after twelve steps."""
    recipe = quick("tiny")
    plain, after = (Run(Trainer(one, small_data, Settings())) for one in (recipe, poked(recipe, 5, 30.0)))
    assert after.bits != plain.bits


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"poke.step": 12}, "'poke.step' is 12; its last step is 11, counted from 0"),
        ({"poke.step": 3, "epochs": 0.2}, "'poke.step' is 3; its last step is 2"),
        ({"poke.step": 0, "epochs": 0}, "'poke.step' is 0; it has no training step"),
    ],
)
def test_a_poke_before_a_step_that_never_comes_is_refused(
    changes: dict[str, object], message: str, small_data: Dataset
) -> None:
    recipe = quick(**changes)
    with pytest.raises(UsageError) as told:
        refuse_misfit(recipe, small_data)
    with pytest.raises(UsageError) as caught:
        Trainer(recipe, small_data, Settings())
    assert message in str(told.value)
    assert str(caught.value) == str(told.value)
    refuse_misfit(poked(recipe.with_values({"epochs": 1}), 11), small_data)
