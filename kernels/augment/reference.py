"""The truth: one image at a time, in plain NumPy."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from airbench_var.philox import below, philox4x32
from airbench_var.seeds import AUGMENT_STREAM


class Settings(NamedTuple):
    """What is done to an image: checked by the public `augment`, which explains each."""

    flip: str
    translate: int
    padding: str
    cutout: int
    mean: tuple[float, ...]  #: of a channel, exact in float32
    inv_std: tuple[float, ...]  #: 1 / std of a channel, exact in float32
    dtype: torch.dtype


class Draws(NamedTuple):
    """What chance decides for each image of a batch; all (B,)."""

    flip_B: npt.NDArray[np.bool_]  #: mirror left to right
    dy_B: npt.NDArray[np.int64]  #: output row y shows input row y + dy
    dx_B: npt.NDArray[np.int64]  #: output column x shows input column x + dx
    top_B: npt.NDArray[np.int64]  #: first row of the cutout
    left_B: npt.NDArray[np.int64]  #: first column of the cutout


def draw(key: torch.Tensor, examples_B: torch.Tensor, settings: Settings, height: int, width: int) -> Draws:
    """Return the draws of a batch: a function of aug seed, epoch and example alone."""
    seed, epoch = int(key[0]) & 0xFFFFFFFFFFFFFFFF, int(key[1])
    examples = examples_B.numpy()
    coin, shift, square, _ = philox4x32(seed, examples, epoch, AUGMENT_STREAM)
    if settings.flip == "random":
        flip_B = coin >> np.uint64(31) == 1
    elif settings.flip == "alternating":
        first_coin = philox4x32(seed, examples, 0, AUGMENT_STREAM)[0]
        flip_B = (first_coin >> np.uint64(31) == 1) ^ bool(epoch & 1)
    else:
        flip_B = np.zeros(len(examples), dtype=np.bool_)
    shifts = 2 * settings.translate + 1
    dy_B, dx_B = np.divmod(below(shift, shifts * shifts), shifts)
    tops, lefts = height - settings.cutout + 1, width - settings.cutout + 1
    top_B, left_B = np.divmod(below(square, tops * lefts), lefts)
    return Draws(flip_B, dy_B - settings.translate, dx_B - settings.translate, top_B, left_B)


def augment(
    images_NHWC: torch.Tensor,
    rows_B: torch.Tensor,
    examples_B: torch.Tensor,
    key: torch.Tensor,
    settings: Settings,
) -> torch.Tensor:
    """Return the batch as (B, H, W, C); arguments as in the public `augment`, checked there."""
    _, height, width, channels = images_NHWC.shape
    margin, cutout = settings.translate, settings.cutout
    draws = draw(key, examples_B, settings, height, width)
    mean = np.array(settings.mean, dtype=np.float32)
    inv_std = np.array(settings.inv_std, dtype=np.float32)
    out_BHWC = np.empty((len(rows_B), height, width, channels), dtype=np.float32)
    for b, row in enumerate(rows_B.tolist()):
        image_HWC = images_NHWC[row].numpy()
        if draws.flip_B[b]:
            image_HWC = image_HWC[:, ::-1]
        border = ((margin, margin), (margin, margin), (0, 0))
        padded_HWC = np.pad(
            image_HWC, border, mode="reflect" if settings.padding == "reflect" else "constant"
        )
        y, x = margin + draws.dy_B[b], margin + draws.dx_B[b]
        shifted_HWC = padded_HWC[y : y + height, x : x + width]
        out_HWC = (shifted_HWC.astype(np.float32) - mean) * inv_std
        top, left = draws.top_B[b], draws.left_B[b]
        out_HWC[top : top + cutout, left : left + cutout] = 0  # the mean, after normalisation
        out_BHWC[b] = out_HWC
    return torch.from_numpy(out_BHWC).to(settings.dtype)
