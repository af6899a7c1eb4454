"""Augmentation in one pass: gather, flip, translate, cut out, normalise; uint8 NHWC in, channels-last out.

Every draw is a function of (aug seed, epoch, example): neither batch order, loader nor device changes it.
"""

from collections.abc import Sequence

import numpy as np
import torch

from airbench_var.kernels import choose_backend
from airbench_var.kernels.augment import cpu, native, reference

FLIPS = ("none", "random", "alternating")
PADDINGS = ("reflect", "zero")
DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def augment(
    images_NHWC: torch.Tensor,
    rows_B: torch.Tensor,
    examples_B: torch.Tensor,
    key: torch.Tensor,
    *,
    flip: str = "none",
    translate: int = 0,
    padding: str = "reflect",
    cutout: int = 0,
    mean: Sequence[float],
    std: Sequence[float],
    dtype: torch.dtype,
    backend: str = "auto",
) -> torch.Tensor:
    """Return the augmented, normalised batch: (B, C, H, W), channels-last in memory, C = 3.

    images_NHWC: uint8 (N, H, W, 3), contiguous. rows_B: int64 (B,), which image each output shows, in
    0 ... N - 1 (not checked on CUDA: that would wait for the device). examples_B: int64 (B,), the ids that
    the draws follow; their low 32 bits count. key: int64 (2,), [bit pattern of the aug seed, epoch]; the
    Triton kernel reads it on the device, so that a captured CUDA graph replays with new draws.

    flip: "none", "random" (a coin each epoch), or "alternating" (a coin in epoch 0, then every other epoch).
    translate: largest shift in pixels on both axes. padding: what is shifted in, "reflect" (edge not
    repeated) or "zero" (pixel value 0). cutout: side in pixels of a square inside the image that is set to
    the mean.
    mean, std: of a channel, in units of 0 ... 255. dtype: float16, bfloat16 or float32.

    Every backend gives the same bits: float32 (pixel - mean) * (1 / std), rounded once to dtype.

    Raises: ValueError for arguments that do not fit; DeviceError when the backend cannot run here.
    Source: alternating flip and reflect-padded translation, KellerJordan/cifar10-airbench, airbench94.py;
    cutout, DeVries and Taylor, arXiv:1708.04552, here always wholly inside the image.
    """
    _check_tensors(images_NHWC, rows_B, examples_B, key)
    _check_settings(tuple(images_NHWC.shape[1:3]), flip, translate, padding, cutout, mean, std, dtype)
    backend, _ = choose_backend(images_NHWC.device, backend, in_c=native.SOURCE)
    mean_f32 = tuple(float(np.float32(value)) for value in mean)
    inv_std_f32 = tuple(float(np.float32(1 / value)) for value in std)
    settings = reference.Settings(flip, translate, padding, cutout, mean_f32, inv_std_f32, dtype)
    if backend == "reference":
        out_BHWC = reference.augment(images_NHWC, rows_B, examples_B, key, settings)
    elif backend == "torch":
        out_BHWC = cpu.augment(images_NHWC, rows_B, examples_B, key, settings)
    elif backend == "native":
        out_BHWC = native.augment(images_NHWC, rows_B, examples_B, key, settings)
    else:
        from airbench_var.kernels.augment import kernel

        out_BHWC = kernel.augment(images_NHWC, rows_B, examples_B, key, settings)
    return out_BHWC.permute(0, 3, 1, 2)


def _check_tensors(
    images_NHWC: torch.Tensor, rows_B: torch.Tensor, examples_B: torch.Tensor, key: torch.Tensor
) -> None:
    """Raise ValueError for the first tensor that does not fit, without waiting for the device."""
    shape = tuple(images_NHWC.shape)
    if images_NHWC.dtype != torch.uint8 or len(shape) != 4 or shape[3] != 3 or 0 in shape:
        raise ValueError(f"images_NHWC must be uint8 (N, H, W, 3), not {images_NHWC.dtype} {shape}.")
    if not images_NHWC.is_contiguous():
        raise ValueError("images_NHWC must be contiguous; call .contiguous() once, where it is loaded.")
    device, batch = images_NHWC.device, tuple(rows_B.shape[:1])
    for name, tensor, expected in (
        ("rows_B", rows_B, batch),
        ("examples_B", examples_B, batch),
        ("key", key, (2,)),
    ):
        if tensor.dtype != torch.int64 or tuple(tensor.shape) != expected or tensor.dim() != 1:
            raise ValueError(f"{name} must be int64 {expected}, not {tensor.dtype} {tuple(tensor.shape)}.")
        if tensor.device != device:
            raise ValueError(f"{name} is on {tensor.device} but images_NHWC on {device}; move one of them.")
    if device.type == "cpu" and len(rows_B) and not 0 <= rows_B.min() <= rows_B.max() < shape[0]:
        raise ValueError(f"rows_B must lie in 0 ... {shape[0] - 1}, not {rows_B.min()} ... {rows_B.max()}.")


def _check_settings(
    size: tuple[int, ...],
    flip: str,
    translate: int,
    padding: str,
    cutout: int,
    mean: Sequence[float],
    std: Sequence[float],
    dtype: torch.dtype,
) -> None:
    """Raise ValueError for the first setting that does not fit images of this height and width."""
    for name, value, known in (
        ("flip", flip, FLIPS),
        ("padding", padding, PADDINGS),
        ("dtype", dtype, DTYPES),
    ):
        if value not in known:
            raise ValueError(f"{name}={value!r} is unknown; choose from {', '.join(map(str, known))}.")
    for name, pixels, most in (("translate", translate, min(size) - 1), ("cutout", cutout, min(size))):
        if not 0 <= pixels <= most:
            raise ValueError(f"{name}={pixels} must be 0 ... {most} for {size[0]} x {size[1]} images.")
    if len(mean) != 3 or len(std) != 3 or not all(value > 0 for value in std):
        raise ValueError(f"mean and std need one value a channel, std above 0; got {mean} and {std}.")
