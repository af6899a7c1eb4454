"""Correctness bits and predictions: hand-made rows, the CPU path against the reference and against NumPy."""

import math

import numpy as np
import pytest
import torch

from airbench_var.kernels.correctness import correctness

NAN, INF = math.nan, math.inf

BY_HAND = [
    ([0.0, 2.0, 1.0], 1),
    ([3.0, 3.0, 1.0], 0),  # the first of equals
    ([-0.0, 0.0, -1.0], 0),  # zeros are equal, whatever their sign
    ([-3.0, -1.0, -2.0], 1),
    ([1.0, NAN, INF], 1),  # NaN is the largest
    ([INF, NAN, NAN], 1),  # the first of several
    ([-INF, -INF, -INF], 0),
    ([-INF, -INF, -1.0], 2),
    ([NAN, NAN, NAN], 0),
    ([1.0, INF, INF], 1),
]


@pytest.mark.parametrize("label_dtype", [torch.int64, torch.uint8], ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_by_hand(backend: str, dtype: torch.dtype, label_dtype: torch.dtype) -> None:
    logits_NK = torch.tensor([row for row, _ in BY_HAND], dtype=dtype)
    want = [predicted for _, predicted in BY_HAND]
    labels = [*want[:8], (want[8] + 1) % 3, want[9]]  # all right but the ninth
    packed, predicted_N = correctness(logits_NK, torch.tensor(labels, dtype=label_dtype), backend=backend)
    assert (packed.dtype, predicted_N.dtype) == (torch.uint8, torch.uint8)
    assert predicted_N.tolist() == want
    assert packed.tolist() == [0b11111111, 0b00000010]


@pytest.mark.parametrize("backend", ["reference", "torch"])
@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 1003])
@pytest.mark.parametrize("classes", [1, 2, 10, 256])
def test_bits_are_those_of_numpy_and_classes_those_of_torch(classes: int, n: int, backend: str) -> None:
    generator = torch.Generator().manual_seed(n + classes)
    # Few distinct values, so that ties are the rule.
    logits_NK = torch.randint(-2, 3, (n, classes), generator=generator).float()
    logits_NK[::7, classes // 2] = NAN
    labels_N = torch.randint(0, classes, (n,), generator=generator)
    packed, predicted_N = correctness(logits_NK, labels_N, backend=backend)
    expected_N = logits_NK.argmax(1)
    assert predicted_N.tolist() == expected_N.tolist()
    correct_N = (expected_N == labels_N).numpy()
    assert packed.tolist() == np.packbits(correct_N, bitorder="little").tolist()


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_a_label_outside_the_classes_is_never_met(backend: str) -> None:
    logits_NK = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    packed, predicted_N = correctness(logits_NK, torch.tensor([257, 256, -256]), backend=backend)
    assert predicted_N.tolist() == [1, 0, 0]
    assert packed.tolist() == [0]


@pytest.mark.parametrize("backend", ["reference", "torch"])
def test_logits_need_not_be_contiguous(backend: str) -> None:
    logits_KN = torch.tensor([[0.0, 5.0, 1.0], [1.0, 4.0, 2.0]])
    assert correctness(logits_KN.T, torch.tensor([1, 0, 0]), backend=backend)[0].tolist() == [0b011]


@pytest.mark.parametrize(
    ("logits_NK", "labels_N", "message"),
    [
        (torch.zeros(3, 257), torch.zeros(3, dtype=torch.int64), "has 257 classes; .* one byte: 1 ... 256"),
        (torch.zeros(3, 0), torch.zeros(3, dtype=torch.int64), "has 0 classes"),
        (torch.zeros(3), torch.zeros(3, dtype=torch.int64), r"float32 \(N, K\), not torch.float32 \(3,\)"),
        (torch.zeros(3, 2, dtype=torch.float64), torch.zeros(3, dtype=torch.int64), "not torch.float64"),
        (torch.zeros(3, 2), torch.zeros(3, dtype=torch.int32), r"int64 or uint8 \(3,\), not torch.int32"),
        (torch.zeros(3, 2), torch.zeros(4, dtype=torch.int64), r"uint8 \(3,\), not torch.int64 \(4,\)"),
        (torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64, device="meta"), "labels_N is on meta"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arguments_that_do_not_fit_are_refused(
    logits_NK: torch.Tensor, labels_N: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        correctness(logits_NK, labels_N)
