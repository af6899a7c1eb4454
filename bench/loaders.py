"""Whole epochs of CIFAR-10 as the network takes them: our loaders, a DataLoader, and airbench's own scheme.

A call is an epoch whose batches are dropped as they come, at the batch size and augmentation of `airbench94`.
What is done once, reading and normalising and starting processes, lies before the first epoch that counts.
Ours through FFCV must have the bits of ours; the others draw for themselves, so that it is looked at
whether an epoch of theirs shows the same images in the same form.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from airbench_var.data import Dataset
from airbench_var.data.loaders import Loader, Pixels, ResidentLoader
from airbench_var.errors import DeviceError
from airbench_var.recipes import images_recipe
from airbench_var.seeds import seeds_of_run
from bench.kernels import half
from bench.peers.plain_loop import Images
from bench.peers.transforms import Compose, drawing, to_input
from bench.peers.tuned_eager import AirbenchLoader, resident
from bench.sampling import form, moments, same_moments
from bench.schema import OURS, Case, Result, Variant, copying

RECIPE = images_recipe("airbench94")
SEEDS = seeds_of_run(0, 0)
WORKERS = 2

Batches = Iterable[tuple[Tensor, Tensor]]


def cases(images: Dataset, batch_size: int, device: torch.device) -> Iterator[Case]:
    """Yield the one case; batch_size divides the number of training images. Removes the file of FFCV."""
    split, dtype, translate = images.train, half(device), RECIPE.augment.translate
    assert len(split) % batch_size == 0, "else an epoch of one loader has other images than one of another"
    pixels = Pixels(augment=RECIPE.augment, mean=images.mean, std=images.std, dtype=dtype)
    whole = AirbenchLoader(*resident(images, split, dtype, device), batch_size, translate)
    drawn: dict[str, Callable[[], Batches]] = {
        "dataloader": PlainLoader(images, batch_size, 0, dtype, device).epoch,
        f"dataloader, {WORKERS} workers": PlainLoader(images, batch_size, WORKERS, dtype, device).epoch,
        "airbench": whole.epoch,
    }
    seeded: dict[str, Loader] = {OURS: ResidentLoader(split, batch_size, pixels, device)}
    notes = {f"dataloader, {WORKERS} workers": f"{WORKERS} processes besides this one"}
    with TemporaryDirectory() as folder:
        try:
            seeded["ffcv"] = through_ffcv(images, batch_size, pixels, device, Path(folder))
            notes["ffcv"] = "as many threads besides this one as it has"
        except DeviceError as error:
            notes[OURS] = f"without FFCV to compare with: {error}"
        epochs = {name: in_turn(loader) for name, loader in seeded.items()} | drawn
        moved = split.images_NHWC.nbytes * (1 + dtype.itemsize)
        yield Case(
            name=f"loaders, epochs of {images.title} to {dtype}, batches of {batch_size}".replace(
                "torch.", ""
            ),
            variants={name: variant(epoch) for name, epoch in epochs.items()},
            bytes_moved=moved,
            ceiling=copying(moved, device),
            agree=dict.fromkeys(drawn, same_epoch),
            notes=notes,
            items=len(split),
            item="images",
        )


def through_ffcv(
    images: Dataset, batch_size: int, pixels: Pixels, device: torch.device, folder: Path
) -> Loader:
    """Return the loader that reads a file in this folder; raises DeviceError when FFCV is not installed."""
    from airbench_var.data.ffcv_loader import FfcvLoader

    return FfcvLoader(images.train, batch_size, pixels, device, folder)


def in_turn(loader: Loader) -> Callable[[], Batches]:
    """Return what gives the next epoch a call, as a run asks for them."""
    numbers = count()
    return lambda: loader.epoch(next(numbers), SEEDS)


class PlainLoader:
    """A DataLoader with the transforms of one image at a time; workers stay for all epochs."""

    def __init__(
        self, images: Dataset, batch_size: int, workers: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        side = images.train.images_NHWC.shape[1]
        transform = Compose([*drawing(side, RECIPE.augment.translate), *to_input(images.mean, images.std)])
        how: dict[str, Any] = {
            "num_workers": workers,
            "persistent_workers": bool(workers),
            "multiprocessing_context": "fork" if workers else None,  # as in a script, on Linux
        }
        self.loader = DataLoader(
            Images(images.train, transform), batch_size, shuffle=True, drop_last=True, **how
        )
        self.dtype, self.device = dtype, device

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch in the form of ours."""
        for images_BCHW, labels_B in self.loader:
            yield (
                images_BCHW.to(self.device, self.dtype, memory_format=torch.channels_last),
                labels_B.to(self.device),
            )


def variant(epoch: Callable[[], Batches]) -> Variant:
    """Return what takes an epoch; its result is the summary of the epoch after it."""

    def take() -> Callable[[], Result]:
        deque(epoch(), maxlen=0)
        return lambda: summary(epoch())

    return take


def summary(batches: Batches) -> Result:
    """Return the last images and labels, a digest of all bits, the labels' counts, and images' moments."""
    digest = hashlib.sha256()
    labels, parts = [], []
    for images_BCHW, labels_B in batches:
        for tensor in (images_BCHW.permute(0, 2, 3, 1), labels_B):
            digest.update(tensor.contiguous().view(torch.uint8).cpu().numpy().tobytes())
        labels.append(labels_B)
        parts.append(moments(images_BCHW))
    bits = torch.tensor(list(digest.digest()), dtype=torch.uint8)
    return images_BCHW, labels_B, bits, torch.bincount(torch.cat(labels)), torch.cat(parts)


def same_epoch(ours: Result, other: Result) -> bool:
    """Whether the form of batches and the labels are equal, and moments so up to chance; the bits are not."""
    mine, its = cast("tuple[tuple[Tensor, ...], ...]", (ours, other))
    return (
        [form(tensor) for tensor in mine[:2]] == [form(tensor) for tensor in its[:2]]
        and torch.equal(mine[3], its[3])
        and same_moments(mine[4], its[4])
    )
