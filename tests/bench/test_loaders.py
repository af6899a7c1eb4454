"""What loaders hand over is compared before it is timed: bits of ours, form, labels and moments of all."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch

from airbench_var.data import Dataset
from airbench_var.data.loaders import Loader, Pixels, ResidentLoader
from airbench_var.data.synthetic import load, sample
from bench import loaders
from bench.loaders import PlainLoader, cases
from bench.peers.tuned_eager import AirbenchLoader
from bench.schema import Case, CheckFailedError, Result, measure

CPU = torch.device("cpu")
BATCH = 24
Epoch = Iterator[tuple[torch.Tensor, torch.Tensor]]


@pytest.fixture(scope="module")
def images() -> Dataset:
    return replace(load(), train=sample("train", 0, 480), test=sample("test", 0, 8))


@pytest.fixture
def without_ffcv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ffcv", None)
    monkeypatch.setitem(sys.modules, "ffcv.loader", None)
    monkeypatch.delitem(sys.modules, "airbench_var.data.ffcv_loader", raising=False)


def checked(case: Case, *names: str) -> None:
    """Measure ours and these variants once."""
    variants = {name: case.variants[name] for name in ("ours", *names)}
    measure(replace(case, variants=variants), CPU, repeats=1, warm_up=0, limit_s=0)


@pytest.mark.usefixtures("without_ffcv")
def test_without_ffcv_the_others_are_compared_and_the_reason_is_said(images: Dataset) -> None:
    (case,) = cases(images, BATCH, CPU)
    assert list(case.variants) == ["ours", "dataloader", "dataloader, 2 workers", "airbench"]
    assert "without FFCV" in case.notes["ours"]
    assert "airbench_var[ffcv]" in case.notes["ours"]


@pytest.mark.parametrize("flip", ["alternating", "random"])
def test_ffcv_with_other_bits_has_no_number(
    flip: Literal["alternating", "random"], images: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resident loader stands in for FFCV's, whose own bits are compared wherever it is installed."""
    folders: list[Path] = []

    def stand_in(
        images: Dataset, batch_size: int, pixels: Pixels, device: torch.device, folder: Path
    ) -> Loader:
        folders.append(folder)
        pixels = replace(pixels, augment=replace(pixels.augment, flip=flip))
        return ResidentLoader(images.train, batch_size, pixels, device)

    monkeypatch.setattr(loaders, "through_ffcv", stand_in)
    with closing(cases(images, BATCH, CPU)) as found:
        case = next(found)
        assert folders[0].is_dir()
        if flip == "alternating":
            checked(case, "ffcv")
        else:
            with pytest.raises(CheckFailedError, match="ffcv and ours differ"):
                checked(case, "ffcv")
    assert not folders[0].exists()


def brighter(images_BCHW: torch.Tensor, labels_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return images_BCHW + 0.5, labels_B


def single(images_BCHW: torch.Tensor, labels_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return images_BCHW.float(), labels_B


def channels_first(images_BCHW: torch.Tensor, labels_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return images_BCHW.contiguous(), labels_B


def one_label(images_BCHW: torch.Tensor, labels_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return images_BCHW, labels_B.clamp(max=8)


def smaller(images_BCHW: torch.Tensor, labels_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return images_BCHW[..., 1:], labels_B


@pytest.mark.usefixtures("without_ffcv")
@pytest.mark.parametrize("change", [brighter, single, channels_first, one_label, smaller])
def test_an_epoch_of_other_images_form_or_labels_has_no_number(
    change: Callable[..., tuple[torch.Tensor, torch.Tensor]], images: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    (case,) = cases(images, BATCH, CPU)
    checked(case, "dataloader", "airbench")
    epoch = PlainLoader.epoch
    monkeypatch.setattr(PlainLoader, "epoch", lambda self: (change(*batch) for batch in epoch(self)))
    (case,) = cases(images, BATCH, CPU)
    with pytest.raises(CheckFailedError, match="dataloader and ours differ"):
        checked(case, "dataloader")


def test_a_call_is_a_new_epoch_with_every_batch(images: Dataset) -> None:
    asked: list[int] = []

    def epoch() -> Epoch:
        asked.append(0)
        for first in range(0, 480, BATCH):
            asked[-1] += 1
            labels_B = torch.from_numpy(images.train.labels_N[first : first + BATCH]).long()
            yield torch.full((BATCH, 3, 2, 2), len(asked)), labels_B

    fetch = loaders.variant(epoch)()
    assert callable(fetch)
    result: Result = fetch()
    assert asked == [20, 20]
    assert isinstance(result[4], torch.Tensor)
    assert torch.equal(result[4], torch.tensor([[2.0] * 3 + [4.0] * 3] * 480))


def test_airbench_takes_each_image_once_an_epoch_and_mirrors_all_of_them_every_other() -> None:
    images_NCHW = torch.arange(40 * 3 * 4 * 4.0).reshape(40, 3, 4, 4)
    loader = AirbenchLoader(images_NCHW, torch.arange(40), batch_size=8, r=0)
    epochs = []
    for _ in range(3):
        images, labels = map(torch.cat, zip(*loader.epoch(), strict=True))
        order = labels.argsort()
        assert not torch.equal(order, torch.arange(40))
        assert torch.equal(labels[order], torch.arange(40))
        epochs.append(images[order])
    assert torch.equal(epochs[0], epochs[1].flip(-1))
    assert torch.equal(epochs[0], epochs[2])
    mirrored = (epochs[0] == images_NCHW.flip(-1)).flatten(1).all(1)
    assert torch.equal(epochs[0][~mirrored], images_NCHW[~mirrored])
    assert 10 < mirrored.sum() < 30


def test_a_batch_that_does_not_divide_the_images_is_a_defect(images: Dataset) -> None:
    with pytest.raises(AssertionError, match="other images"):
        next(cases(images, 25, CPU))
