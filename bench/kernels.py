"""The kernels against their references and against what a user would write in PyTorch or NumPy."""

import os
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch

from airbench_var.kernels.augment import augment
from airbench_var.kernels.augment.reference import Settings, draw
from airbench_var.kernels.cooccurrence import cooccurrence
from airbench_var.kernels.correctness import correctness
from airbench_var.training import choose_augmentation
from bench.peers.transforms import Compose, drawing, to_input
from bench.peers.tuned_eager import masked_copies
from bench.sampling import same_images
from bench.schema import OURS, Case, Result, copying, multiplying

MEAN, STD = (125.307, 122.95, 113.865), (62.993, 62.089, 66.705)  # CIFAR-10, units of 0 ... 255
N, SIZE, TRANSLATE = 10_000, 32, 2


def augment_cases(device: torch.device) -> Iterator[Case]:
    """Yield augmentation at the batch sizes of `tiny` and `airbench94`."""
    for key, batch in (("augment", 500), ("augment_2000", 2000)):
        yield _augment_case(key, batch, half(device), device)


def half(device: torch.device) -> torch.dtype:
    """Return the number format of activations on a device."""
    return torch.float16 if device.type == "cuda" else torch.bfloat16


def _augment_case(key_of_ratios: str, batch: int, dtype: torch.dtype, device: torch.device) -> Case:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (N, SIZE, SIZE, 3), dtype=torch.uint8, generator=generator)
    rows = torch.randperm(N, generator=generator)[:batch]
    key = torch.tensor([1, 2])  # an even epoch, see MaskedCopies
    whole_batch = MaskedCopies(images, rows, key, dtype, device)
    per_image = PerImage(images[rows], dtype, device)
    images, rows, key = images.to(device), rows.to(device), key.to(device)

    def run(backend: str) -> tuple[torch.Tensor]:
        out_BCHW = augment(
            images, rows, rows, key, flip="alternating", translate=TRANSLATE, mean=MEAN, std=STD, dtype=dtype,
            backend=backend,
        )  # fmt: skip
        return (out_BCHW,)

    variants: dict[str, Callable[[], Result]] = {
        OURS: lambda: run("auto"),
        "masked copies": lambda: (whole_batch(),),
        "per image": lambda: (per_image(),),
    }
    if device.type == "cpu":
        variants["reference"] = lambda: run("reference")
    name = f"augment, {batch} x {SIZE} x {SIZE} x 3 to {dtype}".replace("torch.", "")
    moved = batch * SIZE * SIZE * 3 * (1 + dtype.itemsize)
    return Case(
        name=name,
        key=key_of_ratios,
        variants=variants,
        bytes_moved=moved,
        ceiling=copying(moved, device),
        agree={"per image": same_images},
        notes={OURS: f"backend {choose_augmentation(str(device))[0]}", "per image": "draws for itself"},
        items=batch,
        item="images",
    )


class PerImage:
    """One image after the other through the transforms of a DataLoader; stacked, in the form of ours."""

    def __init__(self, images_BHWC: torch.Tensor, dtype: torch.dtype, device: torch.device) -> None:
        self.images, self.dtype, self.device = list(images_BHWC.numpy()), dtype, device
        self.transform = Compose([*drawing(SIZE, TRANSLATE), *to_input(MEAN, STD)])

    def __call__(self) -> torch.Tensor:
        """Return the batch (B, C, H, W), channels-last."""
        images_BCHW = torch.stack([self.transform(image) for image in self.images])  # type: ignore[misc]
        return images_BCHW.to(self.device, self.dtype, memory_format=torch.channels_last)


