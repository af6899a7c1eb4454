"""The kernels against their references and against "plain": what a user would write in PyTorch."""

from collections.abc import Iterator

import torch

from airbench_var.kernels.augment import augment
from airbench_var.kernels.augment.reference import Settings, draw
from airbench_var.kernels.correctness import correctness
from bench.schema import OURS, Case, copying

MEAN, STD = (125.307, 122.95, 113.865), (62.993, 62.089, 66.705)  # CIFAR-10, units of 0 ... 255
N, SIZE, TRANSLATE = 10_000, 32, 2


def cases(device: torch.device) -> Iterator[Case]:
    """Yield augmentation at two batch sizes, and correctness of a CIFAR-10 test set."""
    dtype = torch.float16 if device.type == "cuda" else torch.bfloat16
    for batch in (500, 2000):
        yield _augment_case(batch, dtype, device)
    yield _correctness_case(dtype, device)


def _augment_case(batch: int, dtype: torch.dtype, device: torch.device) -> Case:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (N, SIZE, SIZE, 3), dtype=torch.uint8, generator=generator)
    rows = torch.randperm(N, generator=generator)[:batch]
    key = torch.tensor([1, 3])
    plain = PlainAugmentation(images, rows, key, dtype, device)
    images, rows, key = images.to(device), rows.to(device), key.to(device)

    def run(backend: str) -> tuple[torch.Tensor]:
        out_BCHW = augment(
            images, rows, rows, key, flip="alternating", translate=TRANSLATE, mean=MEAN, std=STD, dtype=dtype,
            backend=backend,
        )  # fmt: skip
        return (out_BCHW,)

    variants = {OURS: lambda: run("auto"), "plain": lambda: (plain(),)}
    if device.type == "cpu":
        variants["reference"] = lambda: run("reference")
    name = f"augment, {batch} x {SIZE} x {SIZE} x 3 to {dtype}".replace("torch.", "")
    moved = batch * SIZE * SIZE * 3 * (1 + dtype.itemsize)
    return Case(name=name, variants=variants, bytes_moved=moved, ceiling=copying(moved, device))


class PlainAugmentation:
    """Flip by a mask, crop by one mask a shift, over images normalised and padded once for all epochs.

    The way of KellerJordan/cifar10-airbench, airbench94.py, written anew, with our draws so that results can
    be compared. Preparing the images and drawing is not timed here; it is in ours.
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
        border = (TRANSLATE,) * 4
        self.padded_NCHW = torch.nn.functional.pad(images_NCHW, border, mode="reflect").to(device)
        settings = Settings("alternating", TRANSLATE, "reflect", 0, MEAN, tuple(1 / s for s in STD), dtype)
        drawn = draw(key, rows_B, settings, SIZE, SIZE)
        self.rows_B = rows_B.to(device)
        self.flip_B, self.dy_B, self.dx_B = (torch.from_numpy(part).to(device) for part in drawn[:3])

    def __call__(self) -> torch.Tensor:
        """Return the batch (B, C, H, W), channels-last."""
        batch_BCHW = self.padded_NCHW[self.rows_B]
        batch_BCHW = torch.where(self.flip_B[:, None, None, None], batch_BCHW.flip(-1), batch_BCHW)
        out_BCHW = batch_BCHW.new_empty((len(self.rows_B), 3, SIZE, SIZE))
        for dy in range(-TRANSLATE, TRANSLATE + 1):
            for dx in range(-TRANSLATE, TRANSLATE + 1):
                mask, top, left = (self.dy_B == dy) & (self.dx_B == dx), TRANSLATE + dy, TRANSLATE + dx
                out_BCHW[mask] = batch_BCHW[mask, :, top : top + SIZE, left : left + SIZE]
        return out_BCHW.contiguous(memory_format=torch.channels_last)


def _correctness_case(dtype: torch.dtype, device: torch.device) -> Case:
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
    return Case(name=f"correctness, {n} x {classes}", variants=variants, bytes_moved=moved, ceiling=ceiling)
