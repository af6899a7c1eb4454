"""The fast path for tensors in host memory where there is a C compiler, see native.c.

One thread: a batch takes about a fiftieth of a step of `tiny`, see results/throughput-cpu.
"""

import ctypes
from pathlib import Path

import torch

from airbench_var.kernels import native
from airbench_var.kernels.augment.reference import Settings
from airbench_var.seeds import AUGMENT_STREAM

SOURCE = Path(__file__).with_name("native.c")
_FLIPS = {"none": 0, "random": 1, "alternating": 2}


def draw(
    key: torch.Tensor, examples_B: torch.Tensor, settings: Settings, height: int, width: int
) -> torch.Tensor:
    """Return the draws of `reference.draw`, int64 (5, B)."""
    drawn_5B = torch.empty(5, len(examples_B), dtype=torch.int64)
    seed, epoch = key.tolist()
    native.library(SOURCE).augment_draw(
        ctypes.c_int64(len(examples_B)),
        native.address(examples_B),
        ctypes.c_uint64(seed),
        ctypes.c_uint32(epoch),
        ctypes.c_uint32(AUGMENT_STREAM),
        _FLIPS[settings.flip],
        ctypes.c_int64(settings.translate),
        ctypes.c_int64(height - settings.cutout + 1),
        ctypes.c_int64(width - settings.cutout + 1),
        native.address(drawn_5B),
    )
    return drawn_5B


def augment(
    images_NHWC: torch.Tensor,
    rows_B: torch.Tensor,
    examples_B: torch.Tensor,
    key: torch.Tensor,
    settings: Settings,
) -> torch.Tensor:
    """Return the batch as (B, H, W, C); arguments as in the public `augment`, checked there."""
    height, width, channels = images_NHWC.shape[1:]
    drawn_5B = draw(key, examples_B.contiguous(), settings, height, width)
    rows_B = rows_B.contiguous()
    # Float16 is rounded by torch: many C compilers do not know it (on x86, GCC before 12).
    dtype = torch.bfloat16 if settings.dtype == torch.bfloat16 else torch.float32
    out_BHWC = torch.empty((len(rows_B), height, width, channels), dtype=dtype)
    pixels_HWC = torch.empty((height, width, channels), dtype=torch.uint8)
    of_channels = ctypes.c_float * channels
    native.library(SOURCE).augment_apply(
        ctypes.c_int64(len(rows_B)),
        native.address(images_NHWC),
        native.address(rows_B),
        native.address(drawn_5B),
        ctypes.c_int64(height),
        ctypes.c_int64(width),
        int(settings.padding == "zero"),
        ctypes.c_int64(settings.cutout),
        of_channels(*settings.mean),
        of_channels(*settings.inv_std),
        native.address(pixels_HWC),
        int(dtype == torch.bfloat16),
        native.address(out_BHWC),
    )
    return out_BHWC.to(settings.dtype)
