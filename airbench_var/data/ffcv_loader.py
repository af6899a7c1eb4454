"""Training batches through FFCV: its file and its reader, our order and our augmentation, so the same bits.

The only module that imports ffcv. FFCV's own augmentations are not used: they draw from unseeded generators.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from airbench_var.cache import user_cache
from airbench_var.data import beton
from airbench_var.data.dataset import Split
from airbench_var.data.loaders import Loader, Pixels, augment_key, steps_per_epoch, upload
from airbench_var.errors import DeviceError
from airbench_var.seeds import Seeds, epoch_order

_threads = torch.get_num_threads()
try:
    from ffcv.loader import Loader as FfcvReader
    from ffcv.traversal_order.base import TraversalOrder
    from numba import config as numba_config
except ImportError as error:
    raise DeviceError(
        f'--loader ffcv and photographs need FFCV ({error}): pip install "airbench_var[ffcv]", after '
        "apt-get install libopencv-dev libturbojpeg0-dev pkg-config. CIFAR-10 also has --loader resident."
    ) from error
finally:
    torch.set_num_threads(_threads)  # importing ffcv sets it to 1


class SeededOrder(TraversalOrder):  # type: ignore[misc]
    """The order that was last put into `order_N`; FFCV calls an instance to bind it to a loader."""

    def __init__(self, order_N: npt.NDArray[np.int64]) -> None:
        self.order_N = order_N

    def __call__(self, loader: object) -> "SeededOrder":
        """Return this very order, which needs nothing of its loader."""
        return self

    def sample_order(self, epoch: int) -> npt.NDArray[np.int64]:
        """Return the order; FFCV's count of epochs plays no part."""
        return self.order_N


class FfcvLoader(Loader):
    """Reads the split from a .beton file in the cache folder, which is written when it is not there yet.

    FFCV sets torch's number of threads for the whole process to its own number of workers, and on a CPU the
    threads of a run decide its bits. So it gets as many workers as torch has threads, which changes nothing.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        pixels: Pixels,
        device: torch.device,
        cache_dir: Path | None = None,
    ) -> None:
        self.steps_per_epoch = steps_per_epoch(split, batch_size)
        self._batch_size, self._pixels, self._device = batch_size, pixels, device
        self._rows_B = torch.arange(batch_size, device=device)
        self._order = SeededOrder(np.arange(len(split)))
        self._reader = FfcvReader(
            str(written(split, cache_dir or user_cache() / "ffcv")),
            batch_size=batch_size,
            num_workers=workers(),
            order=self._order,
            seed=0,  # otherwise FFCV draws one from NumPy's global generator
        )

    def inputs(self, epoch: int, seeds: Seeds) -> Iterator[tuple[Tensor, ...]]:
        """Yield images_BHWC and labels_B as read, examples_B and key.

        The images may lie in a buffer of FFCV's, which it uses again a few batches later.
        """
        order_N = epoch_order(seeds.order, epoch, len(self._order.order_N))
        self._order.order_N, self._reader.num_workers = order_N, workers()
        key = augment_key(seeds, epoch, self._device)
        examples_N = upload(order_N, self._device)
        batches = iter(self._reader)
        try:
            for step, (images_BHWC, labels_B1) in enumerate(batches):
                examples_B = examples_N[step * self._batch_size : (step + 1) * self._batch_size]
                labels_B = labels_B1[:, 0].to(self._device, copy=True)  # for they are yielded as they are
                yield images_BHWC.to(self._device), labels_B, examples_B, key
        finally:
            stop(batches)

    def batch(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Augment, see `airbench_var.data.loaders.Loader`."""
        images_BHWC, labels_B, examples_B, key = inputs
        return self._pixels.prepare(images_BHWC, self._rows_B, examples_B, key), labels_B


def written(split: Split, cache_dir: Path) -> Path:
    """Return the .beton of this split, named by its fingerprint; write it unless it is there and complete."""
    fingerprint = split.fingerprint
    path = cache_dir / f"{fingerprint['images_sha256']:.16}-{fingerprint['labels_sha256']:.16}.beton"
    if not beton.is_complete(path, len(split)):
        beton.write(split, path)
    return path


def workers() -> int:
    """Return torch's number of threads; raises DeviceError when FFCV cannot have as many."""
    threads, most = torch.get_num_threads(), int(vars(numba_config)["NUMBA_NUM_THREADS"])
    if threads > most:
        raise DeviceError(
            f"--loader ffcv can use {most} threads here, not {threads}: lower --threads to {most}, "
            "or use --loader resident."
        )
    return threads


def stop(batches: Any) -> None:
    """End the thread behind an FFCV iterator; left alone it would wait for a reader for ever."""
    batches.iter_ixes = iter(())
    batches.close()
    while batches.is_alive():
        with suppress(Empty):
            batches.output_queue.get(timeout=0.01)
