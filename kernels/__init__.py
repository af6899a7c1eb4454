"""Operations with a plain reference, a fast CPU path and a Triton kernel that agree bit for bit.

Each op is a folder `kernels/<op>/`: `reference.py` is the truth, `cpu.py` the fast path for tensors in host
memory, `kernel.py` the Triton kernel, and `__init__.py` the public function.
"""

import importlib.util
import os

import torch

from airbench_var.errors import DeviceError

BACKENDS = ("auto", "reference", "torch", "triton")


def choose_backend(device: torch.device, requested: str = "auto") -> tuple[str, str]:
    """Return the backend that runs on tensors of this device, and the reason, for people.

    "auto" is "triton" on CUDA and "torch" on the CPU; "triton" on the CPU needs its interpreter.

    Raises: ValueError for an unknown backend; DeviceError when the backend cannot run on this device.
    """
    if requested not in BACKENDS:
        raise ValueError(f"backend={requested!r} is unknown; choose from {', '.join(BACKENDS)}.")
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"No kernel runs on tensors on {device}; move them to a CPU or CUDA device.")
    name = requested
    if requested == "auto":
        name = "triton" if device.type == "cuda" else "torch"
    if name == "triton":
        _require_triton(device)
    elif device.type == "cuda":
        raise DeviceError(
            f"backend={name!r} runs on CPU tensors and these are on {device}; "
            "move them with .cpu(), or use backend='triton'."
        )
    chosen_by = "asked for" if requested != "auto" else f"the tensors are on {device}"
    return name, chosen_by


def _require_triton(device: torch.device) -> None:
    """Raise DeviceError with the reason when Triton is missing or cannot run on this device."""
    if importlib.util.find_spec("triton") is None:
        raise DeviceError(
            f"The kernels for tensors on {device} need Triton, which is not installed; "
            "run `pip install triton` (Linux only), or train on the CPU."
        )
    if device.type == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        raise DeviceError(
            "backend='triton' needs a CUDA device and the tensors are on the CPU; use backend='torch', "
            "or set TRITON_INTERPRET=1 before Python starts to interpret the kernel (slow, for tests)."
        )
