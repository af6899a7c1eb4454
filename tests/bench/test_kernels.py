"""Peers of the kernels do what their authors' code does, and no more."""

import pytest
import torch
from torch import Tensor

from airbench_var.kernels.augment import augment
from bench.kernels import MEAN, STD, TRANSLATE, MaskedCopies


def test_masked_copies_mirror_before_they_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As airbench does: half of the images once for all epochs, and in every other epoch none."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 32, 32, 3), dtype=torch.uint8, generator=generator)
    rows, key = torch.randperm(40, generator=generator)[:24], torch.tensor([1, 2])
    wanted = augment(
        images, rows, rows, key, flip="alternating", translate=TRANSLATE, mean=MEAN, std=STD,
        dtype=torch.bfloat16,
    )  # fmt: skip
    peer = MaskedCopies(images, rows, key, torch.bfloat16, torch.device("cpu"))
    monkeypatch.setattr(Tensor, "flip", None)
    monkeypatch.setattr(torch, "flip", None)
    assert torch.equal(peer(), wanted)
