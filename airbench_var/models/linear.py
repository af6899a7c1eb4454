"""A linear model of the pixels, for the paper's Fig 7 (left)."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airbench_var.recipe import LinearNet


class Linear(nn.Module):
    """Logits are one linear map, with bias, of the flattened image."""

    def __init__(self, config: LinearNet, classes: int, pixels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, pixels))
        self.bias = nn.Parameter(torch.empty(classes))
        self.init_std = config.init_std

    def reset(self, generator: np.random.Generator) -> None:
        """Draw the weights anew; the bias starts at 0."""
        drawn = self.init_std * generator.standard_normal(tuple(self.weight.shape), dtype=np.float32)
        self.weight.data.copy_(torch.from_numpy(drawn))
        self.bias.data.zero_()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return logits (B, K)."""
        return F.linear(x_BCHW.flatten(1), self.weight.to(x_BCHW.dtype), self.bias.to(x_BCHW.dtype))
