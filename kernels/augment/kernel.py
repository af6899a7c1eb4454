# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators
"""The Triton kernel: one program writes one block of one image, and draws for itself.

Triton's interpreter truncates float32 to bfloat16 where the GPU rounds (seen in 3.9), so it gives the bits of
the reference in float16 and float32 only.
"""

import torch
import triton
import triton.language as tl

from airbench_var.kernels.augment.reference import Settings

#: Elements of an output block: 8 a thread at 4 warps, so that 16-bit outputs leave in 16-byte stores.
BLOCK = 1024
#: No fused multiply-add, whatever Triton's default: it would change the bits.
OPTIONS = {"num_warps": 4, "enable_fp_fusion": False}


def augment(
    images_NHWC: torch.Tensor,
    rows_B: torch.Tensor,
    examples_B: torch.Tensor,
    key: torch.Tensor,
    settings: Settings,
) -> torch.Tensor:
    """Return the batch as (B, H, W, C); arguments as in the public `augment`, checked there."""
    out_BHWC = images_NHWC.new_empty((len(rows_B), *images_NHWC.shape[1:]), dtype=settings.dtype)
    augment_into(out_BHWC, images_NHWC, rows_B, examples_B, key, settings)
    return out_BHWC


def augment_into(
    out_BHWC: torch.Tensor,
    images_NHWC: torch.Tensor,
    rows_B: torch.Tensor,
    examples_B: torch.Tensor,
    key: torch.Tensor,
    settings: Settings,
) -> None:
    """Fill out_BHWC, contiguous (B, H, W, 3), without waiting for the device."""
    batch, height, width, channels = out_BHWC.shape
    if batch == 0:
        return
    with torch.cuda.device_of(out_BHWC):
        _augment_kernel[(batch, triton.cdiv(height * width * channels, BLOCK))](
            out_BHWC,
            images_NHWC,
            rows_B.contiguous(),
            examples_B.contiguous(),
            key.contiguous(),
            *settings.mean,
            *settings.inv_std,
            HEIGHT=height,
            WIDTH=width,
            FLIP=settings.flip,
            TRANSLATE=settings.translate,
            PADDING=settings.padding,
            CUTOUT=settings.cutout,
            BLOCK=BLOCK,
            **OPTIONS,
        )


@triton.jit
def _below(word, bound: tl.constexpr):
    """Map a 32-bit word onto 0 ... bound - 1, as `airbench_var.philox.below`."""
    return ((word.to(tl.uint64) * bound) >> 32).to(tl.int32)


@triton.jit
def _reflect(position, size: tl.constexpr):
    """Map -1 to 1 and size to size - 2, for positions up to size - 1 outside."""
    position = tl.abs(position)
    return tl.minimum(position, 2 * (size - 1) - position)


@triton.jit
def _augment_kernel(
    out_ptr,
    images_ptr,
    rows_ptr,
    examples_ptr,
    key_ptr,
    mean_0,
    mean_1,
    mean_2,
    inv_std_0,
    inv_std_1,
    inv_std_2,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    FLIP: tl.constexpr,
    TRANSLATE: tl.constexpr,
    PADDING: tl.constexpr,
    CUTOUT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    SIZE: tl.constexpr = HEIGHT * WIDTH * 3
    b = tl.program_id(0).to(tl.int64)
    row = tl.load(rows_ptr + b)
    example = tl.load(examples_ptr + b).to(tl.uint32)
    seed = tl.load(key_ptr)
    epoch = tl.load(key_ptr + 1).to(tl.uint32)
    coin, shift, square, _ = tl.philox(seed, example, epoch, 0, 0)

    element = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    channel = element % 3
    pixel = element // 3
    y = pixel // WIDTH
    x = pixel % WIDTH

    SHIFTS: tl.constexpr = 2 * TRANSLATE + 1
    shift_at = _below(shift, SHIFTS * SHIFTS)
    from_y = y + shift_at // SHIFTS - TRANSLATE
    from_x = x + shift_at % SHIFTS - TRANSLATE
    seen = element < SIZE
    if PADDING == "zero":
        seen = seen & (from_y >= 0) & (from_y < HEIGHT) & (from_x >= 0) & (from_x < WIDTH)
    else:
        from_y = _reflect(from_y, HEIGHT)
        from_x = _reflect(from_x, WIDTH)
    if FLIP != "none":
        if FLIP == "alternating":
            first_coin, _, _, _ = tl.philox(seed, example, 0, 0, 0)
            flip = (first_coin >> 31) ^ (epoch & 1)
        else:
            flip = coin >> 31
        from_x = tl.where(flip == 1, WIDTH - 1 - from_x, from_x)

    source = (from_y * WIDTH + from_x) * 3 + channel
    value = tl.load(images_ptr + row * SIZE + source, mask=seen, other=0).to(tl.float32)
    mean = tl.where(channel == 0, mean_0, tl.where(channel == 1, mean_1, mean_2))
    inv_std = tl.where(channel == 0, inv_std_0, tl.where(channel == 1, inv_std_1, inv_std_2))
    value = (value - mean) * inv_std
    if CUTOUT > 0:
        LEFTS: tl.constexpr = WIDTH - CUTOUT + 1
        square_at = _below(square, (HEIGHT - CUTOUT + 1) * LEFTS)
        down = y - square_at // LEFTS
        right = x - square_at % LEFTS
        cut = (down >= 0) & (down < CUTOUT) & (right >= 0) & (right < CUTOUT)
        value = tl.where(cut, 0.0, value)
    tl.store(out_ptr + b * SIZE + element, value.to(out_ptr.dtype.element_ty), mask=element < SIZE)
