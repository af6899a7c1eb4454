"""Training batches in seeded order, augmented and normalised on the device: the contract and its default."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from airbench_var.data.dataset import Split
from airbench_var.errors import UsageError
from airbench_var.kernels.augment import augment as augment_kernel
from airbench_var.recipe import Augment
from airbench_var.seeds import Seeds, epoch_order

Channels = tuple[float, float, float]


class Loader(ABC):
    """Makes the batches of an epoch; equal seeds give equal bits, whichever loader it is.

    In two parts: what a batch is made from comes from the host, and the batch itself is a function of tensors
    on the device, which a CUDA graph can replay.
    """

    steps_per_epoch: int

    @abstractmethod
    def inputs(self, epoch: int, seeds: Seeds) -> Iterator[tuple[Tensor, ...]]:
        """Yield what `batch` takes, on the device, for each whole batch of an epoch."""

    @abstractmethod
    def batch(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return images_BCHW, normalised, channels-last, and labels_B int64."""

    def epoch(self, epoch: int, seeds: Seeds) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of an epoch."""
        for inputs in self.inputs(epoch, seeds):
            yield self.batch(*inputs)


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """How the bytes of an image become the network's input."""

    augment: Augment
    mean: Channels  #: in units of 0 ... 255
    std: Channels  #: in units of 0 ... 255
    dtype: torch.dtype

    def prepare(self, images_NHWC: Tensor, rows_B: Tensor, examples_B: Tensor, key: Tensor) -> Tensor:
        """Return (B, C, H, W) from uint8 images: rows_B says which, examples_B and key what is drawn."""
        return augment_kernel(
            images_NHWC,
            rows_B,
            examples_B,
            key,
            flip=self.augment.flip,
            translate=self.augment.translate,
            padding=self.augment.padding,
            cutout=self.augment.cutout,
            mean=self.mean,
            std=self.std,
            dtype=self.dtype,
        )


def normalised(
    split: Split, *, mean: Channels, std: Channels, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Return all images of a split as (N, C, H, W), normalised and not augmented: what is evaluated."""
    pixels = Pixels(augment=Augment(), mean=mean, std=std, dtype=dtype)
    rows_N = torch.arange(len(split), device=device)
    no_draws = torch.zeros(2, dtype=torch.int64, device=device)
    return pixels.prepare(images_on(device, split), rows_N, rows_N, no_draws)


def images_on(device: torch.device, split: Split) -> Tensor:
    """Return the images on the device, uint8 (N, H, W, 3); on a CPU they share the split's memory."""
    return torch.from_numpy(np.require(split.images_NHWC, requirements=["C", "W"])).to(device)


def augment_key(seeds: Seeds, epoch: int, device: torch.device) -> Tensor:
    """Return the kernel's counter key, int64 (2,): the bit pattern of the augmentation seed, the epoch."""
    return upload(np.array([seeds.aug, epoch], np.uint64).view(np.int64), device)


def upload(array: npt.NDArray[np.int64], device: torch.device) -> Tensor:
    """Return the array on the device; from pinned memory, so that the host waits for nothing queued there."""
    tensor = torch.from_numpy(array)
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def steps_per_epoch(split: Split, batch_size: int) -> int:
    """Return the number of whole batches; raises UsageError when there is none."""
    if not 1 <= batch_size <= len(split):
        raise UsageError(
            f"batch_size = {batch_size}: expected 1 ... {len(split)}, the number of training examples."
        )
    return len(split) // batch_size


class ResidentLoader(Loader):
    """All images live on the device as bytes, and each batch is gathered and augmented there in one pass."""

    def __init__(self, split: Split, batch_size: int, pixels: Pixels, device: torch.device) -> None:
        self.steps_per_epoch = steps_per_epoch(split, batch_size)
        self._batch_size, self._pixels = batch_size, pixels
        self._images_NHWC = images_on(device, split)
        self._labels_N = torch.from_numpy(split.labels_N.astype(np.int64)).to(device)

    def inputs(self, epoch: int, seeds: Seeds) -> Iterator[tuple[Tensor, ...]]:
        """Yield rows_B and key."""
        device = self._images_NHWC.device
        order_N = upload(epoch_order(seeds.order, epoch, len(self._labels_N)), device)
        key = augment_key(seeds, epoch, device)
        for step in range(self.steps_per_epoch):
            yield order_N[step * self._batch_size : (step + 1) * self._batch_size], key

    def batch(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Gather and augment, see `Loader`."""
        rows_B, key = inputs
        return self._pixels.prepare(self._images_NHWC, rows_B, rows_B, key), self._labels_N[rows_B]
