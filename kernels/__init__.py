"""Operations with a plain reference, a fast CPU path and a Triton kernel that agree bit for bit.

Each op is a folder `kernels/<op>/`: `reference.py` is the truth, `cpu.py` the fast path for what lies in host
memory, `native.c` a faster one where there is a C compiler, `kernel.py` the Triton kernel, and `__init__.py`
the public function. `airbench` is a network step in
C for CPUs alone, equal to its reference up to the order of sums. Importing this module loads no torch: the
analysing half uses an op that needs NumPy alone.
"""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from airbench_var.errors import DeviceError
from airbench_var.kernels import native

if TYPE_CHECKING:
    import torch


def choose_backend(
    device: "torch.device | str", requested: str = "auto", host: str = "torch", in_c: Path | None = None
) -> tuple[str, str]:
    """Return the backend that runs on what lies on this device, and the reason, for people.

    `host` names the fast path of the op for host memory: "torch" or "numpy"; `in_c` is the
    file of one in C, "native". "auto" is "triton" on CUDA; on the CPU it is "native" where that can be built,
    else the host's. "triton" on the CPU needs its interpreter.

    Raises: ValueError for an unknown backend; DeviceError when the backend cannot run on this device.
    """
    kind = str(device).partition(":")[0]
    backends = ("auto", "reference", host, *(["native"] if in_c else []), "triton")
    if requested not in backends:
        raise ValueError(f"backend={requested!r} is unknown; choose from {', '.join(backends)}.")
    if kind not in ("cpu", "cuda"):
        raise DeviceError(f"No kernel runs on tensors on {device}; move them to a CPU or CUDA device.")
    name, chosen_by = requested, "asked for"
    if requested == "auto":
        name, chosen_by = "triton" if kind == "cuda" else host, f"the tensors are on {device}"
        if in_c and kind == "cpu":
            why_not = native.obstacle(in_c)
            name = host if why_not else "native"
            chosen_by = f"{chosen_by}, and {why_not or native.compiler()[1]}"
    if name == "triton":
        _require_triton(device)
    elif kind == "cuda":
        raise DeviceError(
            f"backend={name!r} runs on CPU tensors and these are on {device}; "
            "move them with .cpu(), or use backend='triton'."
        )
    if name == "native" and in_c and (why_not := native.obstacle(in_c)):
        raise DeviceError(f"backend='native': {why_not}")
    return name, chosen_by


def _require_triton(device: "torch.device | str") -> None:
    """Raise DeviceError with the reason when Triton is missing or cannot run on this device."""
    if importlib.util.find_spec("triton") is None:
        raise DeviceError(
            f"The kernels for tensors on {device} need Triton, which is not installed; "
            "run `pip install triton` (Linux only), or work on the CPU."
        )
    if str(device) == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        raise DeviceError(
            "backend='triton' needs a CUDA device and the tensors are on the CPU; use another backend, "
            "or set TRITON_INTERPRET=1 before Python starts to interpret the kernel (slow, for tests)."
        )
