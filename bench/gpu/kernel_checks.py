"""The kernels against their references, bit for bit, on inputs that are drawn anew in every call.

Outputs lie in buffers that are filled with 0xFF before (NaN as a float, -1 as an integer) and that are longer
than the output: what a kernel leaves out shows, and so does what it writes beyond.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from airbench_var.kernels.augment import cpu as augment_cpu
from airbench_var.kernels.augment import reference as augment_reference
from airbench_var.kernels.augment.reference import Settings
from airbench_var.kernels.cooccurrence import cpu as cooccurrence_cpu
from airbench_var.kernels.cooccurrence import reference as cooccurrence_reference
from airbench_var.kernels.correctness import cpu as correctness_cpu
from airbench_var.kernels.correctness import reference as correctness_reference

POISON, GUARD_BYTES = 0xFF, 64
MEAN, STD = (125.307, 122.95, 113.865), (62.993, 62.089, 66.705)  # CIFAR-10, units of 0 ... 255

#: Height, width, translate and cutout; the first is that of the recipes. A kernel is compiled for each.
GEOMETRIES = ((32, 32, 2, 0), (32, 32, 4, 8), (19, 21, 3, 4), (7, 5, 4, 0), (1, 1, 0, 1), (5, 6, 0, 5))
FLIPS, PADDINGS = ("none", "random", "alternating"), ("reflect", "zero")
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
#: Examples around a byte, a block of a kernel, and the test set.
EXAMPLES = (1, 7, 8, 9, 255, 257, 10_000)
CLASSES = (1, 2, 10, 100, 256)
#: Runs, and examples of either side, around a byte and a block.
PAIRS = ((1, 1, 1), (63, 8, 65), (257, 203, 129), (40, 64, 64))


class Check(NamedTuple):
    """One comparison: what fills the outputs, their shapes and types, and what should be in them."""

    name: str
    fill: Callable[[list[Tensor]], object]
    wanted: Sequence[Tensor]


def differs(check: Check, device: torch.device) -> bool:
    """Whether a byte of an output is not as wanted, or one behind it was written."""
    sizes = [want.nbytes for want in check.wanted]
    buffers = [torch.full((size + GUARD_BYTES,), POISON, dtype=torch.uint8, device=device) for size in sizes]
    check.fill(
        [
            buffer[:size].view(want.dtype).view(want.shape)
            for buffer, size, want in zip(buffers, sizes, check.wanted, strict=True)
        ]
    )
    for buffer, size, want in zip(buffers, sizes, check.wanted, strict=True):
        found = buffer.cpu()
        if not torch.equal(found[:size], want.contiguous().view(-1).view(torch.uint8)):
            return True
        if bool((found[size:] != POISON).any()):
            return True
    return False


def augment_into(out_BHWC: Tensor, inputs: Sequence[Tensor], settings: Settings) -> None:
    """Fill a buffer by the kernel; in host memory by what stands in for it there."""
    images, rows_B, examples_B, key = inputs
    if out_BHWC.device.type == "cpu":
        out_BHWC.copy_(augment_cpu.augment(images, rows_B, examples_B, key, settings))
        return
    from airbench_var.kernels.augment import kernel

    kernel.augment_into(out_BHWC, images, rows_B, examples_B, key, settings)


def correctness_into(packed: Tensor, predicted_N: Tensor, logits_NK: Tensor, labels_N: Tensor) -> None:
    """As `augment_into`."""
    if packed.device.type == "cpu":
        for out, found in zip(
            (packed, predicted_N), correctness_cpu.correctness(logits_NK, labels_N), strict=True
        ):
            out.copy_(found)
        return
    from airbench_var.kernels.correctness import kernel

    kernel.correctness_into(packed, predicted_N, logits_NK, labels_N)


def cooccurrence_into(counts_NN: Tensor, left_RB: Tensor, right_RB: Tensor) -> None:
    """As `augment_into`."""
    if counts_NN.device.type == "cpu":
        counts = cooccurrence_cpu.cooccurrence(left_RB.numpy(), right_RB.numpy(), *counts_NN.shape)
        counts_NN.copy_(torch.from_numpy(counts))
        return
    from airbench_var.kernels.cooccurrence import kernel

    kernel.cooccurrence_into(counts_NN, left_RB, right_RB)


def augment_settings(flip: str, translate: int, padding: str, cutout: int, dtype: torch.dtype) -> Settings:
    """Return the settings with CIFAR-10's mean and standard deviation, exact in float32."""
    mean = tuple(float(np.float32(value)) for value in MEAN)
    inv_std = tuple(float(np.float32(1 / value)) for value in STD)
    return Settings(flip, translate, padding, cutout, mean, inv_std, dtype)


