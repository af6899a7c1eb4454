"""One training step: with the engine that a campaign chooses, with the others, and as a plain script.

The first call of the compiled variant is what compiling costs; code that torch.compile kept on disk from
earlier shortens it (TORCHINDUCTOR_FORCE_DISABLE_CACHES=1 ignores that).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import sqrt
from types import MappingProxyType
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from airbench_var.data import synthetic
from airbench_var.recipe import AirbenchNet, Recipe
from airbench_var.recipes.airbench import airbench94, tiny
from airbench_var.seeds import Seeds, init_generator
from airbench_var.training import Settings, Trainer, choose_engine
from airbench_var.training.optimizers import Optimizers
from airbench_var.training.settings import IN_C, Engine, obstacle_to
from bench.schema import OURS, Case, Result, Variant, multiplying

SEEDS = Seeds(init=1, order=2, aug=3)

#: What makes a step small enough for a test.
SMALL: Mapping[str, Any] = MappingProxyType({"batch_size": 24, "network.widths": (8, 12, 16)})


def cases(device: torch.device, changes: Mapping[str, Any] = MappingProxyType({})) -> Iterator[Case]:
    """Yield a step of each recipe that the campaigns use, with some of its values changed."""
    for recipe in (tiny(), airbench94()):
        yield step_case(recipe.with_values(changes), device)


def step_case(recipe: Recipe, device: torch.device) -> Case:
    """Return forward pass, loss, backward pass and optimizers of a recipe with an Airbench network."""
    torch.compiler.reset()  # a batch of another size in the same process would compile for any size
    threads = torch.get_num_threads()
    ours, _ = choose_engine("auto", str(device), threads, [recipe], synthetic.load())
    engines: list[Engine] = [ours, "eager", "compiled"]
    if device.type == "cpu":  # also those that are not the choice
        engines += [one for one in IN_C if not obstacle_to(one, recipe, synthetic.load(), threads)]
    settings = {name: Settings(device=str(device), threads=threads, engine=name) for name in engines}
    eager = settings["eager"]
    dtype = eager.activation_dtype(recipe)
    operations, digits = count_operations(recipe, eager), str(dtype).removeprefix("torch.")
    step = Step(recipe, settings.pop(ours))
    others: dict[str, Variant] = {f"{name} step": Step(recipe, choice) for name, choice in settings.items()}
    return Case(
        key=recipe.name,
        name=f"step of {recipe.name}, {recipe.batch_size} images, {operations / 1e9:.1f} GFLOP, {digits}",
        variants={
            OURS: step,
            **others,
            "plain step": Step(recipe.with_values({"precision": "single"}), eager, torch.contiguous_format),
        },
        bytes_moved=step.bytes_moved,
        ceiling=multiplying(operations, dtype, device),
        tolerances=tolerances(recipe, dtype),
    )


class Step:
    """The first step of a run, called again and again: the same batch and rates, weights that move on.

    The images are those of the embedded data set, which have the shape of CIFAR-10's.
    """

    def __init__(
        self, recipe: Recipe, settings: Settings, memory_format: torch.memory_format = torch.channels_last
    ) -> None:
        data = synthetic.load()
        data = replace(data, train=data.train.first(recipe.batch_size), test=data.test.first(1))
        trainer = Trainer(recipe, data, settings)
        images_BCHW, self.labels_B = next(trainer.loader.epoch(0, SEEDS))
        self.images_BCHW = images_BCHW.contiguous(memory_format=memory_format)
        self.model = trainer.model.to(memory_format=memory_format)  # type: ignore[call-overload]
        self.model.reset(init_generator(SEEDS.init))
        self.model.train()
        self.loss = trainer.loss
        self.optimizers = Optimizers(self.model, recipe.optimizer, steps=1, steps_per_epoch=1)
        self.optimizers.begin_phase(0)
        self.index_1 = torch.zeros(1, dtype=torch.int64, device=self.labels_B.device)

    def __call__(self) -> Result:
        """Step; return the loss, and the gradients as they were before the optimizers."""
        loss = self.loss(self.images_BCHW, self.labels_B)
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = tuple(p.grad for p in self.model.parameters() if p.grad is not None)
        self.optimizers.step(self.index_1)
        return loss.detach(), gradients

    @property
    def bytes_moved(self) -> int:
        """What no step can avoid: the batch is read, weights and momenta are read and written."""
        weights: int = sum(p.nbytes for p in self.model.parameters())
        return self.images_BCHW.nbytes + self.labels_B.nbytes + 4 * weights


def count_operations(recipe: Recipe, settings: Settings) -> int:
    """Return the floating point operations of a step's convolutions and matrix products."""
    step = Step(recipe, settings)  # not counted: whitening
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def tolerances(recipe: Recipe, dtype: torch.dtype) -> tuple[float, float]:
    """Return the largest relative error of a loss and of gradients that rounding to half precision explains.

    A number is rounded by at most u of its size: 2^-8 for bfloat16, 2^-11 for float16. The loss is a mean of
    many such errors, so less than u. Gradients fare worse, because they pass decisions: where a network
    takes the largest of its positions, or cuts at zero, about a share u of the entries goes another way in
    other roundings. Each of them is missing in one place and too much in another, 2 u of the squared norm;
    D decisions, independent of one another, make an error of sqrt(2 D u) of the norm: 0.29 for bfloat16,
    where 0.15 to 0.18 is seen.
    """
    assert isinstance(recipe.network, AirbenchNet)
    groups = len(recipe.network.widths)
    decisions = 1 + 3 * groups + 1  # an activation; two and a pooling each group; global pooling
    u = torch.finfo(dtype).eps / 2
    return u, sqrt(2 * decisions * u)
