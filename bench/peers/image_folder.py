"""A folder of images as a torchvision script reads it: Pillow, a random resized crop, a flip, a tensor.

Source: github.com/pytorch/vision, references/classification/presets.py and transforms/transforms.py, written
anew, because torchvision is not needed for anything else.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from airbench_var.data.image_folder import ImageFolder
from bench.peers.transforms import Compose, RandomHorizontalFlip, to_input

AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
ATTEMPTS = 10


class Folder(TorchDataset[tuple[Tensor, int]]):
    """Images that are opened, decoded and transformed when they are asked for."""

    def __init__(self, folder: ImageFolder, side: int, mean: Sequence[float], std: Sequence[float]) -> None:
        self.folder, self.side = folder, side
        self.finish = Compose([RandomHorizontalFlip(), *to_input(mean, std)])

    def __len__(self) -> int:
        return len(self.folder)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with Image.open(self.folder.root / self.folder.files[index]) as opened:
            image = opened.convert("RGB")
        box = crop(*image.size)
        resized = image.resize((self.side, self.side), Image.Resampling.BILINEAR, box=box)
        tensor = self.finish(np.array(resized))  # a copy, as torchvision makes it
        assert isinstance(tensor, Tensor)
        return tensor, int(self.folder.labels_N[index])


def crop(width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, upper, right and lower of a random resized crop."""
    for _ in range(ATTEMPTS):
        area = width * height * torch.empty(1).uniform_(*AREA).item()
        ratio = math.exp(torch.empty(1).uniform_(math.log(RATIO[0]), math.log(RATIO[1])).item())
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left = int(torch.randint(0, width - w + 1, (1,)))
            upper = int(torch.randint(0, height - h + 1, (1,)))
            return left, upper, left + w, upper + h
    side = min(width, height)
    left, upper = (width - side) // 2, (height - side) // 2
    return left, upper, left + side, upper + side
