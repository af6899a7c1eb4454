"""Transforms of one image at a time, as torchvision does them on images from PIL.

Source: github.com/pytorch/vision, torchvision/transforms/transforms.py, functional.py and _functional_pil.py
(0.2x), written anew, because torchvision is not needed for anything else. PIL's images are arrays here: its
flip copies the pixels, its reflecting pad goes through `numpy.pad`, and its crop copies, as these do.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Image = npt.NDArray[np.uint8]  #: (H, W, C)
Transform = Callable[..., object]


def drawing(side: int, translate: int) -> list[Transform]:
    """Return the transforms of training: mirror by a coin, shift by up to `translate` pixels each way."""
    return [RandomHorizontalFlip(), RandomCrop(side, translate)]


def to_input(mean: Sequence[float], std: Sequence[float]) -> list[Transform]:
    """Return the transforms from an image to the network's input; mean and std in units of 0 ... 255."""
    return [ToTensor(), Normalize([m / 255 for m in mean], [s / 255 for s in std])]


class Compose:
    """One transform after the other."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = transforms

    def __call__(self, image: object) -> object:
        """Transform one image."""
        for transform in self.transforms:
            image = transform(image)
        return image


class RandomHorizontalFlip:
    """Mirror with probability 1/2."""

    def __call__(self, image: Image) -> Image:
        """Return the image or its mirror image."""
        return np.ascontiguousarray(image[:, ::-1]) if torch.rand(1) < 0.5 else image


class RandomCrop:
    """Pad by mirrored pixels, then cut a square of the old size anywhere."""

    def __init__(self, size: int, padding: int) -> None:
        self.size, self.padding = size, padding

    def __call__(self, image: Image) -> Image:
        """Return the shifted image."""
        pad = self.padding
        image = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
        height, width = image.shape[:2]
        if (height, width) == (self.size, self.size):
            return image
        top = int(torch.randint(0, height - self.size + 1, size=(1,)).item())
        left = int(torch.randint(0, width - self.size + 1, size=(1,)).item())
        return image[top : top + self.size, left : left + self.size].copy()


class ToTensor:
    """From bytes (H, W, C) to float32 (C, H, W) in 0 ... 1."""

    def __call__(self, image: Image) -> Tensor:
        """Return the image as a tensor."""
        return torch.from_numpy(image).permute(2, 0, 1).contiguous().to(torch.get_default_dtype()).div(255)


class Normalize:
    """Subtract a mean and divide by a standard deviation, of each channel, in units of 0 ... 1."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = mean, std

    def __call__(self, tensor: Tensor) -> Tensor:
        """Return the normalised tensor."""
        mean = torch.as_tensor(self.mean, dtype=tensor.dtype).view(-1, 1, 1)
        std = torch.as_tensor(self.std, dtype=tensor.dtype).view(-1, 1, 1)
        return tensor.clone().sub_(mean).div_(std)
