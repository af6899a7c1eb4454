"""One run on photographs: a pure function of recipe, seeds and data."""

import time
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from airbench_var.data.crops import centre_crops, flips, random_crops
from airbench_var.data.photos import MEAN, STD, PhotoData, Photos
from airbench_var.models.resnet18 import ResNet18
from airbench_var.recipe import PhotoRecipe
from airbench_var.seeds import Seeds, epoch_order, init_generator
from airbench_var.store.rows import Predictions, RunResult
from airbench_var.training.settings import Settings

if TYPE_CHECKING:
    from airbench_var.data.photo_loader import PhotoLoader

#: Photographs in a forward pass of the evaluation: a matter of memory and speed, not of the recipe.
BATCH_SIZE = 250


class PhotoTrainer:
    """Trains network after network; readers and their compiled loops stay.

    The initialisation seed draws the weights, the order seed the order of every epoch, and the augmentation
    seed crops and flips, which are a function of epoch and example.
    """

    def __init__(self, recipe: PhotoRecipe, data: PhotoData, settings: Settings) -> None:
        from airbench_var.data.photo_loader import PhotoLoader  # optional dependency, slow to import

        self.recipe, self.settings, self.device = recipe, settings, torch.device(settings.device)
        self._make, self._train_path = PhotoLoader, data.train.path
        self._loaders: dict[int, PhotoLoader] = {}
        self.labels_N = torch.from_numpy(data.train.labels_M.astype(np.int64)).to(self.device)
        with settings.in_force():
            self.tests: dict[str, tuple[PhotoLoader, Photos]] = {
                name: (PhotoLoader(photos.path, BATCH_SIZE, recipe.test_resolution), photos)
                for name, photos in data.tests.items()
            }
            for epoch in range(ceil(recipe.epochs)):
                self._loader(resolution_at(recipe, epoch))
            model = ResNet18(recipe.network, len(data.classes))
            self.model = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean, self.std = (
            torch.tensor(values, device=self.device)[:, None, None] for values in (MEAN, STD)
        )
        self.steps_per_epoch = ceil(len(self.labels_N) / recipe.batch_size)

    def _loader(self, side: int) -> "PhotoLoader":
        if side not in self._loaders:
            self._loaders[side] = self._make(self._train_path, self.recipe.batch_size, side)
        return self._loaders[side]

    def __call__(self, seeds: Seeds) -> RunResult:
        """Train one network and predict every test set."""
        with self.settings.in_force():
            self.model.reset(init_generator(seeds.init))
            start_s = time.perf_counter()
            losses = self._train(seeds)
            finite, predictions = True, dict[str, Predictions]()
            for name, (loader, photos) in self.tests.items():
                logits_MK = self.logits(loader, photos.examples_M).numpy()
                finite &= bool(np.isfinite(logits_MK).all())
                predictions[name] = Predictions.of_classes(photos.predicted(logits_MK), photos.labels_M)
        train_s = time.perf_counter() - start_s
        return RunResult.of_losses(
            losses, self.steps_per_epoch, predictions, logits_are_finite=finite, train_s=train_s
        )

    def _train(self, seeds: Seeds) -> list[float]:
        """Take all steps; return the loss of each."""
        recipe, steps = self.recipe, ceil(self.recipe.epochs * self.steps_per_epoch)
        chosen, n = recipe.optimizer, len(self.labels_N)
        optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=chosen.lr,
            momentum=chosen.momentum,
            nesterov=chosen.nesterov,
            weight_decay=chosen.weight_decay,
            fused=True,
        )
        self.model.train()
        losses = list[Tensor]()
        for epoch in range(ceil(recipe.epochs)):
            loader = self._loader(resolution_at(recipe, epoch))
            crops_N4 = random_crops(
                seeds.aug,
                epoch,
                loader.height_N,
                loader.width_N,
                area_from=recipe.crop_area_from,
                ratio_from=recipe.crop_ratio_from,
            )
            flipped_N = torch.from_numpy(flips(seeds.aug, epoch, n)).to(self.device)
            left = min(self.steps_per_epoch, steps - len(losses))
            order_N = epoch_order(seeds.order, epoch, n)[: left * recipe.batch_size]
            for images_BHWC, rows_B in loader.batches(order_N, crops_N4):
                rows = torch.from_numpy(rows_B).to(self.device)
                for group in optimizer.param_groups:
                    group["lr"] = chosen.lr * rate_share(
                        len(losses) / self.steps_per_epoch, recipe, steps / self.steps_per_epoch
                    )
                logits_BK = self._forward(images_BHWC, flipped_N[rows] if recipe.flip else None)
                loss = F.cross_entropy(logits_BK, self.labels_N[rows], label_smoothing=recipe.label_smoothing)
                optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                optimizer.step()
                losses.append(loss.detach())
        return torch.stack(losses).tolist() if losses else []

    @torch.no_grad()
    def logits(self, loader: "PhotoLoader", examples_M: npt.NDArray[np.int64]) -> Tensor:
        """Return the logits (M, K) of the squares in the middle of these images."""
        self.model.eval()
        crops_N4 = centre_crops(loader.height_N, loader.width_N, self.recipe.test_crop)
        parts = [
            self._forward(images_BHWC, None).cpu() for images_BHWC, _ in loader.batches(examples_M, crops_N4)
        ]
        return torch.cat(parts)

    def _forward(self, images_BHWC: Tensor, flipped_B: Tensor | None) -> Tensor:
        dtype = torch.bfloat16 if self.recipe.precision == "half" else torch.float32
        inputs = to_input(images_BHWC.to(self.device), flipped_B, self.mean, self.std, dtype)
        logits_BK: Tensor = self.model(inputs)
        return logits_BK.float()


def to_input(
    images_BHWC: Tensor, flipped_B: Tensor | None, mean: Tensor, std: Tensor, dtype: torch.dtype
) -> Tensor:
    """Return images (B, C, H, W) as a network takes them: mirrored where told, normalised, channels last."""
    images_BCHW = images_BHWC.permute(0, 3, 1, 2)
    if flipped_B is not None:
        images_BCHW = torch.where(flipped_B[:, None, None, None], images_BCHW.flip(3), images_BCHW)
    normalised_BCHW = ((images_BCHW.float() - mean) / std).to(dtype)
    return normalised_BCHW.contiguous(memory_format=torch.channels_last)


def resolution_at(recipe: PhotoRecipe, epoch: int) -> int:
    """Return the side of the crops in an epoch: linear from the first to the full one, in steps of 32."""
    if epoch >= recipe.full_resolution_epoch:
        return recipe.resolution
    grown = (recipe.resolution - recipe.first_resolution) * epoch / recipe.full_resolution_epoch
    return round((recipe.first_resolution + grown) / 32) * 32


def rate_share(epoch: float, recipe: PhotoRecipe, epochs: float) -> float:
    """Return the share of the learning rate at a time in epochs: up to 1 by the warm-up, then down to 0."""
    warmup = min(recipe.warmup_epochs, epochs)
    if epoch < warmup:
        return recipe.first_lr_share + (1 - recipe.first_lr_share) * epoch / warmup
    return (epochs - epoch) / (epochs - warmup) if epochs > warmup else 1.0
