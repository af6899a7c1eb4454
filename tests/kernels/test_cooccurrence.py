"""Counts of pairs of columns: the CPU path against the reference and an integer product; without torch."""

import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest
import torch

from airbench_var.errors import DeviceError
from airbench_var.kernels.cooccurrence import cooccurrence

Bits = npt.NDArray[np.uint8]


def packed(bits_RN: npt.NDArray[np.bool_]) -> Bits:
    return np.packbits(bits_RN, axis=1, bitorder="little")


@pytest.mark.parametrize("backend", ["reference", "numpy"])
@pytest.mark.parametrize(
    ("runs", "n_left", "n_right"),
    [(1, 1, 1), (1, 9, 16), (2, 8, 7), (63, 1, 130), (100, 17, 33), (4095, 5, 3), (4096, 6, 3), (8191, 3, 9)],
)
def test_counts_are_those_of_an_integer_product(runs: int, n_left: int, n_right: int, backend: str) -> None:
    rng = np.random.default_rng([runs, n_left])
    left_RN = rng.random((runs, n_left)) < rng.random(n_left)
    right_RN = rng.random((runs, n_right)) < rng.random(n_right)
    left_RN[:, 0], right_RN[:, -1] = True, True  # a count as large as it gets
    if n_left > 2:
        left_RN[:, 1], left_RN[:, -1] = False, True
    counts_NN = cooccurrence(
        packed(left_RN), packed(right_RN), n_left=n_left, n_right=n_right, backend=backend
    )
    assert (counts_NN.dtype, counts_NN.shape) == (np.int32, (n_left, n_right))
    assert np.array_equal(counts_NN, left_RN.T.astype(np.int64) @ right_RN.astype(np.int64))


@pytest.mark.parametrize("backend", ["reference", "numpy"])
def test_no_run_counts_nothing_and_pad_bits_do_not_count(backend: str) -> None:
    none = np.zeros((0, 2), np.uint8)
    assert cooccurrence(none, none, n_left=9, n_right=10, backend=backend).tolist() == [[0] * 10] * 9
    full = np.full((3, 2), 255, np.uint8)
    assert cooccurrence(full, full, n_left=9, n_right=10, backend=backend).tolist() == [[3] * 10] * 9


def test_tensors_in_host_memory_give_a_tensor() -> None:
    bits_RB = np.random.default_rng(0).integers(0, 256, (50, 3), np.uint8)
    tensor = torch.from_numpy(bits_RB)
    counts_NN = cooccurrence(tensor, tensor, n_left=24, n_right=21)
    assert isinstance(counts_NN, torch.Tensor)
    assert np.array_equal(counts_NN.numpy(), cooccurrence(bits_RB, bits_RB, n_left=24, n_right=21))


def test_the_path_of_numpy_needs_no_torch() -> None:
    program = (
        "import sys; sys.modules['torch'] = sys.modules['triton'] = None\n"
        "import numpy as np\n"
        "from airbench_var.kernels.cooccurrence import cooccurrence\n"
        "five, one = np.array([[5]], np.uint8), np.array([[1]], np.uint8)\n"
        "print(cooccurrence(five, one, n_left=3, n_right=1).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[[1], [0], [1]]"


BYTES = np.zeros((4, 2), np.uint8)


@pytest.mark.parametrize(
    ("left", "right", "n_left", "message"),
    [
        (BYTES, BYTES, 17, r"left_RB must be uint8 \(R, 3\) for 17 columns, not uint8 \(4, 2\)"),
        (BYTES, BYTES, 8, r"left_RB must be uint8 \(R, 1\) for 8 columns"),
        (BYTES.astype(np.int64), BYTES, 16, r"left_RB must be uint8 .* not int64"),
        (BYTES, BYTES[0], 16, r"right_RB must be uint8 .* not uint8 \(2,\)"),
        (BYTES, BYTES[:3], 16, "left_RB has 4 rows, on NumPy, and right_RB 3, on NumPy"),
        (torch.from_numpy(BYTES), BYTES, 16, "left_RB has 4 rows, on cpu, and right_RB 4, on NumPy"),
    ],
    ids=["too few bytes", "too many bytes", "dtype", "shape", "rows", "place"],
)
def test_arguments_that_do_not_fit_are_refused(left: Bits, right: Bits, n_left: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cooccurrence(left, right, n_left=n_left, n_right=16)


def test_a_backend_that_cannot_run_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match="backend='torch' is unknown; choose from auto, reference, numpy"):
        cooccurrence(BYTES, BYTES, n_left=16, n_right=16, backend="torch")
    pytest.importorskip("triton")
    with pytest.raises(DeviceError, match="needs a CUDA device"):
        cooccurrence(BYTES, BYTES, n_left=16, n_right=16, backend="triton")
