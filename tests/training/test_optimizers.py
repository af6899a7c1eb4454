from dataclasses import replace

import pytest
import torch
from torch import nn

from airbench_var.models import Airbench, build
from airbench_var.recipe import Optimizer
from airbench_var.recipes import find_recipe
from airbench_var.seeds import init_generator
from airbench_var.training.optimizers import SGD, Muon, Optimizers, orthogonalise


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def step_at(step: int) -> torch.Tensor:
    return torch.tensor([step])


def rate(lr: float) -> torch.Tensor:
    return torch.tensor([lr])


@pytest.mark.parametrize("shape", [(16, 48), (48, 16), (24, 24)])
def test_orthogonalise_keeps_directions_and_levels_strengths(shape: tuple[int, int]) -> None:
    """U S V^T becomes U S' V^T with S' near 1; its smallest values lag behind."""
    matrix = random(*shape)
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    strengths = u.T @ orthogonalise(matrix[None], steps=5)[0].float() @ vt.T
    off_diagonal = strengths - torch.diag(strengths.diagonal())
    assert off_diagonal.abs().max() < 0.08  # bfloat16 keeps 8 bits
    assert strengths.diagonal()[:-4].min() > 0.5
    assert strengths.diagonal().max() < 1.4


@pytest.mark.parametrize("shape", [(24, 216), (48, 432), (64, 27)])
def test_matrices_orthogonalised_together_are_as_each_alone(shape: tuple[int, int]) -> None:
    together = random(3, *shape) * torch.tensor([1e-3, 1.0, 1e3])[:, None, None]
    alone = [orthogonalise(matrix[None], steps=3)[0] for matrix in together]
    assert torch.equal(orthogonalise(together, steps=3), torch.stack(alone))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.85, True), (0.9, False), (0.0, False)])
def test_sgd_has_the_bits_of_torch(momentum: float, nesterov: bool, layout: torch.memory_format) -> None:
    shapes, decay = ((5, 3, 3, 3), (7, 1, 2, 2), (24, 24, 3, 3)), 0.004 / 0.67
    ours, theirs = (
        [nn.Parameter(random(*shape, seed=i).to(memory_format=layout)) for i, shape in enumerate(shapes)]
        for _ in range(2)
    )
    rule = SGD(ours, momentum=momentum, nesterov=nesterov, weight_decay=decay)
    wanted = torch.optim.SGD(
        theirs, lr=1, momentum=momentum, nesterov=nesterov, weight_decay=decay, fused=True
    )
    for step in range(4):
        for i, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            mine.grad = random(*mine.shape, seed=10 * step + i).to(memory_format=layout)
            other.grad = mine.grad.clone()
        wanted.param_groups[0]["lr"] = lr = 0.67 * (1 - step / 7)
        rule.step(rate(lr))
        wanted.step()
    assert all(torch.equal(mine, other) for mine, other in zip(ours, theirs, strict=True))


def filters() -> list[nn.Parameter]:
    shapes = ((8, 2, 3, 3), (8, 8, 3, 3), (8, 2, 3, 3), (16, 2, 1, 1))
    return [
        nn.Parameter(random(*shape, seed=i).to(memory_format=torch.channels_last))
        for i, shape in enumerate(shapes)
    ]


def test_muon_by_hand() -> None:
    """Each filter by itself, in the words of airbench94_muon.py, where filters of one shape go together."""
    weights, averages = filters(), [torch.zeros_like(w) for w in filters()]
    muon = Muon(weights, momentum=0.6, steps=3)
    expected = [w.detach().clone() for w in weights]
    for step in range(3):
        for i, weight in enumerate(weights):
            gradient = random(*weight.shape, seed=10 * step + i).to(memory_format=torch.channels_last)
            averages[i] = 0.6 * averages[i] + gradient
            update = orthogonalise((gradient + 0.6 * averages[i]).reshape(1, len(weight), -1), steps=3)
            expected[i] *= len(weight) ** 0.5 / expected[i].norm()
            expected[i].add_(update.reshape(weight.shape), alpha=-0.24)
            weight.grad = gradient
        muon.step(rate(0.24))
    for weight, wanted in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight.detach(), wanted)


def airbench() -> tuple[Airbench, Optimizer]:
    recipe = find_recipe("tiny").with_values({"network.widths": (8, 8)})
    model = build(recipe.network, classes=10, pixels=3072)
    assert isinstance(model, Airbench)
    model.prepare(random(20, 3, 32, 32, seed=9))  # without its whitening filters the network outputs zeros
    model.reset(init_generator(0))
    return model, recipe.optimizer


def test_every_trained_parameter_has_one_schedule() -> None:
    model, config = airbench()
    optimizers = Optimizers(model, config, steps=10, steps_per_epoch=2)
    scheduled = [id(p) for s in optimizers.scheduled for p in s.rule.params]
    assert sorted(scheduled) == sorted(map(id, model.parameters()))


