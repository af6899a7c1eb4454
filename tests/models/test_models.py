import pytest
import torch
import torch.nn.functional as F
from torch import nn

from airbench_var.models import Airbench, ResNet9, build
from airbench_var.models.layers import BatchNorm
from airbench_var.recipe import AirbenchNet
from airbench_var.recipes import find_recipe
from airbench_var.seeds import init_generator

PIXELS = 3 * 32 * 32


def fresh(recipe_name: str, seed: int = 0, **changes: object) -> nn.Module:
    network = find_recipe(recipe_name).with_values({f"network.{k}": v for k, v in changes.items()}).network
    model = build(network, classes=10, pixels=PIXELS)
    model.reset(init_generator(seed))
    return model


def images(n: int = 6) -> torch.Tensor:
    return torch.randn(n, 3, 32, 32, generator=torch.Generator().manual_seed(7))


def conv_of(weight: torch.Tensor, **options: int) -> nn.Conv2d:
    conv = nn.Conv2d(weight.size(1), weight.size(0), weight.size(2), bias=False, **options)
    conv.weight.data.copy_(weight)
    return conv


def norm_of(ours: BatchNorm) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(len(ours.bias), eps=ours.eps, momentum=1 - ours.momentum)
    norm.bias.data.copy_(ours.bias)
    return norm


def test_airbench_is_the_published_network() -> None:
    """The same weights in torch's own layers, put together as in airbench94_muon.py, give the same logits."""
    model = fresh("airbench94")
    assert isinstance(model, Airbench)
    model.prepare(images(50))
    for parameter in model.parameters():  # biases start at 0, which would hide where they are added
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    layers: list[nn.Module] = [nn.GELU()]
    for group in model.groups:
        layers += [conv_of(group.conv1.weight, padding=1), nn.MaxPool2d(2), norm_of(group.norm1), nn.GELU()]
        layers += [conv_of(group.conv2.weight, padding=1), norm_of(group.norm2), nn.GELU()]
    published = nn.Sequential(*layers, nn.MaxPool2d(3), nn.Flatten())
    for training in (True, False):
        model.train(training)
        published.train(training)
        whitened = F.conv2d(images(), model.whitening, model.whiten_bias)
        expected = published(whitened) @ model.head.T / 256
        torch.testing.assert_close(model(images()), expected)


def test_resnet9_is_the_published_network() -> None:
    model = fresh("resnet9", width=8).train()
    assert isinstance(model, ResNet9)

    def block(ours: nn.Module, **options: int) -> nn.Module:
        return nn.Sequential(conv_of(ours.conv.weight, **options), norm_of(ours.norm), nn.ReLU())

    x = block(model.stem[1], stride=2, padding=2)(block(model.stem[0], padding=1)(images()))
    x = x + block(model.residual1[1], padding=1)(block(model.residual1[0], padding=1)(x))
    x = F.max_pool2d(block(model.widen, padding=1)(x), 2)
    x = x + block(model.residual2[1], padding=1)(block(model.residual2[0], padding=1)(x))
    x = F.adaptive_max_pool2d(block(model.narrow)(x), 1).flatten(1)
    torch.testing.assert_close(model(images()), 0.2 * x @ model.head.T)


@pytest.mark.parametrize(
    ("recipe", "count"),
    [
        # The frozen whitening apart: its bias, 3x3 convolutions, biases of the norms, head.
        ("airbench94", 24 + 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256) + 2 * (64 + 256 + 256) + 2560),
        # 3x3s and one 5x5 of the paper's network, two parameters a normalised channel, head without bias.
        (
            "resnet9",
            9 * (3 * 64 + 2 * 128 * 128 + 128 * 256 + 2 * 256 * 256 + 256 * 128)
            + 25 * 64 * 128
            + 2 * (64 + 4 * 128 + 3 * 256)
            + 1280,
        ),
        ("linear", 3072 * 10 + 10),
    ],
)
def test_number_of_trained_parameters(recipe: str, count: int) -> None:
    assert sum(p.numel() for p in fresh(recipe).parameters()) == count


def test_whitening_whitens() -> None:
    """With eps = 0 the 12 positive filters turn patches into uncorrelated values of mean square 1."""
    model = fresh("tiny", whiten_eps=0.0)
    assert isinstance(model, Airbench)
    correlated = F.avg_pool2d(images(200), 3, stride=1, padding=1) + 0.3
    model.prepare(correlated)
    values = F.conv2d(correlated, model.whitening)[:, :12].movedim(1, 0).flatten(1)
    torch.testing.assert_close(values @ values.T / values.size(1), torch.eye(12), atol=2e-3, rtol=0)
    torch.testing.assert_close(model.whitening[12:], -model.whitening[:12])


@pytest.mark.parametrize("recipe", ["airbench94", "resnet9", "tiny", "linear"])
def test_reset_forgets_everything(recipe: str) -> None:
    used, untouched = fresh(recipe, seed=3), fresh(recipe, seed=3)
    used.train()(images()).sum().backward()
    for parameter in used.parameters():
        parameter.data.fill_(torch.nan)
    used.reset(init_generator(3))
    for name, value in untouched.state_dict().items():
        assert torch.equal(value, used.state_dict()[name]), name
    other = fresh(recipe, seed=4).state_dict()
    assert any(not torch.equal(value, other[name]) for name, value in untouched.state_dict().items())


def test_all_64_bits_of_a_seed_count() -> None:
    """torch's own CPU generator takes the low 32 only: two such seeds would be the same network."""
    one, other = fresh("tiny", seed=5), fresh("tiny", seed=5 + 2**32)
    assert not torch.equal(one.head, other.head)


def test_initial_weights_have_the_spread_of_their_layer() -> None:
    """U(-b, b) with b = 1/sqrt(fan in) has standard deviation b/sqrt(3); 200,000 draws know it to 0.2 %."""
    weight = fresh("resnet9").stem[1].conv.weight  # type: ignore[index, union-attr]
    bound = (64 * 25) ** -0.5
    assert weight.abs().max().item() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.01)
    assert weight.mean().item() == pytest.approx(0, abs=bound / 200)
    linear = fresh("linear", init_std=0.01).weight
    assert linear.std().item() == pytest.approx(0.01, rel=0.02)


def test_first_filters_start_as_the_identity() -> None:
    model = fresh("airbench94")
    x = images()[:, :1].expand(-1, 24, -1, -1)
    torch.testing.assert_close(model.groups[0].conv1(x)[:, :24], x)  # type: ignore[index]
    assert model.head.std().item() == pytest.approx(1)


@pytest.mark.parametrize("recipe", ["airbench94", "resnet9"])
def test_weights_keep_single_precision_under_half_images(recipe: str) -> None:
    model = fresh(recipe).train()
    logits = model(images().bfloat16())
    logits.float().square().sum().backward()
    assert logits.dtype == torch.bfloat16
    assert {p.dtype for p in model.parameters()} == {
        p.grad.dtype for p in model.parameters() if p.grad is not None
    }
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())


def test_widths_decide_the_number_of_groups() -> None:
    model = build(AirbenchNet(widths=(8, 16)), classes=3, pixels=PIXELS)
    model.reset(init_generator(0))
    assert model(images()).shape == (6, 3)
