"""Peers train the recipe: the same network, loss and optimizers as ours, with augmentation of its kind."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from airbench_var.data.dataset import Dataset
from airbench_var.models.airbench import Airbench
from airbench_var.recipe import AirbenchNet, Muon
from airbench_var.recipes import find_recipe
from airbench_var.seeds import init_generator
from airbench_var.training.optimizers import Optimizers
from bench.peers.network import Network, Schedule, loss_of
from bench.peers.plain_loop import PlainLoop
from bench.peers.transforms import Normalize, RandomCrop, RandomHorizontalFlip, ToTensor
from bench.peers.tuned_eager import TunedEager, crop, flip_half
from bench.workers import Work

RECIPE = find_recipe("tiny").with_values(
    {
        "network.widths": "8,12,16",
        "batch_size": "24",
        "precision": "single",
        "optimizer.whiten_bias_epochs": "1",
    }
)
STEPS_PER_EPOCH = 2


@pytest.fixture
def images_BCHW() -> torch.Tensor:
    return torch.randn(24, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def both(images_BCHW: torch.Tensor) -> tuple[Airbench, Network]:
    """Our network and theirs with equal weights."""
    assert isinstance(RECIPE.network, AirbenchNet)
    ours, theirs = Airbench(RECIPE.network, 10), Network(RECIPE.network, 10, images_BCHW)
    ours.prepare(images_BCHW)
    ours.reset(init_generator(1))
    with torch.no_grad():
        theirs.whiten.bias.copy_(ours.whiten_bias)  # type: ignore[union-attr]
        theirs.head.weight.copy_(ours.head)
        for mine, other in zip(ours.groups, theirs.groups, strict=True):
            other.conv1.weight.copy_(mine.conv1.weight)  # type: ignore[union-attr, operator]
            other.conv2.weight.copy_(mine.conv2.weight)  # type: ignore[union-attr, operator]
    return ours, theirs


def test_the_network_is_ours(images_BCHW: torch.Tensor) -> None:
    ours, theirs = both(images_BCHW)
    filters = ours.whitening.flatten(1)
    gram_of_ours, gram_of_theirs = (f.T @ f for f in (filters, theirs.whiten.weight.flatten(1)))
    torch.testing.assert_close(gram_of_theirs, gram_of_ours, rtol=1e-3, atol=1e-3)  # signs are free
    theirs.whiten.weight.data.copy_(ours.whitening)
    for training in (True, False):
        ours.train(training)
        theirs.train(training)
        torch.testing.assert_close(theirs(images_BCHW), ours(images_BCHW), rtol=1e-4, atol=1e-5)


def test_steps_move_the_weights_as_ours_do(images_BCHW: torch.Tensor) -> None:
    """Two epochs: the whitening bias stands still in the second."""
    ours, theirs = both(images_BCHW)
    theirs.whiten.weight.data.copy_(ours.whitening)
    assert isinstance(RECIPE.optimizer, Muon)
    recipe = RECIPE.with_values({"epochs": "2"})
    labels_B = torch.arange(24) % 10
    optimizers = Optimizers(ours, recipe.optimizer, steps=4, steps_per_epoch=STEPS_PER_EPOCH)
    schedule = Schedule(theirs, recipe, STEPS_PER_EPOCH, fused=True)
    assert (schedule.steps, schedule.whiten_steps) == (4, 2)
    for step in range(4):
        if step in (0, 2):
            optimizers.begin_phase(step)
        loss = F.cross_entropy(ours(images_BCHW), labels_B, label_smoothing=0.2, reduction="sum")
        loss.backward()
        other = loss_of(theirs(images_BCHW, step < schedule.whiten_steps), labels_B, recipe)
        other.backward()
        torch.testing.assert_close(other, loss, rtol=2e-3, atol=0)
        optimizers.step(torch.tensor([step]))
        schedule.step(step)
        theirs.zero_grad(set_to_none=True)
    torch.testing.assert_close(theirs.whiten.bias, ours.whiten_bias, rtol=1e-2, atol=1e-3)
    pairs = zip(ours.groups, theirs.groups, strict=True)
    for mine, other_group in pairs:
        for name in ("conv1.weight", "conv2.weight", "norm1.bias", "norm2.bias"):
            a, b = mine.get_parameter(name), other_group.get_parameter(name)
            assert (a - b).norm() < 0.05 * a.norm(), name  # Newton-Schulz is in bfloat16


def test_each_image_is_shifted_and_mirrored_on_its_own() -> None:
    """Every shift of every image is one of nine, each happens, and pixels beyond the edge are mirrored."""
    images_NCHW = torch.arange(200 * 3 * 6 * 6, dtype=torch.float32).reshape(200, 3, 6, 6)
    padded_NCHW = F.pad(images_NCHW, (1,) * 4, "reflect")
    torch.manual_seed(0)
    seen = set()
    for padded, out in zip(padded_NCHW, crop(padded_NCHW, 1), strict=True):
        fits = [
            (y, x) for y in range(3) for x in range(3) if torch.equal(padded[:, y : y + 6, x : x + 6], out)
        ]
        assert len(fits) == 1
        seen.update(fits)
    assert len(seen) == 9
    mirrored = [not torch.equal(a, b) for a, b in zip(images_NCHW, flip_half(images_NCHW), strict=True)]
    assert 70 < sum(mirrored) < 130


def test_transforms_of_one_image_are_those_of_a_batch() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (32, 32, 3), np.uint8)
    torch.manual_seed(0)
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="reflect")
    windows = [padded[y : y + 32, x : x + 32] for y in range(3) for x in range(3)]
    drawn = [RandomCrop(32, 1)(image) for _ in range(100)]
    assert {next(i for i, w in enumerate(windows) if np.array_equal(w, d)) for d in drawn} == set(range(9))
    flips = [RandomHorizontalFlip()(image) for _ in range(100)]
    assert 30 < sum(np.array_equal(flip, image[:, ::-1]) for flip in flips) < 70
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    tensor = Normalize(mean, std)(ToTensor()(image))
    expected = (image / 255 - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(tensor.permute(1, 2, 0).numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("peer", [TunedEager, partial(PlainLoop, loader_workers=0)])
def test_peers_learn_what_can_be_learned(peer: Callable[..., Work], small_data: Dataset) -> None:
    """Ten colours in noise: a loop that lost labels or steps on the way stays at one in ten."""
    train = peer(RECIPE.with_values({"epochs": "2"}), replace(small_data, train=small_data.train.first(600)))
    accuracy = train(0)
    assert accuracy > 0.4
    assert accuracy == train(0)