def test_rates_fall_linearly_and_the_whitening_bias_stops_first() -> None:
    model, config = airbench()
    optimizers = Optimizers(model, config, steps=10, steps_per_epoch=2)  # whitening bias: 3 epochs, 6 steps
    whiten, bias, head, filters = ([s.rate(step) for step in range(10)] for s in optimizers.scheduled)
    assert whiten == pytest.approx([0.053 * max(0, 1 - step / 6) for step in range(10)])
    assert bias == pytest.approx([0.053 * (1 - step / 10) for step in range(10)])
    assert head == pytest.approx([0.67 * (1 - step / 10) for step in range(10)])
    assert filters == pytest.approx([0.24 * (1 - step / 10) for step in range(10)])


@pytest.mark.parametrize(("steps", "phases"), [(10, [0, 6]), (6, [0]), (5, [0]), (0, [0])])
def test_a_phase_begins_where_the_trained_parameters_change(steps: int, phases: list[int]) -> None:
    model, config = airbench()
    optimizers = Optimizers(model, config, steps=steps, steps_per_epoch=2)
    assert optimizers.phases == phases
    for step in range(steps):
        optimizers.begin_phase(max(first for first in phases if first <= step))
        assert model.whiten_bias.requires_grad == (step < 6)
        assert model.head.requires_grad


def test_a_bias_that_is_never_trained_is_a_phase_of_its_own() -> None:
    model, config = airbench()
    optimizers = Optimizers(model, replace(config, whiten_bias_epochs=0), steps=4, steps_per_epoch=2)  # type: ignore[type-var]
    assert optimizers.phases == [0]
    optimizers.begin_phase(0)
    assert not model.whiten_bias.requires_grad


def steps_of(model: Airbench, optimizers: Optimizers, steps: int, scale: float = 1.0) -> list[torch.Tensor]:
    """Train and return the whitening bias after each step."""
    history = []
    for step in range(steps):
        if step in optimizers.phases:
            optimizers.begin_phase(step)
        (model(random(4, 3, 32, 32, seed=step)).square().sum() * scale).backward()
        optimizers.step(step_at(step), scale)
        history.append(model.whiten_bias.detach().clone())
    return history


def weights_of(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_frozen_whitening_bias_no_longer_moves() -> None:
    model, config = airbench()
    history = steps_of(model, Optimizers(model, config, steps=4, steps_per_epoch=1), 4)
    assert not torch.equal(history[1], history[2])
    assert torch.equal(history[2], history[3])


def test_each_step_has_its_own_rate() -> None:
    """The first update of SGD is proportional to the rate that its step is given."""
    moved = []
    for step in (0, 5):
        model, config = airbench()
        optimizers = Optimizers(model, config, steps=10, steps_per_epoch=2)
        before = model.head.detach().clone()
        optimizers.begin_phase(0)
        model(random(4, 3, 32, 32)).square().sum().backward()
        optimizers.step(step_at(step))
        moved.append(model.head.detach() - before)
    torch.testing.assert_close(moved[1], moved[0] / 2, rtol=1e-3, atol=1e-6)


def test_weight_decay_is_divided_by_the_rate() -> None:
    """With no gradient the first step removes (1 + momentum) * share, for head and biases alike."""
    model, config = airbench()
    optimizers = Optimizers(model, config, steps=10, steps_per_epoch=2)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizers.begin_phase(0)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizers.step(step_at(0))
    for name in ("head", "whiten_bias"):
        torch.testing.assert_close(dict(model.named_parameters())[name], before[name] * (1 - 1.85 * 0.004))


def test_a_reset_leaves_nothing_of_the_last_run() -> None:
    """The second run has the weights of the first, though the first ended in another phase, with momentum."""
    model, config = airbench()
    optimizers = Optimizers(model, config, steps=4, steps_per_epoch=1)
    addresses = [average.data_ptr() for s in optimizers.scheduled for average in s.rule.momenta]
    weights = []
    for _ in range(2):
        model.reset(init_generator(0))
        optimizers.reset()
        steps_of(model, optimizers, 4)
        weights.append(weights_of(model))
        model(random(4, 3, 32, 32)).sum().backward()  # a run that was cut off leaves gradients
    assert torch.equal(*weights)
    assert addresses == [average.data_ptr() for s in optimizers.scheduled for average in s.rule.momenta]


def test_a_scaled_loss_moves_weights_as_the_loss_itself() -> None:
    """1024 is a power of two, so scaling and unscaling float32 gradients loses nothing: equal, not close."""
    weights = []
    for scale in (1.0, 1024.0):
        model, config = airbench()
        steps_of(model, Optimizers(model, config, steps=4, steps_per_epoch=1), 2, scale)
        weights.append(weights_of(model))
    assert torch.equal(*weights)
