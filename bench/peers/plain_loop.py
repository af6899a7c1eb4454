"""What a user would write: single precision, channels first, eager, a DataLoader with transforms.

Not as in the recipe: each epoch flips a coin for each image, because a DataLoader knows no epochs, where the
recipe alternates sides. Source of the loop: docs.pytorch.org/tutorials/beginner/blitz/cifar10_tutorial.html;
of network and optimizers: airbench94_muon.py, see `network`.
"""

from itertools import count
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from airbench_var.data.dataset import Dataset, Split
from airbench_var.recipe import Recipe
from bench.peers.network import Network, Schedule, loss_of
from bench.peers.transforms import Compose, drawing, to_input

EVALUATION_BATCH = 2000


class Images(TorchDataset[tuple[Tensor, int]]):
    """Images in memory, transformed when they are asked for."""

    def __init__(self, split: Split, transform: Compose) -> None:
        self.split, self.transform = split, transform

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.transform(self.split.images_NHWC[index])
        assert isinstance(image, Tensor)
        return image, int(self.split.labels_N[index])


class PlainLoop:
    """Trains a network a call; `loader_workers` processes prepare batches meanwhile."""

    def __init__(self, recipe: Recipe, data: Dataset, loader_workers: int) -> None:
        self.recipe, self.classes = recipe, len(data.classes)
        side = data.train.images_NHWC.shape[1]
        draw, finish = drawing(side, recipe.augment.translate), to_input(data.mean, data.std)
        train, test = Images(data.train, Compose([*draw, *finish])), Images(data.test, Compose(finish))
        # As in a script, where Linux forks; in a process that was spawned, loaders would spawn too: seconds.
        how: dict[str, Any] = {
            "num_workers": loader_workers,
            "multiprocessing_context": "fork" if loader_workers else None,
        }
        self.train = DataLoader(train, recipe.batch_size, shuffle=True, drop_last=True, **how)
        self.test = DataLoader(test, EVALUATION_BATCH, **how)
        whitened = Images(data.train.first(5000), Compose(finish))
        self.first_NCHW = torch.stack([whitened[i][0] for i in range(len(whitened))])

    def __call__(self, seed: int) -> float:
        """Return the accuracy of a network."""
        torch.manual_seed(seed)
        model = Network(self.recipe.network, self.classes, self.first_NCHW)  # type: ignore[arg-type]
        schedule = Schedule(model, self.recipe, len(self.train), fused=False)
        step = 0
        model.train()
        for _ in count():
            if step >= schedule.steps:
                break
            for images_BCHW, labels_B in self.train:
                if step >= schedule.steps:
                    break
                for optimizer in schedule.optimizers:
                    optimizer.zero_grad()
                logits_BK = model(images_BCHW, step < schedule.whiten_steps)
                loss_of(logits_BK, labels_B, self.recipe).backward()
                schedule.step(step)
                step += 1
        model.eval()
        right = 0
        with torch.no_grad():
            for images_BCHW, labels_B in self.test:
                right += int((model(images_BCHW).argmax(1) == labels_B).sum())
        return right / len(self.test.dataset)  # type: ignore[arg-type]
