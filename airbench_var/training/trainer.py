"""One run from seeds to predictions.

No files, no printing, no global random numbers; on CUDA, with the resident loader, nothing waits for the
device between the first step and the end of the run.
"""

import copy
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import chain, count, islice
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from airbench_var.data.dataset import Dataset, Split
from airbench_var.data.loaders import Loader, Pixels, ResidentLoader, normalised, steps_per_epoch
from airbench_var.errors import DeviceError, UsageError
from airbench_var.models import Model, build
from airbench_var.models.airbench import Airbench
from airbench_var.recipe import Recipe
from airbench_var.seeds import Seeds, init_generator
from airbench_var.store.rows import Predictions, RunResult
from airbench_var.training.evaluation import Evaluation
from airbench_var.training.lane import Lane, Output
from airbench_var.training.optimizers import Optimizers
from airbench_var.training.poke import poke, refuse_late
from airbench_var.training.settings import IN_C, Settings

#: The whitening filters are computed from this many training images (airbench94_muon.py).
WHITENING_IMAGES = 5000

#: A mean loss is multiplied by this before the backward pass in float16, whose smallest number is 6e-8:
#: otherwise a third of the activation gradients of `resnet9` are rounded to zero. A power of two is exact.
LOSS_SCALE = 2.0**10

#: Of what is computed to compile and capture, and thrown away.
NO_SEEDS = Seeds(init=0, order=0, aug=0)


class Trainer:
    """One recipe on one data set and device, ready to train any number of networks one after another.

    Data, weights, optimizers and the step, compiled and captured, stay on the device; a run resets them in
    place. Two calls with equal seeds return equal bits.
    """

    def __init__(self, recipe: Recipe, data: Dataset, settings: Settings) -> None:
        self.recipe, self.settings, self.device = recipe, settings, torch.device(settings.device)
        self.lane = Lane(self.device)
        self.prepare_s: float | None = None  #: seconds of compiling and capturing; None before `prepare`
        dtype, train = settings.activation_dtype(recipe), training_split(recipe, data)
        with settings.in_force(), self.lane.active():
            self.loader = make_loader(recipe, data, settings)
            model = build(recipe.network, classes=len(data.classes), pixels=train.images_NHWC[0].size)
            self._drawn = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            if isinstance(model, Airbench):
                first, cpu = train.first(WHITENING_IMAGES), torch.device("cpu")
                model.prepare(
                    normalised(first, mean=data.mean, std=data.std, device=cpu, dtype=torch.float32)
                )
            self.model: Model = model if settings.on_cpu else copy.deepcopy(model).to(self.device)
            if settings.engine in IN_C:
                assert isinstance(model, Airbench)  # see `choose_engine`
                height, width = train.images_NHWC.shape[1:3]
                model.compute_in_c(
                    height=height, width=width, batch=recipe.batch_size, tiles=settings.engine == "tiles"
                )
            self.loss = settings.compiled(self._loss)
            self.loss_scale = LOSS_SCALE if (dtype, recipe.loss_reduction) == (torch.float16, "mean") else 1.0
            self.evaluation = Evaluation(data, recipe, self.device, dtype)

            per_epoch = self.loader.steps_per_epoch
            self.steps = steps_in_all(recipe, per_epoch)
            refuse_late(recipe, self.steps)
            self.optimizers = Optimizers(
                self.model, recipe.optimizer, steps=self.steps, steps_per_epoch=per_epoch
            )
            self._index_S = torch.arange(self.steps, device=self.device)
            self._losses_S = torch.empty(self.steps, device=self.device)

    @property
    def device_name(self) -> str:
        """The name of the device, for people."""
        return self.settings.device_name()

    def prepare(self) -> None:
        """Compile and capture what a run calls; the first run does it unless it was done before."""
        if self.prepare_s is not None:
            return
        start_s = time.perf_counter()
        with self.settings.in_force(), self.lane.active():
            self._prepare()
            self.lane.wait()
        self.prepare_s = time.perf_counter() - start_s

    def __call__(self, seeds: Seeds) -> RunResult:
        """Train one network and return its predictions on every test set."""
        self.prepare()
        with self._in_force(), self.lane.active():
            return self._run(seeds)

    def _in_force(self) -> AbstractContextManager[None]:
        # A replay needs no flag of torch, and those are the whole process's, which may have other lanes.
        return self.settings.threads_in_force() if self.lane.captures else self.settings.in_force()

    def _prepare(self) -> None:
        """Fill `_step_from`, the step by the first index of its phase, and `_finish`."""
        self._step_from: dict[int, Callable[..., Output]] = dict.fromkeys(self.optimizers.phases, self._step)
        self._finish: Callable[..., Output] = self._evaluate
        self._judge: Callable[..., Output] = self._evaluate_block
        if not (self.settings.engine == "compiled" or self.lane.captures):
            return
        self._reset(NO_SEEDS)
        if self.steps:
            self.model.train()
            inputs = next(self.loader.inputs(0, NO_SEEDS))
            for first in self._step_from:
                self.optimizers.begin_phase(first)
                arguments = (self._index_S[first : first + 1], *inputs)
                self._step(*arguments)
                self._step_from[first] = self.lane.captured(self._step, arguments)
        self.model.eval()
        self._finish = self.lane.captured(self._evaluate)
        for examples in self.evaluation.more[:1]:  # one serves all: their blocks have one shape
            block = next(self.evaluation.blocks(examples))
            self._judge = self.lane.captured(self._evaluate_block, block)

    def _run(self, seeds: Seeds) -> RunResult:
        self._reset(seeds)
        start_s = time.perf_counter()
        self.model.train()
        batches = chain.from_iterable(self.loader.inputs(epoch, seeds) for epoch in count())
        for index, inputs in enumerate(islice(batches, self.steps)):
            if index in self._step_from:
                self.optimizers.begin_phase(index)
                step = self._step_from[index]
            if self.recipe.poke is not None and index == self.recipe.poke.step:
                poke(self.model, self.recipe.poke.factor)
            step(self._index_S[index : index + 1], *inputs)
        self.model.eval()
        on_host = [tensor.to("cpu", non_blocking=True) for tensor in self._finish()]
        further = self.evaluation.further(self._judge, self.lane.wait)
        self.lane.wait()

        mean_loss, finite, *bits_and_classes = (tensor.numpy() for tensor in on_host)
        pairs = zip(bits_and_classes[::2], bits_and_classes[1::2], strict=True)
        predictions = [Predictions(correct=correct, predicted=predicted) for correct, predicted in pairs]
        return RunResult(
            predictions=dict(zip(self.evaluation.test_sets, predictions + further.predictions, strict=True)),
            loss=float(mean_loss) / (self.recipe.batch_size if self.recipe.loss_reduction == "sum" else 1),
            diverged=not (finite and further.finite),
            train_s=time.perf_counter() - start_s,
        )

    def _reset(self, seeds: Seeds) -> None:
        """Draw the weights anew, always on the CPU, and forget what else the last run left."""
        self._drawn.reset(init_generator(seeds.init))
        if self.model is not self._drawn:
            pairs = zip(_tensors(self.model), _tensors(self._drawn), strict=True)
            with torch.no_grad():
                for there, drawn in pairs:
                    there.copy_(drawn.pin_memory(), non_blocking=True)
        self.optimizers.reset()
        self._losses_S.fill_(torch.nan)

    def _step(self, index_1: Tensor, *inputs: Tensor) -> None:
        """Train one step, a function of tensors alone: its index, int64 (1,), and the loader's inputs."""
        images_BCHW, labels_B = self.loader.batch(*inputs)
        loss = self.loss(images_BCHW, labels_B)
        (loss * self.loss_scale).backward()
        self.optimizers.step(index_1, self.loss_scale)
        self._losses_S.index_copy_(0, index_1, loss.detach().view(1))

    def _evaluate(self) -> list[Tensor]:
        """Return mean loss, whether all was finite, then bits and classes of each test set, on the device."""
        logits_finite, predictions = self.evaluation(self.model)
        finite = self._losses_S.isfinite().all() & logits_finite
        mean_loss = self._losses_S[-self.loader.steps_per_epoch :].mean()
        return [mean_loss, finite, *chain.from_iterable(predictions)]

    def _evaluate_block(self, images_BHWC: Tensor, labels_B: Tensor) -> list[Tensor]:
        return self.evaluation.block(self.model, images_BHWC, labels_B)

    def _loss(self, images_BCHW: Tensor, labels_B: Tensor) -> Tensor:
        return F.cross_entropy(
            self.model(images_BCHW).float(),
            labels_B,
            label_smoothing=self.recipe.label_smoothing,
            reduction=self.recipe.loss_reduction,
        )


