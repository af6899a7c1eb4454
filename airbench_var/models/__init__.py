"""The networks: built from a recipe's network part, reset in place for every run."""

from airbench_var.models.airbench import Airbench
from airbench_var.models.linear import Linear
from airbench_var.models.resnet import ResNet9
from airbench_var.recipe import AirbenchNet, LinearNet, Network

Model = Airbench | ResNet9 | Linear


def build(network: Network, *, classes: int, pixels: int) -> Model:
    """Return the network, uninitialised, for images of `pixels` values (C * H * W) in `classes` classes."""
    if isinstance(network, AirbenchNet):
        return Airbench(network, classes)
    if isinstance(network, LinearNet):
        return Linear(network, classes, pixels)
    return ResNet9(network, classes)
