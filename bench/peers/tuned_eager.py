"""What an expert would write: resident bfloat16 images, channels-last, whole-epoch augmentation, autocast.

Source: github.com/KellerJordan/cifar10-airbench, airbench94_muon.py (loader, augmentation, loop), written
anew for a CPU: bfloat16 autocast over float32 weights in place of a float16 network, and no torch.compile.
"""

from collections.abc import Iterator
from itertools import chain, count

import torch
import torch.nn.functional as F
from torch import Tensor

from airbench_var.data.dataset import Dataset, Split
from airbench_var.recipe import Recipe
from bench.peers.network import Network, Schedule, loss_of

EVALUATION_BATCH = 2000


class TunedEager:
    """Trains a network a call."""

    def __init__(self, recipe: Recipe, data: Dataset) -> None:
        self.recipe, self.classes = recipe, len(data.classes)
        self.images_NCHW, self.labels_N = resident(data, data.train)
        self.test_NCHW, self.test_labels_N = resident(data, data.test)

    def __call__(self, seed: int) -> float:
        """Return the accuracy of a network."""
        torch.manual_seed(seed)
        model = Network(self.recipe.network, self.classes, self.images_NCHW[:5000])  # type: ignore[arg-type]
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        batch_size, translate = self.recipe.batch_size, self.recipe.augment.translate
        schedule = Schedule(model, self.recipe, len(self.labels_N) // batch_size, fused=True)
        loader = AirbenchLoader(self.images_NCHW, self.labels_N, batch_size, translate)
        batches = chain.from_iterable(loader.epoch() for _ in count())
        model.train()
        for step, (images_BCHW, labels_B) in zip(range(schedule.steps), batches, strict=False):
            with torch.autocast("cpu", torch.bfloat16):
                logits_BK = model(images_BCHW, step < schedule.whiten_steps)
            loss_of(logits_BK, labels_B, self.recipe).backward()
            schedule.step(step)
            model.zero_grad(set_to_none=True)
        model.eval()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            logits_NK = torch.cat([model(images) for images in self.test_NCHW.split(EVALUATION_BATCH)])
        return float((logits_NK.argmax(1) == self.test_labels_N).float().mean())


def resident(
    data: Dataset, split: Split, dtype: torch.dtype = torch.bfloat16, device: str | torch.device = "cpu"
) -> tuple[Tensor, Tensor]:
    """Return normalised images (N, C, H, W), channels-last, and labels (N,)."""
    parts = [
        ((torch.from_numpy(images) - torch.tensor(data.mean)) / torch.tensor(data.std)).to(device, dtype)
        for images in (split.images_NHWC[first : first + 5000] for first in range(0, len(split), 5000))
    ]
    return torch.cat(parts).permute(0, 3, 1, 2), torch.from_numpy(split.labels_N).long().to(device)


class AirbenchLoader:
    """Augments the whole set at the start of each epoch, and takes batches from it in random order.

    Mirrored by a coin and padded once; every other epoch all images are mirrored.
    Source: CifarLoader of airbench94.py in the same repository, written anew.
    """

    def __init__(self, images_NCHW: Tensor, labels_N: Tensor, batch_size: int, r: int) -> None:
        self.labels_N, self.batch_size, self.r, self.epochs = labels_N, batch_size, r, 0
        self.padded_NCHW = F.pad(flip_half(images_NCHW), (r,) * 4, "reflect")

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the whole batches of the next epoch."""
        images_NCHW = crop(self.padded_NCHW, self.r) if self.r else self.padded_NCHW
        if self.epochs % 2:
            images_NCHW = images_NCHW.flip(-1)
        self.epochs += 1
        order_N = torch.randperm(len(images_NCHW), device=images_NCHW.device)
        for first in range(0, len(order_N) - self.batch_size + 1, self.batch_size):
            rows_B = order_N[first : first + self.batch_size]
            yield images_NCHW[rows_B], self.labels_N[rows_B]


def flip_half(images_NCHW: Tensor) -> Tensor:
    """Mirror each image with probability 1/2."""
    mask_N = (torch.rand(len(images_NCHW), device=images_NCHW.device) < 0.5).view(-1, 1, 1, 1)
    return torch.where(mask_N, images_NCHW.flip(-1), images_NCHW)


def crop(padded_NCHW: Tensor, r: int) -> Tensor:
    """Cut the middle of each padded image, shifted by -r ... r each way."""
    shifts_N2 = torch.randint(-r, r + 1, (len(padded_NCHW), 2), device=padded_NCHW.device)
    return masked_copies(padded_NCHW, shifts_N2, r)


def masked_copies(padded_NCHW: Tensor, shifts_N2: Tensor, r: int) -> Tensor:
    """Return the middle of each padded image, shifted by (dy, dx) in -r ... r: a copy for each of the shifts.

    Channels-last: on one CPU thread the original's channels-first copies take 1.5 to 1.8 times as long.
    """
    size = padded_NCHW.size(-1) - 2 * r
    out_NCHW = torch.empty(
        (len(padded_NCHW), 3, size, size),
        dtype=padded_NCHW.dtype,
        device=padded_NCHW.device,
        memory_format=torch.channels_last,
    )
    for dy in range(-r, r + 1):
        for dx in range(-r, r + 1):
            mask_N = (shifts_N2[:, 0] == dy) & (shifts_N2[:, 1] == dx)
            out_NCHW[mask_N] = padded_NCHW[mask_N, :, r + dy : r + dy + size, r + dx : r + dx + size]
    return out_NCHW
