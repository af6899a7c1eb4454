"""Layers whose weights are single precision and whose arithmetic is that of their input.

The trainer feeds half-precision images; each layer casts its weights to the type of what it is given.
That is automatic mixed precision without hidden state, the same on CPU and CUDA.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Conv(nn.Module):
    """A square convolution without bias, initialised as torch.nn.Conv2d is."""

    def __init__(self, c_in: int, c_out: int, size: int, *, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(c_out, c_in, size, size))
        self.stride, self.padding = stride, padding

    def reset(self, generator: np.random.Generator) -> None:
        """Draw the weights anew."""
        uniform_fan_in_(self.weight, generator)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Convolve."""
        return F.conv2d(x_BCHW, self.weight.to(x_BCHW.dtype), stride=self.stride, padding=self.padding)


class BatchNorm(nn.Module):
    """Batch normalisation with a trained bias and, if asked, a trained scale; its statistics are float32."""

    scale: Tensor
    mean: Tensor
    var: Tensor

    def __init__(
        self, channels: int, *, momentum: float = 0.9, eps: float = 1e-5, scale: bool = True
    ) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.bias = nn.Parameter(torch.empty(channels))
        if scale:
            self.scale = nn.Parameter(torch.empty(channels))
        else:  # ones, not None: without a scale, CUDA's channels-last kernel gives the bias no gradient
            self.register_buffer("scale", torch.empty(channels))
        self.register_buffer("mean", torch.empty(channels))
        self.register_buffer("var", torch.empty(channels))

    def reset(self, generator: np.random.Generator) -> None:
        """Set bias and running mean to 0, scale and running variance to 1."""
        for tensor, value in ((self.bias, 0.0), (self.scale, 1.0), (self.mean, 0.0), (self.var, 1.0)):
            tensor.data.fill_(value)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Normalise by the batch when training, by the running statistics otherwise."""
        return F.batch_norm(
            x_BCHW, self.mean, self.var, self.scale, self.bias, self.training, 1 - self.momentum, self.eps
        )


def global_max_pool(x_BCHW: Tensor) -> Tensor:
    """Return the maximum over each channel's positions, (B, C).

    Not amax: its gradient looks for the maximum again, and torch.compile looks among values that it has not
    rounded to half precision, finds none, and divides by zero.
    """
    return F.max_pool2d(x_BCHW, (x_BCHW.size(2), x_BCHW.size(3))).flatten(1)


def uniform_(weight: nn.Parameter, bound: float, generator: np.random.Generator) -> None:
    """Fill with U(-bound, bound), in index order: the same weights on every device and in every layout."""
    drawn = bound * (2 * generator.random(tuple(weight.shape), dtype=np.float32) - 1)
    weight.data.copy_(torch.from_numpy(drawn))


def uniform_fan_in_(weight: nn.Parameter, generator: np.random.Generator) -> None:
    """Fill with U(-b, b), b = 1/sqrt(fan in), the default of torch.nn.Conv2d and Linear."""
    uniform_(weight, weight[0].numel() ** -0.5, generator)
