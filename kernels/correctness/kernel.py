# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators
"""The Triton kernel: one program takes a block of examples with all their classes."""

import torch
import triton
import triton.language as tl

#: Logits that a program holds at most: 32 a thread at 4 warps.
_LOGITS = 4096
OPTIONS = {"num_warps": 4, "enable_fp_fusion": False}


def correctness(logits_NK: torch.Tensor, labels_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (packed bits, predicted classes); arguments as in the public `correctness`, checked there."""
    n = len(labels_N)
    packed = logits_NK.new_empty(triton.cdiv(n, 8), dtype=torch.uint8)
    predicted_N = logits_NK.new_empty(n, dtype=torch.uint8)
    correctness_into(packed, predicted_N, logits_NK, labels_N)
    return packed, predicted_N


def correctness_into(
    packed: torch.Tensor, predicted_N: torch.Tensor, logits_NK: torch.Tensor, labels_N: torch.Tensor
) -> None:
    """Fill packed (ceil(N / 8),) and predicted_N (N,), both uint8, without waiting for the device."""
    n, classes = logits_NK.shape
    if n == 0:
        return
    block_n, block_k = blocks(classes)
    with torch.cuda.device_of(logits_NK):
        _correctness_kernel[(triton.cdiv(n, block_n),)](
            packed,
            predicted_N,
            logits_NK.contiguous(),
            labels_N.contiguous(),
            n,
            CLASSES=classes,
            BLOCK_N=block_n,
            BLOCK_K=block_k,
            **OPTIONS,
        )


def blocks(classes: int) -> tuple[int, int]:
    """Return how many examples (a multiple of 8) and classes a program takes, both powers of 2."""
    block_k = triton.next_power_of_2(classes)
    return min(_LOGITS // block_k, 256), block_k


@triton.jit
def _correctness_kernel(
    packed_ptr,
    predicted_ptr,
    logits_ptr,
    labels_ptr,
    n,
    CLASSES: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    start = tl.program_id(0).to(tl.int64) * BLOCK_N
    example = start + tl.arange(0, BLOCK_N)
    inside = example < n
    k = tl.arange(0, BLOCK_K)[None, :]
    logits = tl.load(
        logits_ptr + example[:, None] * CLASSES + k,
        mask=inside[:, None] & (k < CLASSES),
        other=float("-inf"),
    ).to(tl.float32)

    # The comparisons of tl.argmax leave NaN open; here a NaN, if there is one, is the largest logit.
    is_nan = logits != logits
    largest = tl.max(tl.where(is_nan, float("inf"), logits), axis=1)
    has_nan = tl.max(is_nan.to(tl.int32), axis=1) == 1
    is_largest = tl.where(has_nan[:, None], is_nan, logits == largest[:, None])
    predicted = tl.min(tl.where(is_largest, k, BLOCK_K), axis=1)
    tl.store(predicted_ptr + example, predicted.to(tl.uint8), mask=inside)

    label = tl.load(labels_ptr + example, mask=inside, other=0)
    correct = ((predicted == label) & inside).to(tl.int32)
    bit = tl.arange(0, 8)[None, :]
    packed = tl.sum(tl.reshape(correct, [BLOCK_N // 8, 8]) << bit, axis=1)
    byte = start // 8 + tl.arange(0, BLOCK_N // 8)
    tl.store(packed_ptr + byte, packed.to(tl.uint8), mask=byte * 8 < n)
