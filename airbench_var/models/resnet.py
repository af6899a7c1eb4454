"""The paper's ResNet-9. Source: paper, Appendix A; github.com/KellerJordan/ffcv-cifar, model.py."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airbench_var.models.layers import BatchNorm, Conv, global_max_pool, uniform_fan_in_
from airbench_var.recipe import ResNet9Net


class ConvBlock(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, c_in: int, c_out: int, size: int = 3, *, stride: int = 1, padding: int = 1) -> None:
        super().__init__()
        self.conv = Conv(c_in, c_out, size, stride=stride, padding=padding)
        self.norm = BatchNorm(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the three in order."""
        return F.relu(self.norm(self.conv(x)))


class ResNet9(nn.Module):
    """Eight convolutions and a linear head; two pairs of convolutions are residual."""

    def __init__(self, config: ResNet9Net, classes: int) -> None:
        super().__init__()
        w = config.width
        self.stem = nn.Sequential(ConvBlock(3, w), ConvBlock(w, 2 * w, 5, stride=2, padding=2))
        self.residual1 = nn.Sequential(ConvBlock(2 * w, 2 * w), ConvBlock(2 * w, 2 * w))
        self.widen = ConvBlock(2 * w, 4 * w)
        self.residual2 = nn.Sequential(ConvBlock(4 * w, 4 * w), ConvBlock(4 * w, 4 * w))
        self.narrow = ConvBlock(4 * w, 2 * w, padding=0)
        self.head = nn.Parameter(torch.empty(classes, 2 * w))
        self.output_scale = config.output_scale

    def reset(self, generator: np.random.Generator) -> None:
        """Draw every weight anew."""
        for module in self.modules():
            if isinstance(module, Conv | BatchNorm):
                module.reset(generator)
        uniform_fan_in_(self.head, generator)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return logits (B, K)."""
        x = self.stem(x_BCHW)
        x = x + self.residual1(x)
        x = F.max_pool2d(self.widen(x), 2)
        x = x + self.residual2(x)
        features_BC = global_max_pool(self.narrow(x))
        return F.linear(features_BC, self.head.to(x.dtype)) * self.output_scale
