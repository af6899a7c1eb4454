"""ResNet-18. Source: He et al., CVPR 2016; initialised as torchvision, models/resnet.py, does it."""

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airbench_var.models.layers import BatchNorm, Conv, uniform_
from airbench_var.recipe import ResNet18Net


class BasicBlock(nn.Module):
    """Two convolutions beside a short cut, which is a convolution of its own where the shape changes."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = Conv(c_in, c_out, 3, stride=stride, padding=1), BatchNorm(c_out)
        self.conv2, self.norm2 = Conv(c_out, c_out, 3, padding=1), BatchNorm(c_out)
        self.short = (
            nn.Sequential()
            if stride == 1 and c_in == c_out
            else nn.Sequential(Conv(c_in, c_out, 1, stride=stride), BatchNorm(c_out))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add what the convolutions find to the short cut."""
        found = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(found)) + self.short(x))


class ResNet18(nn.Module):
    """A stem that quarters the sides, four pairs of blocks, the mean over positions, a linear head."""

    def __init__(self, config: ResNet18Net, classes: int) -> None:
        super().__init__()
        w = config.width
        self.conv, self.norm = Conv(3, w, 7, stride=2, padding=3), BatchNorm(w)
        widths = (w, w, 2 * w, 4 * w, 8 * w)
        self.blocks = nn.Sequential(
            *(
                BasicBlock(c_in if first else c_out, c_out, 2 if first and stage else 1)
                for stage, (c_in, c_out) in enumerate(pairwise(widths))
                for first in (True, False)
            )
        )
        self.head = nn.Parameter(torch.empty(classes, 8 * w))
        self.bias = nn.Parameter(torch.empty(classes))

    def reset(self, generator: np.random.Generator) -> None:
        """Draw every weight anew: normal for convolutions, by their outputs; uniform for the head."""
        for module in self.modules():
            if isinstance(module, Conv):
                c_out, _, size, _ = module.weight.shape
                drawn = generator.standard_normal(tuple(module.weight.shape), np.float32)
                module.weight.data.copy_(torch.from_numpy(drawn) * (2 / (c_out * size * size)) ** 0.5)
            elif isinstance(module, BatchNorm):
                module.reset(generator)
        bound = self.head[0].numel() ** -0.5
        uniform_(self.head, bound, generator)
        uniform_(self.bias, bound, generator)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return logits (B, K)."""
        x = F.max_pool2d(F.relu(self.norm(self.conv(x_BCHW))), 3, stride=2, padding=1)
        features_BC = self.blocks(x).mean(dim=(2, 3))
        return F.linear(features_BC, self.head.to(x.dtype), self.bias.to(x.dtype))
