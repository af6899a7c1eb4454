"""The network of airbench94. Source: github.com/KellerJordan/cifar10-airbench, airbench94_muon.py."""

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airbench_var.kernels.airbench import Features, Weights
from airbench_var.models.layers import BatchNorm, Conv, global_max_pool, uniform_, uniform_fan_in_
from airbench_var.recipe import AirbenchNet

#: The whitening convolution sees 2x2 patches: 3 * 2 * 2 = 12 directions, each with both signs.
PATCH = 2
WHITENED = 2 * 3 * PATCH * PATCH


class Group(nn.Module):
    """Convolution, 2x2 max pooling, normalisation, activation; convolution, normalisation, activation."""

    def __init__(self, c_in: int, c_out: int, config: AirbenchNet) -> None:
        super().__init__()
        self.conv1 = Conv(c_in, c_out, 3, padding=1)
        self.norm1 = BatchNorm(c_out, momentum=config.norm_momentum, eps=config.norm_eps, scale=False)
        self.conv2 = Conv(c_out, c_out, 3, padding=1)
        self.norm2 = BatchNorm(c_out, momentum=config.norm_momentum, eps=config.norm_eps, scale=False)
        self.activation = getattr(F, config.activation)

    def reset(self, generator: np.random.Generator) -> None:
        """Draw the convolutions anew; their first input-many filters start as the identity."""
        for module in (self.conv1, self.norm1, self.conv2, self.norm2):
            module.reset(generator)
        for conv in (self.conv1, self.conv2):
            nn.init.dirac_(conv.weight.data[: conv.weight.size(1)])

    def forward(self, x: Tensor) -> Tensor:
        """Halve height and width, c_in to c_out channels."""
        x = self.activation(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return self.activation(self.norm2(self.conv2(x)))


class Airbench(nn.Module):
    """Frozen whitening of 2x2 patches with a trained bias, three groups, global max pooling, linear head."""

    whitening: Tensor

    def __init__(self, config: AirbenchNet, classes: int) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("whitening", torch.zeros(WHITENED, 3, PATCH, PATCH))
        self.whiten_bias = nn.Parameter(torch.empty(WHITENED))
        channels = (WHITENED, *config.widths)
        self.groups = nn.ModuleList(Group(c_in, c_out, config) for c_in, c_out in pairwise(channels))
        self.head = nn.Parameter(torch.empty(classes, channels[-1]))
        self.in_c: Features | None = None

    def compute_in_c(self, *, height: int, width: int, batch: int, tiles: bool) -> None:
        """From now on compute everything before the head by `kernels.airbench`, on batches of this size."""
        channels = (WHITENED, *self.config.widths)
        self.in_c = Features(channels, height=height, width=width, batch=batch, tiles=tiles)

    def prepare(self, images_BCHW: Tensor) -> None:
        """Set the whitening filters from normalised training images: the same for every run.

        Eigenvectors of the patch covariance over the roots of their eigenvalues, with both signs. Computed
        on the CPU in double precision, so that the filters do not depend on the device.
        """
        images_BCHW = images_BCHW.cpu().double()
        patches = F.unfold(images_BCHW, PATCH).transpose(1, 2).reshape(-1, 3 * PATCH * PATCH)
        eigenvalues, eigenvectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (eigenvectors / (eigenvalues + self.config.whiten_eps).sqrt()).T
        self.whitening.copy_(torch.cat((filters, -filters)).reshape(self.whitening.shape))

    def reset(self, generator: np.random.Generator) -> None:
        """Draw every trained weight anew; the head is scaled to unit standard deviation."""
        uniform_(self.whiten_bias, (3 * PATCH * PATCH) ** -0.5, generator)
        for group in self.groups:
            group.reset(generator)  # type: ignore[operator]
        uniform_fan_in_(self.head, generator)
        self.head.data /= self.head.data.std()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return logits (B, K), divided by the width of the last group."""
        features_BC = self._features(x_BCHW) if self.in_c is None else self._features_in_c(self.in_c, x_BCHW)
        return F.linear(features_BC, self.head.to(features_BC.dtype)) / features_BC.size(1)

    def _features(self, x_BCHW: Tensor) -> Tensor:
        dtype, stride = x_BCHW.dtype, self.config.whiten_stride
        x = F.conv2d(x_BCHW, self.whitening.to(dtype), self.whiten_bias.to(dtype), stride=stride)
        x = getattr(F, self.config.activation)(x)
        for group in self.groups:
            x = group(x)
        return global_max_pool(x)

    def _features_in_c(self, features: Features, x_BCHW: Tensor) -> Tensor:
        weights, eps = self.weights_for_c(), self.config.norm_eps
        if self.training:
            return features(x_BCHW, weights, momentum=1 - self.config.norm_momentum, eps=eps)
        views_BCHW = x_BCHW.contiguous(memory_format=torch.channels_last)  # mirrored ones are not
        return features.evaluate(views_BCHW, weights, eps=eps)

    def weights_for_c(self) -> Weights:
        """Return what `kernels.airbench` reads, and moves when it trains."""
        convolutions = [module for module in self.groups.modules() if isinstance(module, Conv)]
        norms = [module for module in self.groups.modules() if isinstance(module, BatchNorm)]
        return Weights(
            whitening=self.whitening.contiguous(),
            whiten_bias=self.whiten_bias,
            filters=[convolution.weight for convolution in convolutions],
            biases=[norm.bias for norm in norms],
            means=[norm.mean for norm in norms],
            variances=[norm.var for norm in norms],
        )
