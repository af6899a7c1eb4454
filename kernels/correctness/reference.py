"""The truth: one example and one class at a time."""

import math

import torch


def correctness(logits_NK: torch.Tensor, labels_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (packed bits, predicted classes); arguments as in the public `correctness`, checked there."""
    predicted = [_first_largest(logits) for logits in logits_NK.tolist()]
    packed = [0] * math.ceil(len(predicted) / 8)
    for n, label in enumerate(labels_N.tolist()):
        if predicted[n] == label:
            packed[n // 8] |= 1 << n % 8
    return torch.tensor(packed, dtype=torch.uint8), torch.tensor(predicted, dtype=torch.uint8)


def _first_largest(logits: list[float]) -> int:
    """Return the first index of the largest value, where NaN is larger than every number."""
    largest = 0
    for k, logit in enumerate(logits):
        if math.isnan(logits[largest]):
            break
        if logit > logits[largest] or math.isnan(logit):
            largest = k
    return largest
