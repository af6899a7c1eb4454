"""The optimizers of a recipe, with one step function and learning rates that fall linearly to zero."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import Tensor, nn

from airbench_var.models import Model
from airbench_var.models.airbench import Airbench
from airbench_var.recipe import SGD, Optimizer


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised, for filters held at unit norm an output channel.

    Source: github.com/KellerJordan/cifar10-airbench, airbench94_muon.py. torch.optim.Muon (torch 2.9) takes
    matrices only, five steps, and does not normalise the weights: another optimizer.
    """

    def __init__(self, params: Sequence[nn.Parameter], *, lr: float, momentum: float, steps: int) -> None:
        super().__init__(params, {"lr": lr})
        self.momentum, self.steps = momentum, steps

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Update every filter that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight.grad)
                average = state["momentum"].mul_(self.momentum).add_(weight.grad)
                nesterov = weight.grad.add(average, alpha=self.momentum)
                update = orthogonalise(nesterov.reshape(len(nesterov), -1), self.steps)
                weight.mul_(len(weight) ** 0.5 / weight.norm())
                weight.add_(update.reshape(weight.shape), alpha=-group["lr"])


def orthogonalise(matrix: Tensor, steps: int) -> Tensor:
    """Return roughly U V^T of a matrix U S V^T: a quintic Newton-Schulz iteration in bfloat16.

    The coefficients maximise the slope at zero, so singular values end between about 0.5 and 1.5 rather
    than at 1. Source: as Muon.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.bfloat16()
    x = x / (x.norm() + 1e-7)
    wide = x if x.size(0) <= x.size(1) else x.T
    for _ in range(steps):
        gram = wide @ wide.T
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return wide if x.size(0) <= x.size(1) else wide.T


@dataclass(frozen=True)
class Scheduled:
    """A parameter group whose learning rate falls linearly from `lr` to 0 over `steps` steps."""

    group: dict[str, Any]
    lr: float
    steps: int

    def set_rate(self, step: int) -> None:
        """Set the rate of a step; when the schedule is over, its parameters no longer take gradients."""
        self.group["lr"] = self.lr * (1 - step / self.steps) if step < self.steps else 0.0
        for parameter in self.group["params"]:
            parameter.requires_grad_(step < self.steps)


class Optimizers:
    """All optimizers of one run, made anew for each run."""

    def __init__(self, model: Model, config: Optimizer, *, steps: int, steps_per_epoch: int) -> None:
        if isinstance(config, SGD):
            everything = {"params": model.parameters(), "lr": config.lr, "weight_decay": config.weight_decay}
            sgd = _sgd([everything], config.momentum, config.nesterov)
            self.optimizers: list[torch.optim.Optimizer] = [sgd]
            self.scheduled = [Scheduled(sgd.param_groups[0], config.lr, steps)]
            return
        assert isinstance(model, Airbench)  # Recipe checks that Muon comes with AirbenchNet
        filters = [p for p in model.parameters() if p.ndim == 4]
        biases = [p for group in model.groups for p in group.parameters() if p.ndim == 1]
        groups = (
            ([model.whiten_bias], config.bias_lr, ceil(config.whiten_bias_epochs * steps_per_epoch)),
            (biases, config.bias_lr, steps),
            ([model.head], config.head_lr, steps),
        )
        parts = [{"params": p, "lr": lr, "weight_decay": config.weight_decay / lr} for p, lr, _ in groups]
        sgd = _sgd(parts, config.sgd_momentum, nesterov=True)
        muon = Muon(filters, lr=config.lr, momentum=config.momentum, steps=config.newton_schulz_steps)
        self.optimizers = [sgd, muon]
        self.scheduled = [
            *(Scheduled(part, lr, n) for part, (_, lr, n) in zip(sgd.param_groups, groups, strict=True)),
            Scheduled(muon.param_groups[0], config.lr, steps),
        ]

    def set_rates(self, step: int) -> None:
        """Prepare step `step` (from 0), before its forward pass."""
        for scheduled in self.scheduled:
            scheduled.set_rate(step)

    def step(self, loss_scale: float = 1.0) -> None:
        """Apply and clear the gradients, which are those of the loss times `loss_scale`."""
        if loss_scale != 1:
            parameters = [p for scheduled in self.scheduled for p in scheduled.group["params"]]
            torch._foreach_mul_([p.grad for p in parameters if p.grad is not None], 1 / loss_scale)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def _sgd(groups: list[dict[str, Any]], momentum: float, nesterov: bool) -> torch.optim.SGD:
    return torch.optim.SGD(groups, momentum=momentum, nesterov=nesterov, fused=True)
