"""Whether images that were drawn differently can be the same images."""

from typing import cast

import torch
from scipy import stats
from torch import Tensor

from bench.schema import Result

#: By chance, equal images are taken for others once in so many comparisons, or less often.
FALSE_ALARMS = 1000


def moments(images_BCHW: Tensor) -> Tensor:
    """Return the mean and the mean square of each channel of each image, float32 (B, 2 C)."""
    pixels_BCP = images_BCHW.float().flatten(2)
    return torch.cat([pixels_BCP.mean(2), pixels_BCP.square().mean(2)], dim=1)


def same_moments(ours_ND: Tensor, other_ND: Tensor) -> bool:
    """Whether the means over images differ by no more than chance, by the normal law for each of D columns.

    Chance is that of two samples of images, which is more than flips and shifts of the same images have: what
    is told apart is another normalisation or other images, not a pixel more of shift.
    """
    if ours_ND.shape != other_ND.shape:
        return False
    n, columns = ours_ND.shape
    z = float(stats.norm.isf(1 / (2 * FALSE_ALARMS * columns)))
    ours_ND, other_ND = ours_ND.double(), other_ND.double()
    allowed_D = z * ((ours_ND.var(0) + other_ND.var(0)) / n).sqrt()
    return bool(((ours_ND.mean(0) - other_ND.mean(0)).abs() <= allowed_D).all())


def same_images(ours: Result, other: Result) -> bool:
    """Whether shape, dtype and layout of two batches (B, C, H, W) are equal, and moments so up to chance."""
    (mine_BCHW,), (other_BCHW,) = cast("tuple[tuple[Tensor], ...]", (ours, other))
    return form(mine_BCHW) == form(other_BCHW) and same_moments(moments(mine_BCHW), moments(other_BCHW))


def form(tensor: Tensor) -> tuple[object, ...]:
    """Return shape, strides and dtype."""
    return tuple(tensor.shape), tensor.stride(), tensor.dtype
