"""The C passes against their twin in PyTorch, and the twin against autograd."""

import subprocess
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from airbench_var.errors import DeviceError
from airbench_var.kernels import native
from airbench_var.kernels.airbench import NEEDS, NEEDS_FOR_TILES, SOURCE, Features, obstacle, reference
from airbench_var.models.airbench import WHITENED, Airbench
from airbench_var.recipe import AirbenchNet
from airbench_var.seeds import init_generator

MOMENTUM, EPS = 0.4, 1e-5


def lacking(tiles: bool) -> str | None:
    return obstacle([4], height=32, width=32, stride=2, activation="relu", threads=1, tiles=tiles)


def products(tiles: bool):
    why = lacking(tiles)
    mark = pytest.mark.skipif(why is not None, reason=f"no such C kernels here: {why}")
    return pytest.param(tiles, id="tiles" if tiles else "vectors", marks=mark)


#: The products of vectors, and those of matrix tiles.
in_c = pytest.mark.parametrize("tiles", [products(False), products(True)])

#: Widths, height, width, batch. A last block of 1 image, of 15, and none that is short; channels put out by
#: sixes, by fours and by both; one group, and more; images that are not square, and one whose features have
#: more than 256 positions. Pairs of channels in parts of sixteen that overlap, in three and in two.
CASES = [
    ((24, 48, 48), 32, 32, 33),
    ((4,), 8, 16, 16),
    ((16, 8), 16, 32, 47),
    ((20, 12), 48, 16, 2),
    ((8,), 64, 128, 3),
    ((76, 36), 16, 16, 18),
]


def network(widths: tuple[int, ...], batch: int, height: int, width: int) -> tuple[Airbench, Tensor]:
    config = AirbenchNet(whiten_stride=2, widths=widths, activation="relu", norm_eps=EPS)
    model = Airbench(config, classes=10).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(batch, 3, height, width, generator=generator)
    images = torch.nn.functional.avg_pool2d(images, 3, 1, padding=1) * 3  # neighbours alike, as in pictures
    model.prepare(images)
    model.reset(init_generator(2))
    for norm in norms_of(model):
        norm.bias.data.uniform_(-0.3, 0.3, generator=generator)
    return model, images.bfloat16().contiguous(memory_format=torch.channels_last)


def norms_of(model: Airbench) -> list[torch.nn.Module]:
    return [module for module in model.modules() if hasattr(module, "momentum")]


def passes_of_twin(images, weights, gradient, dtype, rounded=lambda values: values):
    """Return a pass of the reference and its gradients."""
    one, several = (lambda t: t.detach().to(dtype)), (lambda ts: [t.detach().to(dtype) for t in ts])
    filters, biases = several(weights.filters), several(weights.biases)
    done = reference.forward(
        one(images), one(weights.whitening), one(weights.whiten_bias), filters, biases, EPS, rounded
    )
    return done, reference.backward(done, one(gradient), rounded)


def off(mine: Tensor, truth: Tensor) -> float:
    """Return the norm of the difference over that of the truth; NaN is infinitely off."""
    off = ((mine.double() - truth.double()).norm() / truth.double().norm()).item()
    return off if off == off else torch.inf


def gradient_of(batch: int, channels: int) -> Tensor:
    return torch.randn(batch, channels, generator=torch.Generator().manual_seed(3)) / batch


@pytest.mark.parametrize(("widths", "height", "width", "batch"), CASES)
def test_the_twin_is_what_autograd_makes_of_the_network(widths, height, width, batch) -> None:
    model, images = network(widths, batch, height, width)
    gradient = gradient_of(batch, widths[-1])
    model.double().train()
    done, (whiten_bias, filters, biases) = passes_of_twin(
        images, model.weights_for_c(), gradient, torch.float64
    )
    features = model._features(images.double())
    (features * gradient).sum().backward()
    assert off(done.features, features.detach()) < 1e-12
    assert off(whiten_bias, model.whiten_bias.grad) < 1e-10
    weights = model.weights_for_c()
    for mine, truth in zip([*filters, *biases], [*weights.filters, *weights.biases], strict=True):
        assert off(mine, truth.grad) < 1e-10


