"""The poke: one weight multiplied once, between two training steps. Source: paper, App D.2, Fig 12.

The weight is the same in every run: of the first convolution that is trained, or of a linear model, that from
the first input to the first output channel, at the centre of its filter. Not at the filter's corner: there
airbench94's convolutions start at 0, which no factor changes; at the centre they start at 1.

Weights are float32 and are rounded when a convolution reads them. Float16 resolves a factor of 1.001,
bfloat16 (on CPUs) steps by 1.004 to 1.008: the poked weight may be read as it was. The difference then waits
in the weights until an update carries one over an edge, soon under Muon, which scales all of a layer by its
norm. Few steps may be too few for that, and a poke before the last steps may change no prediction.
"""

import torch
from torch import Tensor

from airbench_var.errors import UsageError
from airbench_var.models import Model
from airbench_var.recipe import Recipe


def poked_weight(model: Model) -> Tensor:
    """Return the weight that a poke multiplies, a view () of the parameter that holds it."""
    weight_OI = max(model.parameters(), key=lambda parameter: parameter.ndim)  # of equals the first
    centre = [size // 2 for size in weight_OI.shape[2:]]
    return weight_OI[(0, 0, *centre)]


@torch.no_grad()
def poke(model: Model, factor: float) -> None:
    """Multiply the weight in place: the steps of a CUDA graph read it where it was.

    Nothing waits for the device; on CUDA it is queued between two replays, in the lane of both.
    """
    poked_weight(model).mul_(factor)


def refuse_late(recipe: Recipe, steps: int) -> None:
    """Raise UsageError for a poke before a training step that the recipe does not have."""
    if recipe.poke is not None and recipe.poke.step >= steps:
        has = f"its last step is {steps - 1}, counted from 0" if steps else "it has no training step"
        raise UsageError(
            f"recipe key 'poke.step' is {recipe.poke.step}; {has}. Poke before one of its steps, or train "
            "for more epochs."
        )
