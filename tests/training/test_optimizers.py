import pytest
import torch
from torch import nn

from airbench_var.models import Airbench, build
from airbench_var.recipe import Optimizer
from airbench_var.recipes import find_recipe
from airbench_var.seeds import init_generator
from airbench_var.training.optimizers import Muon, Optimizers, orthogonalise


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(16, 48), (48, 16), (24, 24)])
def test_orthogonalise_keeps_directions_and_levels_strengths(shape: tuple[int, int]) -> None:
    """U S V^T becomes U S' V^T with S' near 1; its smallest values lag behind."""
    matrix = random(*shape)
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    strengths = u.T @ orthogonalise(matrix, steps=5).float() @ vt.T
    off_diagonal = strengths - torch.diag(strengths.diagonal())
    assert off_diagonal.abs().max() < 0.08  # bfloat16 keeps 8 bits
    assert strengths.diagonal()[:-4].min() > 0.5
    assert strengths.diagonal().max() < 1.4


def test_muon_first_step_by_hand() -> None:
    weight = nn.Parameter(random(8, 2, 3, 3))
    before, gradient = weight.detach().clone(), random(8, 2, 3, 3, seed=1)
    weight.grad = gradient.clone()
    Muon([weight], lr=0.24, momentum=0.6, steps=3).step()
    update = orthogonalise((1 + 0.6) * gradient.reshape(8, 18), steps=3).reshape(weight.shape)
    expected = before * 8**0.5 / before.norm() - 0.24 * update.float()
    torch.testing.assert_close(weight.detach(), expected)


def test_muon_momentum_accumulates() -> None:
    one, two = nn.Parameter(random(8, 18)), nn.Parameter(random(8, 18))
    for weight in (one, two):
        optimizer = Muon([weight], lr=0.1, momentum=0.9, steps=3)
        for step in range(2):
            weight.grad = random(8, 18, seed=10 if weight is one else 10 + step)
            optimizer.step()
    assert not torch.allclose(one, two)
    average = optimizer.state[two]["momentum"]
    torch.testing.assert_close(average, 0.9 * random(8, 18, seed=10) + random(8, 18, seed=11))


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
    scheduled = [id(p) for s in optimizers.scheduled for p in s.group["params"]]
    assert sorted(scheduled) == sorted(map(id, model.parameters()))


def test_rates_fall_linearly_and_the_whitening_bias_stops_first() -> None:
    model, config = airbench()
    optimizers = Optimizers(model, config, steps=10, steps_per_epoch=2)  # whitening bias: 3 epochs, 6 steps
    rates = []
    for step in range(10):
        optimizers.set_rates(step)
        rates.append([s.group["lr"] for s in optimizers.scheduled])
        assert model.whiten_bias.requires_grad == (step < 6)
        assert model.head.requires_grad
    whiten, bias, head, filters = map(list, zip(*rates, strict=True))
    assert whiten == pytest.approx([0.053 * max(0, 1 - step / 6) for step in range(10)])
    assert bias == pytest.approx([0.053 * (1 - step / 10) for step in range(10)])
    assert head == pytest.approx([0.67 * (1 - step / 10) for step in range(10)])
    assert filters == pytest.approx([0.24 * (1 - step / 10) for step in range(10)])


def test_frozen_whitening_bias_no_longer_moves() -> None:
    model, config = airbench()
    optimizers = Optimizers(model, config, steps=4, steps_per_epoch=1)
    history = []
    for step in range(4):
        optimizers.set_rates(step)
        model(random(4, 3, 32, 32, seed=step)).square().sum().backward()
        optimizers.step()
        history.append(model.whiten_bias.detach().clone())
    assert not torch.equal(history[1], history[2])
    assert torch.equal(history[2], history[3])


def test_weight_decay_is_divided_by_the_rate() -> None:
    """With no gradient the first step removes (1 + momentum) * share, for head and biases alike."""
    model, config = airbench()
    optimizers = Optimizers(model, config, steps=10, steps_per_epoch=2)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizers.set_rates(0)
    optimizers.step()
    for name in ("head", "whiten_bias"):
        torch.testing.assert_close(dict(model.named_parameters())[name], before[name] * (1 - 1.85 * 0.004))


def test_a_new_run_thaws_what_the_last_froze() -> None:
    model, config = airbench()
    Optimizers(model, config, steps=4, steps_per_epoch=1).set_rates(3)
    assert not model.whiten_bias.requires_grad
    Optimizers(model, config, steps=4, steps_per_epoch=1).set_rates(0)
    assert model.whiten_bias.requires_grad


def test_a_scaled_loss_moves_weights_as_the_loss_itself() -> None:
    """1024 is a power of two, so scaling and unscaling float32 gradients loses nothing: equal, not close."""
    weights = []
    for scale in (1.0, 1024.0):
        model, config = airbench()
        optimizers = Optimizers(model, config, steps=4, steps_per_epoch=1)
        for step in range(2):
            optimizers.set_rates(step)
            (model(random(4, 3, 32, 32, seed=step)).square().sum() * scale).backward()
            optimizers.step(scale)
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*weights)
