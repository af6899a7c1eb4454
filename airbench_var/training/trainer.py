"""One run from seeds to predictions.

No files, no printing, no global random numbers; on CUDA, with the resident loader, nothing waits for the
device between the first step and the end of the evaluation.
"""

import time
from collections.abc import Iterator
from itertools import chain, count, islice
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from airbench_var.data.dataset import Dataset, Split
from airbench_var.data.loaders import Loader, Pixels, ResidentLoader, normalised, steps_per_epoch
from airbench_var.errors import UsageError
from airbench_var.models import build
from airbench_var.models.airbench import Airbench
from airbench_var.recipe import Recipe
from airbench_var.seeds import Seeds, init_generator
from airbench_var.store.rows import RunResult
from airbench_var.training.evaluation import Evaluation
from airbench_var.training.optimizers import Optimizers
from airbench_var.training.settings import Settings

#: The whitening filters are computed from this many training images (airbench94_muon.py).
WHITENING_IMAGES = 5000

#: A mean loss is multiplied by this before the backward pass in float16, whose smallest number is 6e-8:
#: otherwise a third of the activation gradients of `resnet9` are rounded to zero. A power of two is exact.
LOSS_SCALE = 2.0**10


class Trainer:
    """One recipe on one data set and device, ready to train any number of networks one after another.

    Data, weights and the compiled step stay on the device; a run resets the weights in place. Two calls
    with equal seeds return equal bits.
    """

    def __init__(self, recipe: Recipe, data: Dataset, settings: Settings) -> None:
        self.recipe, self.settings, self.device = recipe, settings, torch.device(settings.device)
        dtype, train = settings.activation_dtype(recipe), training_split(recipe, data)
        with settings.in_force():
            self.loader = make_loader(recipe, data, settings)
            model = build(recipe.network, classes=len(data.classes), pixels=train.images_NHWC[0].size)
            self.model = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            if isinstance(self.model, Airbench):
                first, cpu = train.first(WHITENING_IMAGES), torch.device("cpu")
                self.model.prepare(
                    normalised(first, mean=data.mean, std=data.std, device=cpu, dtype=torch.float32)
                )
                if settings.engine == "native":
                    height, width = train.images_NHWC.shape[1:3]
                    self.model.compute_in_c(height=height, width=width, batch=recipe.batch_size)
            self.loss = (
                torch.compile(self._loss, fullgraph=True) if settings.engine == "compiled" else self._loss
            )
            self.loss_scale = LOSS_SCALE if (dtype, recipe.loss_reduction) == (torch.float16, "mean") else 1.0
            self.evaluation = Evaluation(data, recipe, self.device, dtype)

    def __call__(self, seeds: Seeds) -> RunResult:
        """Train one network and return its predictions on every test set."""
        with self.settings.in_force():
            return self._run(seeds)

    def _run(self, seeds: Seeds) -> RunResult:
        recipe, model, per_epoch = self.recipe, self.model, self.loader.steps_per_epoch
        steps = ceil(recipe.epochs * per_epoch)
        model.reset(init_generator(seeds.init))
        optimizers = Optimizers(model, recipe.optimizer, steps=steps, steps_per_epoch=per_epoch)
        losses = torch.full((steps,), torch.nan, device=self.device)

        start_s = time.perf_counter()
        model.train()
        for step, (images_BCHW, labels_B) in enumerate(islice(self._batches(seeds), steps)):
            optimizers.set_rates(step)
            loss = self.loss(images_BCHW, labels_B)
            (loss * self.loss_scale).backward()
            optimizers.step(self.loss_scale)
            losses[step] = loss.detach()
        mean_loss, losses_finite = losses[-per_epoch:].mean(), losses.isfinite().all()
        model.eval()
        predictions, logits_finite = self.evaluation(model)

        return RunResult(
            predictions=predictions,
            loss=mean_loss.item() / (recipe.batch_size if recipe.loss_reduction == "sum" else 1),
            diverged=not (logits_finite and bool(losses_finite)),
            train_s=time.perf_counter() - start_s,
        )

    def _batches(self, seeds: Seeds) -> Iterator[tuple[Tensor, Tensor]]:
        return chain.from_iterable(self.loader.epoch(epoch, seeds) for epoch in count())

    def _loss(self, images_BCHW: Tensor, labels_B: Tensor) -> Tensor:
        return F.cross_entropy(
            self.model(images_BCHW).float(),
            labels_B,
            label_smoothing=self.recipe.label_smoothing,
            reduction=self.recipe.loss_reduction,
        )


def train(recipe: Recipe, seeds: Seeds, data: Dataset, device: str = "cpu") -> RunResult:
    """Train one network: a pure function of its arguments. For many networks, keep a `Trainer`."""
    return Trainer(recipe, data, Settings(device=device))(seeds)


def refuse_misfit(recipe: Recipe, data: Dataset) -> None:
    """Raise UsageError when this recipe cannot train on this data; allocates and computes nothing."""
    train = training_split(recipe, data)
    steps_per_epoch(train, recipe.batch_size)
    height, width, channels = train.images_NHWC.shape[1:]
    for key, most in (("translate", min(height, width) - 1), ("cutout", min(height, width))):
        if (pixels := getattr(recipe.augment, key)) > most:
            raise UsageError(
                f"recipe key 'augment.{key}' is {pixels}; images of {height} x {width} allow at most {most}."
            )
    try:
        with torch.device("meta"):
            model = build(recipe.network, classes=len(data.classes), pixels=height * width * channels)
            model(torch.empty(2, channels, height, width))
    except RuntimeError as error:
        raise UsageError(
            f"recipe {recipe.name!r}: its network is too deep for images of {height} x {width} ({error}). "
            "Use fewer groups in network.widths, or a smaller network.whiten_stride."
        ) from error


def training_split(recipe: Recipe, data: Dataset) -> Split:
    """Return the part of the training set that the recipe uses."""
    return data.train.first(round(len(data.train) * recipe.train_share))


def make_loader(recipe: Recipe, data: Dataset, settings: Settings) -> Loader:
    """Return the loader that the settings name; both give the same batches for the same seeds."""
    dtype, device = settings.activation_dtype(recipe), torch.device(settings.device)
    pixels = Pixels(augment=recipe.augment, mean=data.mean, std=data.std, dtype=dtype)
    train = training_split(recipe, data)
    if settings.loader == "ffcv":
        from airbench_var.data.ffcv_loader import FfcvLoader  # optional dependency, slow to import

        return FfcvLoader(train, recipe.batch_size, pixels, device, settings.cache_dir)
    return ResidentLoader(train, recipe.batch_size, pixels, device)
