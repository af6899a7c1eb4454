"""Run the Triton kernels on saved cases into poisoned buffers: python run_triton.py DEVICE CASES RESULTS.

A process of its own, because TRITON_INTERPRET counts at the moment that Triton is imported.
"""

import math
import sys
from typing import Any

import torch

from airbench_var.kernels.augment.kernel import augment_into
from airbench_var.kernels.augment.reference import Settings
from airbench_var.kernels.cooccurrence.kernel import cooccurrence_into
from airbench_var.kernels.correctness.kernel import correctness_into

POISON, GUARD_BYTES = 0xFF, 64


def poisoned(n_bytes: int, device: str) -> torch.Tensor:
    """Return a buffer in which bytes that were never written show, with a tail that must stay as it is."""
    return torch.full((n_bytes + GUARD_BYTES,), POISON, dtype=torch.uint8, device=device)


def run(case: dict[str, Any], device: str) -> list[torch.Tensor]:
    """Return the bytes of each output of one case, tail included."""
    tensors = [tensor.to(device) for tensor in case["tensors"]]
    if case["op"] == "augment":
        images, rows, examples, key = tensors
        settings = Settings(**case["settings"])
        shape = (len(rows), *images.shape[1:])
        out_bytes = math.prod(shape) * settings.dtype.itemsize
        out = poisoned(out_bytes, device)
        augment_into(out[:out_bytes].view(settings.dtype).view(shape), images, rows, examples, key, settings)
        return [out.cpu()]
    if case["op"] == "cooccurrence":
        n_left, n_right = case["columns"]
        out_bytes = 4 * n_left * n_right
        out = poisoned(out_bytes, device)
        cooccurrence_into(out[:out_bytes].view(torch.int32).view(n_left, n_right), *tensors)
        return [out.cpu()]
    logits, labels = tensors
    n = len(labels)
    packed_bytes = math.ceil(n / 8)
    packed, predicted = poisoned(packed_bytes, device), poisoned(n, device)
    correctness_into(packed[:packed_bytes], predicted[:n], logits, labels)
    return [packed.cpu(), predicted.cpu()]


if __name__ == "__main__":
    device, cases, results = sys.argv[1:]
    torch.save([run(case, device) for case in torch.load(cases)], results)
