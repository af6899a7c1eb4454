"""The check of the kernels finds what a kernel may do wrong."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.gpu.kernel_checks import (
    DTYPES,
    FLIPS,
    PADDINGS,
    Check,
    augment_checks,
    cooccurrence_checks,
    correctness_checks,
    differs,
)

CPU = torch.device("cpu")
WANTED = [torch.arange(6, dtype=torch.float32).view(2, 3), torch.tensor([7, 8], dtype=torch.uint8)]


def right(outs: list[Tensor]) -> None:
    for out, want in zip(outs, WANTED, strict=True):
        out.copy_(want)


def leaves_one_out(outs: list[Tensor]) -> None:
    outs[0].flatten()[:5] = WANTED[0].flatten()[:5]
    outs[1].copy_(WANTED[1])


def writes_beyond(outs: list[Tensor]) -> None:
    right(outs)
    outs[1].as_strided((3,), (1,))[2] = 0


def negates_a_zero(outs: list[Tensor]) -> None:
    right(outs)
    outs[0][0, 0] = -0.0


def test_what_is_right_passes() -> None:
    assert not differs(Check("", right, WANTED), CPU)


@pytest.mark.parametrize("wrong", [leaves_one_out, writes_beyond, negates_a_zero])
def test_what_is_wrong_is_found(wrong: Callable[[list[Tensor]], None]) -> None:
    assert differs(Check("", wrong, WANTED), CPU)


def test_inputs_are_drawn_anew() -> None:
    first, second = (next(augment_checks(np.random.default_rng(seed), CPU)) for seed in (1, 2))
    assert first.wanted[0].shape != second.wanted[0].shape or not torch.equal(
        first.wanted[0], second.wanted[0]
    )


def test_everything_is_covered() -> None:
    names = [check.name for check in augment_checks(np.random.default_rng(0), CPU)]
    for dtype in DTYPES:
        for flip in FLIPS:
            for padding in PADDINGS:
                assert any(n.startswith(flip) and f" {padding} " in n and str(dtype) in n for n in names)
    assert any("32 x 32" in name and " 8 torch" in name for name in names)  # a cutout on CIFAR-10's size
    judged = [check.name for check in correctness_checks(np.random.default_rng(0), CPU)]
    assert any(name.startswith("10000 x 10 ") for name in judged)
    assert len([check.name for check in cooccurrence_checks(np.random.default_rng(0), CPU)]) == 4
