"""The network and the optimizers of airbench94 in plain PyTorch, at the sizes that a recipe gives.

Source: github.com/KellerJordan/cifar10-airbench, airbench94_muon.py, written anew.
"""

from collections.abc import Iterable
from itertools import pairwise
from math import ceil
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airbench_var.recipe import AirbenchNet, Muon, Recipe

WHITENING_IMAGES, PATCH = 5000, 2


class Conv(nn.Conv2d):
    """A 3x3 convolution without bias whose first filters start as the identity."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, 3, padding="same", bias=False)
        nn.init.dirac_(self.weight.data[:c_in])


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation with a trained bias alone."""

    def __init__(self, channels: int, net: AirbenchNet) -> None:
        super().__init__(channels, eps=net.norm_eps, momentum=1 - net.norm_momentum)
        self.weight.requires_grad = False


class Group(nn.Module):
    """Convolution, pooling, normalisation, activation; convolution, normalisation, activation."""

    def __init__(self, c_in: int, c_out: int, net: AirbenchNet) -> None:
        super().__init__()
        self.conv1, self.conv2 = Conv(c_in, c_out), Conv(c_out, c_out)
        self.norm1, self.norm2 = BatchNorm(c_out, net), BatchNorm(c_out, net)
        self.pool, self.activation = nn.MaxPool2d(2), activation(net)

    def forward(self, x: Tensor) -> Tensor:
        """Halve height and width."""
        x = self.activation(self.norm1(self.pool(self.conv1(x))))
        out: Tensor = self.activation(self.norm2(self.conv2(x)))
        return out


class Network(nn.Module):
    """Frozen whitening with a trained bias, groups, global max pooling, linear head."""

    def __init__(self, net: AirbenchNet, classes: int, images_NCHW: Tensor) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, 2 * 3 * PATCH**2, PATCH, stride=net.whiten_stride)
        self.whiten.weight.requires_grad = False
        self.whiten.weight.data = whitening_filters(images_NCHW[:WHITENING_IMAGES].float(), net.whiten_eps)
        channels = (self.whiten.out_channels, *net.widths)
        self.activation = activation(net)
        self.groups = nn.Sequential(*(Group(c_in, c_out, net) for c_in, c_out in pairwise(channels)))
        self.head = nn.Linear(channels[-1], classes, bias=False)
        self.head.weight.data /= self.head.weight.data.std()

    def forward(self, x_BCHW: Tensor, whiten_bias_grad: bool = True) -> Tensor:
        """Return logits (B, K)."""
        bias = self.whiten.bias
        assert bias is not None
        bias = bias if whiten_bias_grad else bias.detach()
        x = F.conv2d(x_BCHW, self.whiten.weight, bias, stride=self.whiten.stride)
        x = self.groups(self.activation(x))
        x = F.max_pool2d(x, x.shape[-1]).flatten(1)
        logits: Tensor = self.head(x) / x.size(-1)
        return logits


def activation(net: AirbenchNet) -> nn.Module:
    """Return the activation that the recipe names."""
    return nn.GELU() if net.activation == "gelu" else nn.ReLU()


def whitening_filters(images_NCHW: Tensor, eps: float) -> Tensor:
    """Return the eigenvectors of the patches' covariance over the roots of their eigenvalues, both signs."""
    patches = images_NCHW.unfold(2, PATCH, 1).unfold(3, PATCH, 1)
    flat = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3 * PATCH**2)
    eigenvalues, eigenvectors = torch.linalg.eigh(flat.T @ flat / len(flat), UPLO="U")
    filters = eigenvectors.T.reshape(-1, 3, PATCH, PATCH) / torch.sqrt(eigenvalues + eps)[:, None, None, None]
    return torch.cat((filters, -filters))


class PlainMuon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised, on filters scaled to unit norm an output channel."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, momentum: float, steps: int) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "steps": steps})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every filter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(p.grad)
                buffer = state["momentum_buffer"].mul_(group["momentum"]).add_(p.grad)
                gradient = p.grad.add(buffer, alpha=group["momentum"])
                p.mul_(len(p) ** 0.5 / p.norm())
                update = newton_schulz(gradient.reshape(len(gradient), -1), group["steps"])
                p.add_(update.view(gradient.shape), alpha=-group["lr"])


def newton_schulz(gradient: Tensor, steps: int, eps: float = 1e-7) -> Tensor:
    """Return roughly U V^T of a matrix U S V^T, in bfloat16."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = gradient.bfloat16()
    x = x / (x.norm() + eps)
    tall = gradient.size(0) > gradient.size(1)
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Schedule:
    """The optimizers of a run, and how their learning rates fall linearly to 0."""

    def __init__(self, model: Network, recipe: Recipe, steps_per_epoch: int, *, fused: bool) -> None:
        config = recipe.optimizer
        assert isinstance(config, Muon)
        self.steps = ceil(recipe.epochs * steps_per_epoch)
        self.whiten_steps = ceil(config.whiten_bias_epochs * steps_per_epoch)
        filters = [p for p in model.parameters() if p.ndim == 4 and p.requires_grad]
        biases = [p for p in model.groups.parameters() if p.ndim == 1 and p.requires_grad]
        parts = [
            {"params": params, "lr": lr, "weight_decay": config.weight_decay / lr}
            for params, lr in (
                ([model.whiten.bias], config.bias_lr),
                (biases, config.bias_lr),
                ([model.head.weight], config.head_lr),
            )
        ]
        sgd = torch.optim.SGD(parts, momentum=config.sgd_momentum, nesterov=True, fused=fused or None)
        muon = PlainMuon(filters, config.lr, config.momentum, config.newton_schulz_steps)
        self.optimizers: tuple[torch.optim.Optimizer, ...] = (sgd, muon)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]

    def step(self, step: int) -> None:
        """Apply the gradients of a step, counted from 0."""
        sgd, muon = self.optimizers
        for group in sgd.param_groups[:1]:
            group["lr"] = group["initial_lr"] * (1 - step / self.whiten_steps)
        for group in sgd.param_groups[1:] + muon.param_groups:
            group["lr"] = group["initial_lr"] * (1 - step / self.steps)
        for optimizer in self.optimizers:
            optimizer.step()


def loss_of(logits_BK: Tensor, labels_B: Tensor, recipe: Recipe) -> Tensor:
    """Return the recipe's loss, in single precision."""
    loss: Tensor = F.cross_entropy(
        logits_BK.float(),
        labels_B,
        label_smoothing=recipe.label_smoothing,
        reduction=recipe.loss_reduction,
    )
    return loss
