"""Which examples the logits get right, as packed bits, and the predicted classes."""

import torch

from airbench_var.kernels import choose_backend
from airbench_var.kernels.correctness import cpu, reference

DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def correctness(
    logits_NK: torch.Tensor, labels_N: torch.Tensor, *, backend: str = "auto"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (packed bits uint8 (ceil(N / 8),), predicted classes uint8 (N,)), on the device of the logits.

    logits_NK: float16, bfloat16 or float32 (N, K), 1 <= K <= 256. labels_N: int64 or uint8 (N,); one outside
    0 ... K - 1 is never met. The predicted class is the first index of the largest logit, NaN counting as the
    largest, as in `torch.argmax`. Bit n % 8 of byte n // 8, counted from the lowest, says whether example n
    is correct, as in `numpy.packbits(bitorder="little")`; the bits that pad the last byte are 0.

    Raises: ValueError for arguments that do not fit (more than 256 classes among them: a class is stored in
    one byte); DeviceError when the backend cannot run here.
    """
    _check(logits_NK, labels_N)
    backend, _ = choose_backend(logits_NK.device, backend)
    if backend == "reference":
        return reference.correctness(logits_NK, labels_N)
    if backend == "torch":
        return cpu.correctness(logits_NK, labels_N)
    from airbench_var.kernels.correctness import kernel

    return kernel.correctness(logits_NK, labels_N)


def _check(logits_NK: torch.Tensor, labels_N: torch.Tensor) -> None:
    """Raise ValueError for the first argument that does not fit, without waiting for the device."""
    shape = tuple(logits_NK.shape)
    if logits_NK.dtype not in DTYPES or len(shape) != 2:
        raise ValueError(
            f"logits_NK must be float16, bfloat16 or float32 (N, K), not {logits_NK.dtype} {shape}."
        )
    if not 1 <= shape[1] <= 256:
        raise ValueError(f"logits_NK has {shape[1]} classes; predictions are stored in one byte: 1 ... 256.")
    if labels_N.dtype not in (torch.int64, torch.uint8) or tuple(labels_N.shape) != shape[:1]:
        raise ValueError(
            f"labels_N must be int64 or uint8 ({shape[0]},), not {labels_N.dtype} {tuple(labels_N.shape)}."
        )
    if labels_N.device != logits_NK.device:
        raise ValueError(f"labels_N is on {labels_N.device} and logits_NK on {logits_NK.device}; move one.")
