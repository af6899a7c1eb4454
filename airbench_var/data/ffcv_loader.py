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
    from ffcv.loader.epoch_iterator import EpochIterator
    from ffcv.memory_managers import OSCacheManager
    from ffcv.pipeline.compiler import Compiler
    from numba import config as numba_config
    from numba import types
except ImportError as error:
    raise DeviceError(
        f'--loader ffcv and photographs need FFCV ({error}): pip install "airbench_var[ffcv]", after '
        "apt-get install libopencv-dev libturbojpeg0-dev pkg-config. CIFAR-10 also has --loader resident."
    ) from error
finally:
    torch.set_num_threads(_threads)  # importing ffcv sets it to 1


class _PageCache(OSCacheManager):  # type: ignore[misc]
    """Reads from the mapped file, described by types of its own.

    FFCV's makes an array type read-only by setting an attribute of it (ffcv/memory_managers/os_cache.py).
    numba has one object for equal types, so with each new loader the signatures of all that was compiled
    before change their hashes, and numba finds them no more: KeyError, or complaints when they are freed.
    """

    @property
    def state_type(self) -> Any:
        """The types of the mapped bytes, and of where in them each piece begins and how long it is."""
        places = types.Array(types.uint64, 1, "C")
        mapped = types.Array(types.uint8, 1, "C", readonly=True)
        return types.Tuple((mapped, places, places))  # type: ignore[no-untyped-call]

    def compile_reader(self) -> Any:
        """Return the compiled function that finds the bytes of the piece at an address."""

        def read(address: Any, state: Any) -> Any:
            mapped, starts, sizes = state
            return mapped[address : address + sizes[np.searchsorted(starts, address)]]

        state = self.state_type
        return Compiler.compile(read, state[0](types.uint64, state))


class _Epoch(EpochIterator):  # type: ignore[misc]
    """One pass over a file, by a thread; what ends that thread early is raised here, not waited for."""

    error: BaseException | None = None

    def run(self) -> None:
        try:
            super().run()
        except BaseException as error:
            self.error = error
            self.output_queue.put(None)  # the end, for whoever waits

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except StopIteration:
            if self.error is not None:
                raise self.error from None
            raise

    def stop(self) -> None:
        """End the thread; left alone it would wait for a reader for ever."""
        self.iter_ixes = iter(())
        self.close()
        while self.is_alive():
            with suppress(Empty):
                self.output_queue.get(timeout=0.01)


class Reader(FfcvReader):  # type: ignore[misc]
    """FFCV's loader of one file, in any order, on as many threads as torch has.

    FFCV sets torch's number of threads for the whole process to its own number of workers, and on a CPU the
    threads of a run decide its bits. So it gets as many workers as torch has threads, which changes nothing.
    """

    _memory_manager: _PageCache

    def __init__(self, path: Path, batch_size: int, **options: Any) -> None:
        super().__init__(
            str(path),
            batch_size=batch_size,
            num_workers=workers(),
            os_cache=True,
            seed=0,  # otherwise FFCV draws one from NumPy's global generator
            **options,
        )

    @property
    def memory_manager(self) -> _PageCache:
        """What reads the file: ours, with the tables that FFCV made, which take seconds for many images."""
        return self._memory_manager

    @memory_manager.setter
    def memory_manager(self, theirs: OSCacheManager) -> None:
        theirs.__class__ = _PageCache
        self._memory_manager = theirs

    def epoch(self, order_N: npt.NDArray[np.int64]) -> Iterator[tuple[Tensor, ...]]:
        """Yield batches in this order, without a last incomplete one if `drop_last`; raises what FFCV raised.

        They lie in buffers of FFCV's, which it uses again a few batches later.
        """
        self.num_workers = workers()
        try:
            batches = _Epoch(self, order_N[: len(self) * self.batch_size])
        except (MemoryError, RuntimeError) as error:  # the latter is PyTorch's
            raise DeviceError(
                f"there is no room for the batches of {self.fname}, each image as high and as wide as any of "
                f"them ({error}). Lower batch_size, or write it with a smaller --max-resolution."
            ) from error
        try:
            yield from batches
        finally:
            batches.stop()


class FfcvLoader(Loader):
    """Reads the split from a .beton file in the cache folder, which is written when it is not there yet."""

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
        self._n = len(split)
        self._reader = Reader(written(split, cache_dir or user_cache() / "ffcv"), batch_size)

    def inputs(self, epoch: int, seeds: Seeds) -> Iterator[tuple[Tensor, ...]]:
        """Yield images_BHWC and labels_B as read, examples_B and key.

        The images may lie in a buffer of FFCV's, which it uses again a few batches later.
        """
        order_N = epoch_order(seeds.order, epoch, self._n)
        key = augment_key(seeds, epoch, self._device)
        examples_N = upload(order_N, self._device)
        for step, (images_BHWC, labels_B1) in enumerate(self._reader.epoch(order_N)):
            examples_B = examples_N[step * self._batch_size : (step + 1) * self._batch_size]
            labels_B = labels_B1[:, 0].to(self._device, copy=True)  # for they are yielded as they are
            yield images_BHWC.to(self._device), labels_B, examples_B, key

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
