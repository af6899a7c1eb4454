"""Evaluation: logits of the whole test set, turned into packed bits and classes on the device."""

import torch
import torch.nn.functional as F
from torch import Tensor

from airbench_var.data.dataset import Dataset
from airbench_var.data.loaders import normalised
from airbench_var.kernels.correctness import correctness
from airbench_var.models import Model
from airbench_var.recipe import Recipe

#: Images in a forward pass: a matter of memory and speed, not of the recipe.
BATCH_SIZE = 2000


def test_sets_of(recipe: Recipe, data_name: str) -> tuple[str, ...]:
    """Return the names of the test sets that a run predicts: plain first, then with augmentation."""
    return (data_name, f"{data_name}-tta") if recipe.tta else (data_name,)


class Evaluation:
    """The test set on the device, normalised once, ready for any number of networks."""

    def __init__(self, data: Dataset, recipe: Recipe, device: torch.device, dtype: torch.dtype) -> None:
        self.test_sets = test_sets_of(recipe, data.name)
        self.tta = recipe.tta
        self.images_NCHW = normalised(data.test, mean=data.mean, std=data.std, device=device, dtype=dtype)
        self.labels_N = torch.from_numpy(data.test.labels_N).to(device, torch.int64)

    @torch.no_grad()
    def __call__(self, model: Model) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Return, on the device, whether every logit was finite, and for each test set (bits, classes).

        Bits and classes are those of `Predictions`.
        """
        batches = [self._logits(model, images_BCHW) for images_BCHW in self.images_NCHW.split(BATCH_SIZE)]
        logits_NK = [torch.cat(parts) for parts in zip(*batches, strict=True)]
        finite = torch.stack([logits.isfinite().all() for logits in logits_NK]).all()
        return finite, [correctness(logits, self.labels_N) for logits in logits_NK]

    def _logits(self, model: Model, images_BCHW: Tensor) -> list[Tensor]:
        plain = model(images_BCHW).float()
        return [plain, tta_logits(model, images_BCHW, plain)] if self.tta else [plain]


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