def augment_checks(rng: np.random.Generator, device: torch.device) -> Iterator[Check]:
    """Yield every type, flip and padding: on the recipes' geometry, and on another that takes turns."""
    combinations = list(product(DTYPES, FLIPS, PADDINGS))
    others = GEOMETRIES[1:]
    for number, (dtype, flip, padding) in enumerate(combinations):
        geometries = [others[number % len(others)]]
        if padding == "reflect":  # as all recipes have it
            geometries.append(GEOMETRIES[0])
        for height, width, translate, cutout in geometries:
            settings = augment_settings(flip, translate, padding, cutout, dtype)
            batch = int(rng.integers(1, 130))
            inputs = [
                torch.from_numpy(rng.integers(0, 256, (50, height, width, 3), np.uint8)),
                torch.from_numpy(rng.integers(0, 50, batch)),
                torch.from_numpy(rng.integers(0, 2**32, batch)),
                torch.from_numpy(rng.integers(-(2**63), 2**63 - 1, 2)) & torch.tensor([-1, 2**31 - 1]),
            ]
            images, rows_B, examples_B, key = inputs
            moved = [tensor.to(device) for tensor in inputs]
            yield Check(
                f"{flip} {translate} {padding} {cutout} {dtype}, {batch} x {height} x {width}",
                lambda outs, moved=moved, settings=settings: augment_into(outs[0], moved, settings),  # type: ignore[misc]
                [augment_reference.augment(images, rows_B, examples_B, key, settings)],
            )


def correctness_checks(rng: np.random.Generator, device: torch.device) -> Iterator[Check]:
    """Yield every type and number of classes, with ties, infinities and NaN, and labels of both types."""
    sizes = [size for size in product(EXAMPLES, CLASSES) if math.prod(size) <= 100_000]
    for number, (n, classes) in enumerate(sizes):
        dtype, label_type = DTYPES[number % 3], (torch.int64, torch.uint8)[number % 2]
        logits = rng.integers(-3, 4, (n, classes)).astype(np.float32)  # many ties
        logits[rng.random(n) < 0.5] = rng.standard_normal(classes, np.float32)
        odd = rng.random((n, classes)) < 0.02
        logits[odd] = rng.choice(np.array([np.nan, np.inf, -np.inf], np.float32), int(odd.sum()))
        inputs = [
            torch.from_numpy(logits).to(dtype),
            torch.from_numpy(rng.integers(0, classes, n)).to(label_type),
        ]
        moved = [tensor.to(device) for tensor in inputs]
        yield Check(
            f"{n} x {classes} {dtype}, labels {label_type}",
            lambda outs, moved=moved: correctness_into(*outs, *moved),  # type: ignore[misc]
            correctness_reference.correctness(*inputs),
        )


def cooccurrence_checks(rng: np.random.Generator, device: torch.device) -> Iterator[Check]:
    """Yield awkward sizes; what the pad bits hold must not matter, so they are random."""
    for runs, n_left, n_right in PAIRS:
        left_RB, right_RB = (rng.integers(0, 256, (runs, -(-n // 8)), np.uint8) for n in (n_left, n_right))
        moved = [torch.from_numpy(bits_RB).to(device) for bits_RB in (left_RB, right_RB)]
        yield Check(
            f"{runs} runs, {n_left} x {n_right}",
            lambda outs, moved=moved: cooccurrence_into(outs[0], *moved),  # type: ignore[misc]
            [torch.from_numpy(cooccurrence_reference.cooccurrence(left_RB, right_RB, n_left, n_right))],
        )
