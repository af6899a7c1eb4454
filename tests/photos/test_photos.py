"""Runs on photographs: a function of their seeds, they learn, and a campaign of them is like any other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from airbench_var.analysis import analyze
from airbench_var.campaign import Campaign, run_campaign
from airbench_var.data import photos
from airbench_var.data.photos import PhotoData
from airbench_var.errors import DataError, StoreRefusedError, UsageError
from airbench_var.models.resnet18 import ResNet18
from airbench_var.photos import RecipeOnPhotos
from airbench_var.recipe import PhotoRecipe, ResNet18Net
from airbench_var.recipes import find_recipe
from airbench_var.seeds import Seeds, init_generator
from airbench_var.store import RunResult, Store
from airbench_var.subjects import refuse_together
from airbench_var.training import Settings
from tests.photos.small import SHORT, write_data

pytest.importorskip("ffcv")
from airbench_var.photos.trainer import PhotoTrainer, rate_share, resolution_at

SEEDS = Seeds(init=1, order=2, aug=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def data(folder: Path) -> PhotoData:
    return photos.load(folder)


@pytest.fixture(scope="module")
def recipe() -> PhotoRecipe:
    chosen = find_recipe("resnet18-imagenet").with_values(SHORT)
    assert isinstance(chosen, PhotoRecipe)
    return chosen


@pytest.fixture(scope="module")
def trainer(recipe: PhotoRecipe, data: PhotoData) -> PhotoTrainer:
    return PhotoTrainer(recipe, data, Settings())


def bits(result: RunResult) -> tuple[float, dict[str, bytes]]:
    return result.loss, {name: one.correct.tobytes() for name, one in result.predictions.items()}


def test_it_learns_and_says_what_it_predicts(trainer: PhotoTrainer, data: PhotoData) -> None:
    result = trainer(SEEDS)
    [predictions] = result.predictions.values()
    assert predictions.predicted is not None
    labels_N = data.tests["val"].labels_M
    right_N = np.unpackbits(predictions.correct, bitorder="little")[: len(labels_N)]
    assert (right_N == (predictions.predicted == labels_N)).all()
    assert right_N.mean() > 0.6  # of three classes
    assert not result.diverged


def test_equal_seeds_give_equal_bits_whatever_was_trained_before(trainer: PhotoTrainer) -> None:
    first = bits(trainer(SEEDS))
    others = [bits(trainer(replace(SEEDS, **{name: 9}))) for name in ("init", "order", "aug")]
    assert bits(trainer(SEEDS)) == first
    assert all(other[0] != first[0] for other in others)
    assert len({other[0] for other in others}) == 3


def test_a_campaign_goes_on_where_it_was_stopped(
    recipe: PhotoRecipe,
    data: PhotoData,
    tmp_path: Path,
    trainer: PhotoTrainer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The trainer is there already, as each new one compiles for seconds."""
    monkeypatch.setattr("airbench_var.photos.trainer.PhotoTrainer", lambda *_: trainer)
    subject = RecipeOnPhotos(recipe=recipe, data=data, settings=Settings(engine="eager"))
    stores = {}
    for name, steps in (("at-once", (3,)), ("in-two", (1, 3))):
        for runs in steps:
            run_campaign(Campaign(subject=subject, out=tmp_path / name, runs=runs))
        stores[name] = Store.open(tmp_path / name)
    found = [store.predicted("val").tolist() for store in stores.values()]
    assert found[0] == found[1]
    [summary] = analyze(tmp_path / "at-once").test_sets
    assert (summary.name, summary.runs, summary.examples) == ("val", 3, len(data.tests["val"].labels_M))
    other = replace(subject, recipe=recipe.with_values({"flip": False}))
    with pytest.raises(StoreRefusedError, match=r"recipe\.flip: true in the store, false now"):
        run_campaign(Campaign(subject=other, out=tmp_path / "at-once", runs=3))


def test_the_network_is_resnet_18_as_everybody_counts_it() -> None:
    """11,689,512 weights at 1,000 classes, as torchvision's, and its shapes."""
    model = ResNet18(ResNet18Net(), 1000)
    counted = sum(weight.numel() for weight in model.parameters())
    assert counted == 11_689_512
    model.reset(init_generator(1))
    images = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 64, 64), np.float32))
    with torch.no_grad():
        assert model(images).shape == (2, 1000)
        first = model.conv.weight
        assert float(first.std()) == pytest.approx((2 / (64 * 49)) ** 0.5, rel=0.05)


def test_the_rate_rises_and_falls_as_the_paper_says() -> None:
    own = find_recipe("resnet18-imagenet")
    assert isinstance(own, PhotoRecipe)
    rates = [0.5 * rate_share(epoch, own, 100) for epoch in (0, 1, 2, 51, 100)]
    assert rates == pytest.approx([5e-5, (5e-5 + 0.5) / 2, 0.5, 0.25, 0.0])
    assert rate_share(0.5, own, 1) == pytest.approx((1 + 1e-4) / 2)


def test_resolution_grows_in_steps_of_32() -> None:
    own = find_recipe("resnet18-imagenet").with_values({"first_resolution": 128, "full_resolution_epoch": 8})
    assert isinstance(own, PhotoRecipe)
    sides = [resolution_at(own, epoch) for epoch in range(10)]
    assert sides == sorted(sides)
    assert (sides[0], sides[-1], {side % 32 for side in sides}) == (128, 192, {0})
    assert len(set(sides)) == 3
    plain = own.with_values({"full_resolution_epoch": 0})
    assert {resolution_at(plain, epoch) for epoch in range(10)} == {192}


def test_files_that_do_not_belong_together_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs --data-dir"):
        photos.load(None)
    with pytest.raises(DataError, match=r"train\.beton is not there\. Write it"):
        photos.load(tmp_path)
    other = write_data(tmp_path / "two", classes=2)
    for name in ("train.beton", "train.beton.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    for name in ("val.beton", "val.beton.json"):
        (tmp_path / name).write_bytes((other / name).read_bytes())
    with pytest.raises(DataError, match=r"has other classes than .*: 'c' is in one alone"):
        photos.load(tmp_path)
    train = tmp_path / "train.beton"
    train.write_bytes(train.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"train\.beton is no \.beton, or was cut short"):
        photos.load(tmp_path)
    train.write_bytes(b"PNG")
    with pytest.raises(DataError, match=r"train\.beton cannot be read"):
        photos.load(tmp_path)


def test_a_last_batch_of_one_small_image_is_refused_before_it_is_trained(
    recipe: PhotoRecipe, data: PhotoData
) -> None:
    alone = recipe.with_values({"batch_size": 17})  # of 120
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        PhotoTrainer(alone, data, Settings())(SEEDS)
    with pytest.raises(UsageError, match=r"'batch_size' is 17: of 120 images one is left .* at 32 pixels"):
        RecipeOnPhotos(recipe=alone, data=data, settings=Settings()).refuse_misfit()
    larger = alone.with_values({"resolution": 64, "first_resolution": 64})
    RecipeOnPhotos(recipe=larger, data=data, settings=Settings()).refuse_misfit()


def test_runs_on_photographs_do_not_share_a_process(data: PhotoData) -> None:
    refuse_together(data, 1)
    with pytest.raises(UsageError, match=r"--runs-per-device 2: .* a switch of the whole process"):
        refuse_together(data, 2)
