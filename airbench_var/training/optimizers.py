"""The optimizers of a network: one step from tensors alone, with learning rates that fall linearly to zero.

Nothing that changes within a run is a Python number, and no tensor is made anew for a run, so that the CUDA
graph of a step can be replayed for every step of every run.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor, nn

from airbench_var import recipe
from airbench_var.models import Model
from airbench_var.models.airbench import Airbench


class SGD:
    """torch.optim.SGD's formula and bits, its learning rate read from a tensor.

    Not torch.optim.SGD, which asks every parameter for its state in every step. The kernel is the same, and a
    momentum of zeros does what a first step does.
    """

    def __init__(
        self, params: Iterable[Tensor], *, momentum: float, nesterov: bool, weight_decay: float
    ) -> None:
        self.params = list(params)
        self.momenta = [torch.zeros_like(p) for p in self.params] if momentum else []
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay

    @torch.no_grad()
    def step(self, lr: Tensor) -> None:
        """Update every parameter from its gradient; lr: float32 (1,)."""
        _descend(
            self.params,
            _gradients(self.params),
            self.momenta,
            lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
        )


class Muon:
    """Momentum whose update is orthogonalised, for filters held at unit norm an output channel.

    Filters of equal shape are orthogonalised together. Source: github.com/KellerJordan/cifar10-airbench,
    airbench94_muon.py. torch.optim.Muon (torch 2.9) takes matrices only, five steps, and does not normalise
    the weights: another optimizer.
    """

    def __init__(self, params: Iterable[Tensor], *, momentum: float, steps: int) -> None:
        self.params = list(params)
        self.momenta = [torch.zeros_like(p) for p in self.params]
        self.momentum, self.steps = momentum, steps
        self._norms = [len(p) ** 0.5 for p in self.params]
        shapes = [p.shape for p in self.params]
        self._alike = [[i for i, s in enumerate(shapes) if s == shape] for shape in dict.fromkeys(shapes)]

    @torch.no_grad()
    def step(self, lr: Tensor) -> None:
        """Update every filter from its gradient; lr: float32 (1,)."""
        gradients = _gradients(self.params)
        torch._foreach_mul_(self.momenta, self.momentum)
        torch._foreach_add_(self.momenta, gradients)
        nesterov = torch._foreach_add(gradients, self.momenta, alpha=self.momentum)
        updates = [torch.empty_like(p) for p in self.params]  # in the layout of the weights
        for alike in self._alike:
            together = torch.stack([nesterov[i] for i in alike])
            orthogonal = orthogonalise(together.flatten(2), self.steps).reshape(together.shape)
            for i, update in zip(alike, orthogonal, strict=True):
                updates[i].copy_(update)
        factors = list(torch._foreach_norm(self.params))
        torch._foreach_reciprocal_(factors)
        torch._foreach_mul_(factors, self._norms)
        torch._foreach_mul_(self.params, factors)
        _descend(self.params, updates, [], lr)


def _gradients(params: list[Tensor]) -> list[Tensor]:
    return [p.grad for p in params]  # type: ignore[misc]  # those that are trained have one


def _descend(
    params: list[Tensor],
    gradients: list[Tensor],
    momenta: list[Tensor],
    lr: Tensor,
    *,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> None:
    """Do in one kernel what torch.optim.SGD does, which reads a rate that is a tensor on the device."""
    torch._fused_sgd_(
        params,
        gradients,
        momenta,
        weight_decay=weight_decay,
        momentum=momentum,
        lr=lr,
        dampening=0.0,
        nesterov=nesterov,
        maximize=False,
        is_first_step=False,
    )


def orthogonalise(matrices_FMN: Tensor, steps: int) -> Tensor:
    """Return roughly U V^T of each matrix U S V^T: a quintic Newton-Schulz iteration in bfloat16.

    The coefficients maximise the slope at zero, so singular values end between about 0.5 and 1.5 rather
    than at 1. Source: as Muon.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices_FMN.bfloat16()
    norms_F = torch.stack(torch._foreach_norm(x.unbind()))  # one by one: so the bits are those of one
    x = x / (norms_F + 1e-7)[:, None, None]
    wide = x if x.size(1) <= x.size(2) else x.mT
    for _ in range(steps):
        gram = wide @ wide.mT
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return wide if x.size(1) <= x.size(2) else wide.mT


