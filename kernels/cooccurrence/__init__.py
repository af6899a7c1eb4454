"""How often two examples are right in the same run: counts of pairs of columns from packed bits."""

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from airbench_var.kernels import choose_backend
from airbench_var.kernels.cooccurrence import cpu, reference

if TYPE_CHECKING:
    import torch

Bits = TypeVar("Bits", npt.NDArray[Any], "torch.Tensor")

#: Counts are int32.
MOST_RUNS = 2**31 - 1


def cooccurrence(left_RB: Bits, right_RB: Bits, *, n_left: int, n_right: int, backend: str = "auto") -> Bits:
    """Return how many rows have both bits set: exact int32 (N_left, N_right), where the inputs are.

    left_RB, right_RB: uint8 (R, ceil(N / 8)), a row a run, bit n % 8 of byte n // 8, counted from the lowest,
    for column n, as in `numpy.packbits(axis=1, bitorder="little")`; what the pad bits hold does not matter.
    Both are NumPy arrays, which need no torch, or both are tensors on one device.

    backend: "auto" is "numpy" in host memory and "triton" on CUDA.

    Raises: ValueError for arguments that do not fit; DeviceError when the backend cannot run here.
    """
    _check("left", left_RB, n_left)
    _check("right", right_RB, n_right)
    places = [_place(bits_RB) for bits_RB in (left_RB, right_RB)]
    if len(left_RB) != len(right_RB) or places[0] != places[1]:
        raise ValueError(
            f"left_RB has {len(left_RB)} rows, on {places[0]}, and right_RB {len(right_RB)}, on {places[1]}; "
            "they must be the same runs in the same place."
        )
    in_numpy = isinstance(left_RB, np.ndarray)
    name, _ = choose_backend("cpu" if in_numpy else left_RB.device, backend, host="numpy")
    counts_NN: Any
    if name == "triton":
        import torch

        from airbench_var.kernels.cooccurrence import kernel

        left, right = torch.as_tensor(left_RB), torch.as_tensor(right_RB)
        counts_NN = kernel.cooccurrence(left, right, n_left, n_right)
    else:
        count = reference.cooccurrence if name == "reference" else cpu.cooccurrence
        counts_NN = count(np.asarray(left_RB), np.asarray(right_RB), n_left, n_right)
    if in_numpy:
        counts_NN = np.asarray(counts_NN)
    else:
        import torch

        counts_NN = torch.as_tensor(counts_NN)
    of_its_kind: Bits = counts_NN
    return of_its_kind


def _check(side: str, bits_RB: Any, n: int) -> None:
    """Raise ValueError for bits that are not n packed columns."""
    shape, dtype = tuple(bits_RB.shape), str(bits_RB.dtype).removeprefix("torch.")
    if dtype != "uint8" or len(shape) != 2 or n < 0 or shape[1] != (n + 7) // 8:
        raise ValueError(
            f"{side}_RB must be uint8 (R, {(n + 7) // 8}) for {n} columns, not {dtype} {shape}; "
            "pack with np.packbits(correct_RN, axis=1, bitorder='little')."
        )
    if shape[0] > MOST_RUNS:
        raise ValueError(f"{side}_RB has {shape[0]} rows; counts are int32: at most {MOST_RUNS}.")


def _place(bits_RB: Any) -> str:
    return "NumPy" if isinstance(bits_RB, np.ndarray) else str(bits_RB.device)