@in_c
@pytest.mark.parametrize(("widths", "height", "width", "batch"), CASES)
def test_c_is_the_twin(widths, height, width, batch, tiles) -> None:
    """Sums in another order round a number in a few thousand to its other neighbour, 2^-8 away."""
    model, images = network(widths, batch, height, width)
    weights, gradient = model.weights_for_c(), gradient_of(batch, widths[-1])
    done, (whiten_bias, filters, biases) = passes_of_twin(
        images, weights, gradient, torch.float32, reference.to_bfloat16
    )
    features = Features((WHITENED, *widths), height=height, width=width, batch=batch, tiles=tiles)
    mine = features(images, weights, momentum=MOMENTUM, eps=EPS)
    mine.backward(gradient)
    assert off(mine.detach(), done.features) < 1e-3
    assert off(weights.whiten_bias.grad, whiten_bias) < 1e-2
    for parameter, truth in zip([*weights.filters, *weights.biases], [*filters, *biases], strict=True):
        assert off(parameter.grad, truth) < 1e-2
    for layer, mean, variance in zip(done.layers, weights.means, weights.variances, strict=True):
        count = layer.z.numel() / layer.z.size(1)
        unbiased = (layer.rstd.double() ** -2 - EPS) * count / (count - 1)
        assert off(mean, MOMENTUM * layer.mean) < 1e-3
        assert off(variance, 1 + MOMENTUM * (unbiased - 1)) < 1e-3


@in_c
@pytest.mark.parametrize(("widths", "height", "width", "batch"), CASES)
def test_evaluation_is_exact_where_arithmetic_is(widths, height, width, batch, tiles) -> None:
    """With few small whole numbers nothing is rounded: every border, tap and pool must be the right one."""
    model, images = network(widths, batch, height, width)
    generator = torch.Generator().manual_seed(4)
    for parameter in [model.whitening, model.whiten_bias, *model.weights_for_c().filters]:
        sparse = torch.rand(parameter.shape, generator=generator) < 9 / max(parameter[0].numel(), 36)
        parameter.data.copy_(torch.randint(-1, 2, parameter.shape, generator=generator) * sparse)
    images = torch.randint(-1, 2, images.shape, generator=generator).bfloat16()
    images = images.contiguous(memory_format=torch.channels_last)
    for norm in norms_of(model):
        norm.bias.data.zero_()
    model.double().eval()
    for norm in norms_of(model):
        norm.eps = 0.0
    truth = model._features(images.double()).detach()
    assert 0 < truth.max() <= 256
    features = Features((WHITENED, *widths), height=height, width=width, batch=16, tiles=tiles)
    assert torch.equal(features.evaluate(images, model.float().weights_for_c(), eps=0.0).double(), truth)


@in_c
def test_training_ignores_what_was_evaluated_before_and_repeats_itself(tiles) -> None:
    model, images = network((8, 8), 20, 16, 16)
    weights, gradient = model.weights_for_c(), gradient_of(20, 8)
    features, results = Features((WHITENED, 8, 8), height=16, width=16, batch=20, tiles=tiles), []
    for _ in range(2):
        done = features(images, weights, momentum=MOMENTUM, eps=EPS)
        model.zero_grad()
        done.backward(gradient)
        results.append([done.detach(), *(p.grad.clone() for p in [*weights.filters, *weights.biases])])
        features.evaluate(torch.cat([images] * 3), weights, eps=EPS)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@in_c
def test_a_frozen_whitening_bias_takes_no_gradient_and_changes_no_other(tiles) -> None:
    gradients = []
    for trained in (True, False):
        model, images = network((8,), 20, 16, 16)
        model.whiten_bias.requires_grad_(trained)
        features = Features((WHITENED, 8), height=16, width=16, batch=20, tiles=tiles)
        features(images, model.weights_for_c(), momentum=MOMENTUM, eps=EPS).backward(gradient_of(20, 8))
        assert (model.whiten_bias.grad is not None) == trained
        gradients.append([weight.grad for weight in model.weights_for_c().filters])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@in_c
@pytest.mark.parametrize("batch", [20, 500])  # small and large pieces of memory are used again differently
def test_a_gradient_that_is_not_contiguous_is_read_as_it_is(batch, tiles) -> None:
    """Its copy must live until C has read it. `features.sum().backward()` gives one without strides."""
    model, images = network((8,), batch, 16, 16)
    features, results = Features((WHITENED, 8), height=16, width=16, batch=batch, tiles=tiles), []
    for gradient in (torch.ones(1, 1).expand(batch, 8), torch.ones(batch, 8)):
        model.zero_grad()
        features(images, model.weights_for_c(), momentum=MOMENTUM, eps=EPS).backward(gradient)
        results.append([weight.grad.clone() for weight in model.weights_for_c().filters])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@in_c
