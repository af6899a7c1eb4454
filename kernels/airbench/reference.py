"""The truth: the same passes in plain PyTorch, rounded where native.c rounds.

With `rounded` left out and in float64 it is exact arithmetic, equal to what autograd makes of the network.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import grad

Rounded = Callable[[Tensor], Tensor]


def to_bfloat16(values: Tensor) -> Tensor:
    """Return the nearest bfloat16 numbers, in the type of the values."""
    return values.bfloat16().to(values.dtype)


@dataclass(frozen=True)
class Layer:
    """What a convolution and its norm leave for the way back; z is the convolution's result, pooled."""

    read: Tensor
    filters: Tensor
    z: Tensor
    winner: Tensor | None  #: of each pool, its place in the unpooled image
    mean: Tensor
    rstd: Tensor
    bias: Tensor

    @property
    def centred(self) -> Tensor:
        """The normalised result without its bias."""
        return (self.z - self.mean[:, None, None]) * self.rstd[:, None, None]

    @property
    def active(self) -> Tensor:
        """Where the activation passes a gradient."""
        return self.centred + self.bias[:, None, None] > 0


@dataclass(frozen=True)
class Pass:
    """A forward pass in training."""

    white: Tensor
    layers: Sequence[Layer]
    top: Tensor
    features: Tensor


def forward(
    images: Tensor,
    whitening: Tensor,
    whiten_bias: Tensor,
    filters: Sequence[Tensor],
    biases: Sequence[Tensor],
    eps: float,
    rounded: Rounded = lambda values: values,
) -> Pass:
    """Return features (B, C) of images (B, 3, H, W), and what `backward` needs."""
    white = rounded(F.conv2d(images, rounded(whitening), stride=2) + whiten_bias[:, None, None])
    x, layers = rounded(F.relu(white)), []
    for i, (weight, bias) in enumerate(zip(filters, biases, strict=True)):
        weight, winner = rounded(weight), None
        z = F.conv2d(x, weight, padding=1)
        if i % 2 == 0:
            z, winner = F.max_pool2d(z, 2, return_indices=True)
        z = rounded(z)
        variance, mean = torch.var_mean(z, dim=(0, 2, 3), correction=0)
        layers.append(Layer(x, weight, z, winner, mean, (variance + eps).rsqrt(), bias))
        y = F.relu(layers[-1].centred + bias[:, None, None])
        x = rounded(y)
    features, top = y.flatten(2).max(dim=2)
    return Pass(white, layers, top, features)


def backward(
    done: Pass, gradient: Tensor, rounded: Rounded = lambda values: values
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Return the gradients of whitening bias, filters and biases, given that of the features (B, C)."""
    filters: list[Tensor] = []
    biases: list[Tensor] = []
    last = done.layers[-1]
    g = torch.zeros_like(last.z).flatten(2).scatter_(2, done.top[..., None], gradient[..., None])
    g = rounded(g.view_as(last.z)) * last.active
    for i, layer in reversed(list(enumerate(done.layers))):
        count = layer.z.numel() / layer.z.size(1)
        mean_g, mean_gx = (t.sum((0, 2, 3))[:, None, None] / count for t in (g, g * layer.centred))
        biases.insert(0, g.sum((0, 2, 3)))
        dz = rounded((g - mean_g - layer.centred * mean_gx) * layer.rstd[:, None, None])
        if layer.winner is not None:
            dz = F.max_unpool2d(dz, layer.winner, [2, 2], output_size=layer.read.shape[2:])
        filters.insert(0, grad.conv2d_weight(layer.read, layer.filters.shape, dz, padding=1))
        below = grad.conv2d_input(layer.read.shape, layer.filters, dz, padding=1)
        active = done.layers[i - 1].active if i else done.white > 0
        g = rounded(below) * active
    return g.sum((0, 2, 3)), filters, biases
