"""Evaluation: logits of whole test sets, turned into packed bits and classes on the device."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from airbench_var.data.dataset import Dataset, Examples, Split
from airbench_var.data.loaders import Pixels, normalised
from airbench_var.kernels.correctness import correctness
from airbench_var.models import Model
from airbench_var.recipe import Augment, Recipe
from airbench_var.store.rows import Predictions

#: Images in a forward pass: a matter of memory and speed, not of the recipe.
BATCH_SIZE = 2000


def test_sets_of(recipe: Recipe, data: Dataset) -> dict[str, npt.NDArray[np.uint8]]:
    """Return the labels (N,) of all test sets that a run predicts, by name: those of the data set first.

    Of each, first the plain predictions, then under NAME-tta those with test-time augmentation, if the
    recipe has it.
    """
    examples: dict[str, Examples] = {data.name: data.test, **data.more}
    return {
        f"{name}{kind}": one.labels_N
        for name, one in examples.items()
        for kind in (("", "-tta") if recipe.tta else ("",))
    }


class Evaluation:
    """The test set on the device, normalised once, ready for any number of networks.

    Further test sets are read block by block in every run, so that they may have millions of examples.
    """

    def __init__(self, data: Dataset, recipe: Recipe, device: torch.device, dtype: torch.dtype) -> None:
        self.test_sets = tuple(test_sets_of(recipe, data))
        self.more: Sequence[Examples] = tuple(data.more.values())
        self.tta, self.device = recipe.tta, device
        self.pixels = Pixels(augment=Augment(), mean=data.mean, std=data.std, dtype=dtype)
        self.images_NCHW = normalised(data.test, mean=data.mean, std=data.std, device=device, dtype=dtype)
        self.labels_N = torch.from_numpy(data.test.labels_N).to(device, torch.int64)
        self._rows_B = torch.arange(BATCH_SIZE, device=device)
        self._no_draws = torch.zeros(2, dtype=torch.int64, device=device)

    @torch.no_grad()
    def __call__(self, model: Model) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Return, on the device, whether every logit was finite, and for each test set (bits, classes).

        Bits and classes are those of `Predictions`; the test sets are those of the data set itself.
        """
        batches = [self._logits(model, images_BCHW) for images_BCHW in self.images_NCHW.split(BATCH_SIZE)]
        logits_NK = [torch.cat(parts) for parts in zip(*batches, strict=True)]
        return _judged(logits_NK, self.labels_N)

    @torch.no_grad()
    def block(self, model: Model, images_BHWC: Tensor, labels_B: Tensor) -> list[Tensor]:
        """Return whether every logit was finite, then bits and classes, plain and with augmentation.

        A function of tensors alone: BATCH_SIZE uint8 images and their labels, on the device.
        """
        images_BCHW = self.pixels.prepare(images_BHWC, self._rows_B, self._rows_B, self._no_draws)
        finite, predictions = _judged(self._logits(model, images_BCHW), labels_B)
        return [finite, *(tensor for both in predictions for tensor in both)]

    def blocks(self, examples: Examples) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the blocks of a further test set on the device, images and labels.

        All are of one size, so that a captured function takes them: the last repeats its last example.
        """
        for block in examples.blocks(BATCH_SIZE):
            yield self.on_device(block)

    def on_device(self, block: Split) -> tuple[Tensor, Tensor]:
        """Return BATCH_SIZE images uint8 (B, H, W, 3) and labels int64 (B,) that begin with this block."""
        short = BATCH_SIZE - len(block)
        images_BHWC = np.pad(block.images_NHWC, ((0, short), (0, 0), (0, 0), (0, 0)), mode="edge")
        labels_B = np.pad(block.labels_N.astype(np.int64), (0, short), mode="edge")
        return torch.from_numpy(images_BHWC).to(self.device), torch.from_numpy(labels_B).to(self.device)

    def further(
        self, judge: Callable[[Tensor, Tensor], Sequence[Tensor]], wait: Callable[[], None]
    ) -> "Further":
        """Return what `judge`, which is `block` for one network, says of all further test sets."""
        finite, predictions = True, list[Predictions]()
        for examples in self.more:
            judged: list[Tensor] = []
            for index, block in enumerate(self.blocks(examples)):
                outputs = judge(*block)
                if not judged:
                    judged = [_of_all_blocks(tensor, len(examples)) for tensor in outputs]
                # Copied before the next block overwrites them: the lane keeps its order.
                for kept, tensor in zip(judged, outputs, strict=True):
                    kept[index].copy_(tensor, non_blocking=True)
            wait()
            is_finite, *bits_and_classes = judged
            finite &= bool(is_finite.all())
            for bits, classes in zip(bits_and_classes[::2], bits_and_classes[1::2], strict=True):
                predictions.append(_without_filling(bits, classes, len(examples)))
        return Further(finite, predictions)

    def _logits(self, model: Model, images_BCHW: Tensor) -> list[Tensor]:
        plain = model(images_BCHW).float()
        return [plain, tta_logits(model, images_BCHW, plain)] if self.tta else [plain]


class Further(NamedTuple):
    """What one network predicts on the further test sets."""

    finite: bool  #: whether every logit was
    predictions: list[Predictions]  #: in the order of `Evaluation.test_sets`


def _judged(logits_NK: list[Tensor], labels_N: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    finite = torch.stack([logits.isfinite().all() for logits in logits_NK]).all()
    return finite, [correctness(logits, labels_N) for logits in logits_NK]


def _of_all_blocks(output: Tensor, n: int) -> Tensor:
    """Return room on the host for such an output of each block of n examples.

    At once: a small piece a block, kept while the images of the blocks come and go, leaves the heap full of
    holes that no images fit in, 3 kB an example and 14 GB for a test set of 4.5 million.
    """
    blocks = -(-n // BATCH_SIZE)
    return torch.empty((blocks, *output.shape), dtype=output.dtype, pin_memory=output.is_cuda)


def _without_filling(bits: Tensor, classes: Tensor, n: int) -> Predictions:
    """Return bits and classes (blocks, ...) of n examples, without what filled up the last block."""
    bits_b = bits.flatten().numpy()[: (n + 7) // 8]
    if n % 8:
        bits_b[-1] &= (1 << n % 8) - 1
    return Predictions(correct=bits_b, predicted=classes.flatten().numpy()[:n])


def tta_logits(model: Model, images_BCHW: Tensor, plain: Tensor) -> Tensor:
    """Return logits (B, K) averaged over six views, given those of the plain view.

    Each image and its mirror, at half the weight unshifted and at a quarter each shifted by one pixel to
    either end of a diagonal. Source: github.com/KellerJordan/cifar10-airbench, airbench94_muon.py.
    """
    height, width = images_BCHW.shape[2:]
    padded = F.pad(images_BCHW, (1, 1, 1, 1), "reflect")
    shifted = (padded[:, :, :height, :width], padded[:, :, 2 : 2 + height, 2 : 2 + width])
    total = 0.25 * (plain + model(images_BCHW.flip(3)).float())
    for images in shifted:
        total += 0.125 * (model(images).float() + model(images.flip(3)).float())
    return total