class MaskedCopies:
    """Crop by one mask a shift, over images mirrored, normalised and padded once for all epochs.

    The way of KellerJordan/cifar10-airbench, airbench94.py, written anew, with our draws so that results can
    be compared. Preparing the images and drawing is not timed here; it is in ours. The epoch is even: in the
    odd ones airbench mirrors all images besides.
    """

    def __init__(
        self,
        images_NHWC: torch.Tensor,
        rows_B: torch.Tensor,
        key: torch.Tensor,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        mean, inv_std = torch.tensor(MEAN), (1 / torch.tensor(STD, dtype=torch.float64)).float()
        images_NCHW = ((images_NHWC - mean) * inv_std).to(dtype).permute(0, 3, 1, 2)
        settings = Settings("alternating", TRANSLATE, "reflect", 0, MEAN, tuple(1 / s for s in STD), dtype)
        assert key[1] % 2 == 0
        coin_N = torch.from_numpy(draw(key, torch.arange(len(images_NHWC)), settings, SIZE, SIZE).flip_B)
        images_NCHW = torch.where(coin_N[:, None, None, None], images_NCHW.flip(-1), images_NCHW)
        border = (TRANSLATE,) * 4
        self.padded_NCHW = torch.nn.functional.pad(images_NCHW, border, mode="reflect").to(device)
        self.rows_B = rows_B.to(device)
        drawn = draw(key, rows_B, settings, SIZE, SIZE)
        self.shifts_B2 = torch.from_numpy(np.stack([drawn.dy_B, drawn.dx_B], axis=1)).to(device)

    def __call__(self) -> torch.Tensor:
        """Return the batch (B, C, H, W), channels-last."""
        return masked_copies(self.padded_NCHW[self.rows_B], self.shifts_B2, TRANSLATE)


def correctness_cases(device: torch.device) -> Iterator[Case]:
    """Yield a CIFAR-10 test set: logits to packed bits and predictions."""
    dtype = half(device)
    n, classes = 10_000, 10
    generator = torch.Generator().manual_seed(0)
    logits_NK = torch.randn(n, classes, generator=generator).to(dtype).to(device)
    labels_N = torch.randint(0, classes, (n,), generator=generator).to(device)
    weights = 2 ** torch.arange(8, device=device)

    def plain() -> tuple[torch.Tensor, torch.Tensor]:
        predicted_N = logits_NK.argmax(1)
        packed = ((predicted_N == labels_N).view(-1, 8) * weights).sum(1)
        return packed.to(torch.uint8), predicted_N.to(torch.uint8)

    variants = {OURS: lambda: correctness(logits_NK, labels_N), "plain": plain}
    if device.type == "cpu":
        variants["reference"] = lambda: correctness(logits_NK, labels_N, backend="reference")
    moved = n * (classes * dtype.itemsize + labels_N.itemsize + 1) + n // 8
    ceiling = copying(moved, device)
    yield Case(name=f"correctness, {n} x {classes}", variants=variants, bytes_moved=moved, ceiling=ceiling)


def cooccurrence_cases(device: torch.device, runs: int = 10_000) -> Iterator[Case]:
    """Yield one block of all pairs of a test set: two different ranges of its examples."""
    columns = 1024
    rng = np.random.default_rng(0)
    left_RB, right_RB = (
        np.packbits(rng.random((runs, columns), np.float32) < rng.random(columns), axis=1, bitorder="little")
        for _ in range(2)
    )
    left, right = (torch.from_numpy(bits_RB).to(device) for bits_RB in (left_RB, right_RB))
    variants: dict[str, Callable[[], Result]] = {
        OURS: lambda: (cooccurrence(left, right, n_left=columns, n_right=columns),)
    }
    if device.type == "cpu":
        variants["float32 product"] = lambda: (torch.from_numpy(_by_product(left_RB, right_RB)),)
        if hasattr(np, "bitwise_count"):  # from NumPy 2.0 on
            variants["bitwise_count"] = lambda: (torch.from_numpy(_by_popcount(left_RB, right_RB)),)
        # NumPy counts its threads by itself; two columns share a product of ours.
        threads = f", NumPy on {os.environ.get('OMP_NUM_THREADS', 'all')} threads"
        ceiling = multiplying(runs * columns**2, torch.float32, device)
    else:
        variants["float32 product"] = lambda: (_unpacked(left).T.matmul(_unpacked(right)).to(torch.int32),)
        threads, ceiling = "", multiplying(2 * runs * columns**2, torch.float16, device)
    yield Case(
        name=f"cooccurrence, {runs} runs, {columns} x {columns}{threads}",
        variants=variants,
        bytes_moved=left_RB.nbytes + right_RB.nbytes + 4 * columns**2,
        ceiling=ceiling,
        items=columns**2,
        item="pairs",
    )


def _by_product(left_RB: npt.NDArray[np.uint8], right_RB: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Return the product of the unpacked bits, exact below 2**24 runs."""
    left_RN, right_RN = (
        np.unpackbits(bits_RB, axis=1, bitorder="little").astype(np.float32)
        for bits_RB in (left_RB, right_RB)
    )
    return np.asarray((left_RN.T @ right_RN).astype(np.int32))


def _by_popcount(left_RB: npt.NDArray[np.uint8], right_RB: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Pack along runs, and count what is set in both of two columns, 64 runs a word."""
    left_NW, right_NW = (_words(bits_RB) for bits_RB in (left_RB, right_RB))
    counts_N = [np.bitwise_count(word_W & right_NW).sum(axis=1, dtype=np.int32) for word_W in left_NW]
    return np.stack(counts_N)


def _words(bits_RB: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    bits_NR = np.unpackbits(bits_RB, axis=1, bitorder="little").T
    bytes_NB = np.packbits(np.pad(bits_NR, ((0, 0), (0, -bits_NR.shape[1] % 64))), axis=1)
    return np.ascontiguousarray(bytes_NB).view(np.uint64)


def _unpacked(bits_RB: torch.Tensor) -> torch.Tensor:
    bit = torch.arange(8, dtype=torch.uint8, device=bits_RB.device)
    return ((bits_RB[:, :, None] >> bit) & 1).flatten(1).float()
