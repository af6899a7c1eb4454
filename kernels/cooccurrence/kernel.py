# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators
"""The Triton kernel: one program counts a square of pairs, in products of int8 matrices with int32 sums."""

import torch
import triton
import triton.language as tl

#: Columns of a side, and runs at a time, of one program.
BLOCK_N, BLOCK_R = 64, 64
OPTIONS = {"num_warps": 4, "enable_fp_fusion": False}


def cooccurrence(left_RB: torch.Tensor, right_RB: torch.Tensor, n_left: int, n_right: int) -> torch.Tensor:
    """Return the counts (N_left, N_right); arguments as in the public `cooccurrence`, checked there."""
    counts_NN = left_RB.new_empty((n_left, n_right), dtype=torch.int32)
    cooccurrence_into(counts_NN, left_RB, right_RB)
    return counts_NN


def cooccurrence_into(counts_NN: torch.Tensor, left_RB: torch.Tensor, right_RB: torch.Tensor) -> None:
    """Fill counts_NN (N_left, N_right), int32 and contiguous, without waiting for the device."""
    n_left, n_right = counts_NN.shape
    if n_left == 0 or n_right == 0:
        return
    with torch.cuda.device_of(left_RB):
        _cooccurrence_kernel[(triton.cdiv(n_left, BLOCK_N), triton.cdiv(n_right, BLOCK_N))](
            counts_NN,
            left_RB.contiguous(),
            right_RB.contiguous(),
            len(left_RB),
            n_left,
            n_right,
            BLOCK_N=BLOCK_N,
            BLOCK_R=BLOCK_R,
            **OPTIONS,
        )


@triton.jit
def _cooccurrence_kernel(
    counts_ptr,
    left_ptr,
    right_ptr,
    runs,
    n_left,
    n_right,
    BLOCK_N: tl.constexpr,
    BLOCK_R: tl.constexpr,
):
    left_byte = tl.program_id(0) * (BLOCK_N // 8) + tl.arange(0, BLOCK_N // 8)
    right_byte = tl.program_id(1) * (BLOCK_N // 8) + tl.arange(0, BLOCK_N // 8)
    left_width = tl.cdiv(n_left, 8)
    right_width = tl.cdiv(n_right, 8)
    bit = tl.arange(0, 8)
    counts = tl.zeros([BLOCK_N, BLOCK_N], dtype=tl.int32)
    for first in range(0, runs, BLOCK_R):
        run = first + tl.arange(0, BLOCK_R)
        row = run.to(tl.int64)  # runs times bytes of a row may pass 2**31
        left_BR = tl.load(
            left_ptr + row[None, :] * left_width + left_byte[:, None],
            mask=(run[None, :] < runs) & (left_byte[:, None] < left_width),
            other=0,
        )
        right_RB = tl.load(
            right_ptr + row[:, None] * right_width + right_byte[None, :],
            mask=(run[:, None] < runs) & (right_byte[None, :] < right_width),
            other=0,
        )
        left_B8R = (left_BR[:, None, :].to(tl.int32) >> bit[None, :, None]) & 1
        right_RB8 = (right_RB[:, :, None].to(tl.int32) >> bit[None, None, :]) & 1
        left_NR = tl.reshape(left_B8R.to(tl.int8), [BLOCK_N, BLOCK_R])
        right_RN = tl.reshape(right_RB8.to(tl.int8), [BLOCK_R, BLOCK_N])
        counts = tl.dot(left_NR, right_RN, acc=counts, out_dtype=tl.int32)

    left = tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N)
    right = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    tl.store(
        counts_ptr + left[:, None].to(tl.int64) * n_right + right[None, :],
        counts,
        mask=(left[:, None] < n_left) & (right[None, :] < n_right),
    )
