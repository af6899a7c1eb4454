"""Stands for airbench94_muon.py: its interface, a network of one matrix, no GPU. Written for these tests."""

import os
import sys

import torch
import torch.nn.functional as F
import torchvision
import torchvision.transforms as T
from torch import nn

with open(sys.argv[0]) as own:  # noqa: PTH123  (as the original)
    CODE = own.read()
assert torchvision


class CifarNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(images.mean((2, 3)))


def main(run: str | int | None, model: nn.Module) -> float:
    if os.environ.get("PEER_DIES_IN") == str(run):
        raise SystemExit("no more")
    normalize = T.Normalize(torch.tensor((0.5, 0.5, 0.5)), torch.tensor((0.25, 0.25, 0.25)))
    correct = []
    for name in ("train", "test"):
        data = torch.load(f"cifar10/{name}.pt")
        images, labels, classes = data["images"], data["labels"], data["classes"]
        assert (images.dtype, images.shape[1:], labels.dtype) == (torch.uint8, (32, 32, 3), torch.int64)
        assert len(classes) == 10
        logits = model(normalize((images.float() / 255).permute(0, 3, 1, 2)))
        if name == "train":
            F.cross_entropy(logits, labels).backward()
        correct.append((logits.argmax(1) == labels).float().mean().item())
    print(f"|  {run}  |     eval  |     |     {correct[0]:.4f}  |     {correct[1]:0.4f}  |      1.2345  |")
    print("-" * 20)
    return correct[1]


if __name__ == "__main__":
    raise SystemExit("the runner must not come here")