@dataclass(frozen=True)
class Scheduled:
    """A rule whose learning rate falls linearly from `lr` to 0 over `steps` steps; then it trains no more."""

    rule: SGD | Muon
    lr: float
    steps: int

    def rate(self, step: int) -> float:
        """Return the rate of a step."""
        return self.lr * (1 - step / self.steps) if step < self.steps else 0.0


class Optimizers:
    """All optimizers of a network, for any number of runs of so many steps."""

    def __init__(self, model: Model, config: recipe.Optimizer, *, steps: int, steps_per_epoch: int) -> None:
        self.params: list[Tensor] = list(model.parameters())
        self.scheduled = list(_scheduled(model, config, steps, steps_per_epoch))
        self.phases = sorted({0} | {s.steps for s in self.scheduled if s.steps < steps})
        rates_SG = [[scheduled.rate(step) for scheduled in self.scheduled] for step in range(steps)]
        on_host = torch.tensor(rates_SG, dtype=torch.float32).view(steps, len(self.scheduled))
        self.rates_SG = on_host.to(self.params[0].device)

    def reset(self) -> None:
        """Forget the last run, in place."""
        self.zero_grad()
        for scheduled in self.scheduled:
            if scheduled.rule.momenta:
                torch._foreach_zero_(scheduled.rule.momenta)

    def begin_phase(self, step: int) -> None:
        """Let those parameters take gradients that are trained at a step, and until the next of `phases`.

        A phase is what one CUDA graph can hold: a set of parameters that are trained.
        """
        for scheduled in self.scheduled:
            for parameter in scheduled.rule.params:
                parameter.requires_grad_(step < scheduled.steps)

    def step(self, step_1: Tensor, loss_scale: float = 1.0) -> None:
        """Apply and clear the gradients, which are those of the loss times `loss_scale`.

        step_1: int64 (1,), from 0, on the device; it must lie in the phase that was begun.
        """
        if loss_scale != 1:
            torch._foreach_mul_([p.grad for p in self.params if p.grad is not None], 1 / loss_scale)
        rates = self.rates_SG.index_select(0, step_1).unbind(1)
        for scheduled, rate in zip(self.scheduled, rates, strict=True):
            if scheduled.rule.params[0].requires_grad:
                scheduled.rule.step(rate)
        self.zero_grad()

    def zero_grad(self) -> None:
        """Clear the gradients; a backward pass makes them anew, in a graph always at the same place."""
        for parameter in self.params:
            parameter.grad = None


def _scheduled(
    model: Model, config: recipe.Optimizer, steps: int, steps_per_epoch: int
) -> Iterable[Scheduled]:
    if isinstance(config, recipe.SGD):
        everything = SGD(
            model.parameters(),
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
        )
        yield Scheduled(everything, config.lr, steps)
        return
    assert isinstance(model, Airbench)  # Recipe checks that Muon comes with AirbenchNet
    biases = [p for group in model.groups for p in group.parameters() if p.ndim == 1]
    parts: tuple[tuple[Sequence[nn.Parameter], float, int], ...] = (
        ([model.whiten_bias], config.bias_lr, ceil(config.whiten_bias_epochs * steps_per_epoch)),
        (biases, config.bias_lr, steps),
        ([model.head], config.head_lr, steps),
    )
    for params, lr, until in parts:
        decay = config.weight_decay / lr
        rule = SGD(params, momentum=config.sgd_momentum, nesterov=True, weight_decay=decay)
        yield Scheduled(rule, lr, until)
    filters = [p for p in model.parameters() if p.ndim == 4]
    muon = Muon(filters, momentum=config.momentum, steps=config.newton_schulz_steps)
    yield Scheduled(muon, config.lr, steps)