def _tensors(model: Model) -> Iterator[Tensor]:
    return chain(model.parameters(), model.buffers())


def prepared_trainer(recipe: Recipe, data: Dataset, settings: Settings) -> Trainer:
    """Return a trainer that has compiled and captured what it calls.

    Raises: DeviceError when the GPU lacks the memory; a graph keeps that of a whole step.
    """
    if not settings.on_cpu:
        gc.collect()  # a trainer is part of cycles: one that is no more may still hold its graphs' memory
    try:
        trainer = Trainer(recipe, data, settings)
        trainer.prepare()
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"recipe {recipe.name!r} does not fit into the memory of {settings.device} ({error}). "
            "Lower --runs-per-device or the recipe's batch_size, or end what else runs there."
        ) from error
    return trainer


def train(recipe: Recipe, seeds: Seeds, data: Dataset, device: str = "cpu") -> RunResult:
    """Train one network: a pure function of its arguments. For many networks, keep a `Trainer`."""
    return Trainer(recipe, data, Settings(device=device))(seeds)


def refuse_misfit(recipe: Recipe, data: Dataset) -> None:
    """Raise UsageError when this recipe cannot train on this data; costs two images through its network."""
    train = training_split(recipe, data)
    refuse_late(recipe, steps_in_all(recipe, steps_per_epoch(train, recipe.batch_size)))
    height, width, channels = train.images_NHWC.shape[1:]
    for key, most in (("translate", min(height, width) - 1), ("cutout", min(height, width))):
        if (pixels := getattr(recipe.augment, key)) > most:
            raise UsageError(
                f"recipe key 'augment.{key}' is {pixels}; images of {height} x {width} allow at most {most}."
            )
    try:
        # Not on the meta device, whose operations import torch._dynamo: seconds of every campaign's start.
        with torch.inference_mode():
            model = build(recipe.network, classes=len(data.classes), pixels=height * width * channels)
            model(torch.zeros(2, channels, height, width))
    except RuntimeError as error:
        raise UsageError(
            f"recipe {recipe.name!r}: its network is too deep for images of {height} x {width} ({error}). "
            "Use fewer groups in network.widths, or a smaller network.whiten_stride."
        ) from error


def steps_in_all(recipe: Recipe, steps_per_epoch: int) -> int:
    """Return the number of training steps of a run; a part of a step is a whole one."""
    return ceil(recipe.epochs * steps_per_epoch)


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