@pytest.mark.parametrize("layer", [0, 1, 3])
def test_what_is_not_a_number_is_not_hidden(layer, tiles) -> None:
    model, images = network((8, 8), 20, 16, 16)
    weights = model.weights_for_c()
    weights.filters[layer].data[3, 2, 1, 1] = torch.nan
    features = Features((WHITENED, 8, 8), height=16, width=16, batch=20, tiles=tiles)
    done = features(images, weights, momentum=MOMENTUM, eps=EPS)
    assert done.isnan().any(dim=1).all()
    assert features.evaluate(images, weights, eps=EPS).isnan().any(dim=1).all()


@in_c
def test_a_backward_pass_belongs_to_the_last_forward_pass(tiles) -> None:
    model, images = network((8,), 20, 16, 16)
    features = Features((WHITENED, 8), height=16, width=16, batch=20, tiles=tiles)
    weights = model.weights_for_c()
    for use_again in (
        lambda done: features(images, weights, momentum=MOMENTUM, eps=EPS),
        lambda done: features.evaluate(images, weights, eps=EPS),
        lambda done: done.sum().backward(),
    ):
        done = features(images, weights, momentum=MOMENTUM, eps=EPS)
        use_again(done)
        with pytest.raises(RuntimeError, match="used again"):
            done.sum().backward()


@in_c
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: images.float(), "must be bfloat16"),
        (lambda images: images[:, :, :8], "must be bfloat16 .* 16, 16"),
        (lambda images: images.contiguous(), "channels-last"),
        (lambda images: images[:7], "7 images in a batch"),
    ],
)
def test_images_that_do_not_fit_are_refused(change, message, tiles) -> None:
    model, images = network((8,), 20, 16, 16)
    features = Features((WHITENED, 8), height=16, width=16, batch=20, tiles=tiles)
    with pytest.raises(ValueError, match=message):
        features(change(images), model.weights_for_c(), momentum=MOMENTUM, eps=EPS)


@in_c
def test_weights_that_do_not_fit_are_refused(tiles) -> None:
    model, images = network((8,), 20, 16, 16)
    features = Features((WHITENED, 12), height=16, width=16, batch=20, tiles=tiles)
    with pytest.raises(ValueError, match=r"\(24, 8\) channels, and \(24, 12\)"):
        features(images, model.weights_for_c(), momentum=MOMENTUM, eps=EPS)
    features = Features((WHITENED, 8), height=16, width=16, batch=20, tiles=tiles)
    model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="filters must be float32 and torch"):
        features(images, model.weights_for_c(), momentum=MOMENTUM, eps=EPS)


@in_c
@pytest.mark.parametrize(
    ("name", "place"), [("filters", 1), ("filters", 3), ("biases", 0), ("means", 1), ("variances", 3)]
)
def test_a_tensor_of_another_shape_is_refused(name, place, tiles) -> None:
    """C would read and write beyond it."""
    model, images = network((8, 8), 20, 16, 16)
    features = Features((WHITENED, 8, 8), height=16, width=16, batch=20, tiles=tiles)
    tensors = [tensor.detach() for tensor in getattr(model.weights_for_c(), name)]
    tensors[place] = tensors[place][:4]
    weights = replace(model.weights_for_c(), **{name: tensors})
    with pytest.raises(ValueError, match=rf"{name} must be float32 .*\(8"):
        features(images, weights, momentum=MOMENTUM, eps=EPS)
    with pytest.raises(ValueError, match=f"needs one of {name}: 4, not 3"):
        features.evaluate(images, replace(weights, **{name: tensors[:-1]}), eps=EPS)


@in_c
@pytest.mark.parametrize(("channels", "height"), [((24, 6), 16), ((68, 8), 16), ((24, 8, 8), 24)])
def test_a_network_that_c_cannot_compute_is_refused(channels, height, tiles) -> None:
    with pytest.raises(ValueError, match="is not one that C computes"):
        Features(channels, height=height, width=height, batch=1, tiles=tiles)


@in_c
def test_a_network_without_memory_is_refused(tiles) -> None:
    with pytest.raises(DeviceError, match="No memory"):
        Features((WHITENED, 128), height=1024, width=1024, batch=10_000_000, tiles=tiles)


@pytest.mark.skipif(not native.compiler()[0], reason=native.compiler()[1])
@pytest.mark.parametrize(("needs", "tiles"), [(NEEDS, ()), (NEEDS_FOR_TILES, ("-DTILES",))])
def test_the_c_text_gives_no_warning(needs, tiles) -> None:
    target = [f"-m{flag.replace('avx512_bf16', 'avx512bf16').replace('_', '-')}" for flag in needs]
    strict = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *tiles)
    command = [*native.compiler()[0], *target, *strict, str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
