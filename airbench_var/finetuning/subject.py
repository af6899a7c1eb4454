"""What the runs of a campaign of finetuning are of: a recipe with its checkpoint, the pairs, the settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from airbench_var.data.mrpc import PairData
from airbench_var.finetuning.checkpoint import Checkpoint
from airbench_var.finetuning.trainer import FinetuningTrainer
from airbench_var.recipe import FinetuningRecipe
from airbench_var.training.subject import OfRecipe


@dataclass(frozen=True, kw_only=True)
class FinetuningOnPairs(OfRecipe):
    """A recipe that finetunes a checkpoint on pairs of sentences: a `Subject` of campaigns."""

    recipe: FinetuningRecipe
    data: PairData

    @property
    def labels(self) -> Mapping[str, npt.NDArray[np.uint8]]:
        """The labels (N,) of every test set, by name."""
        return {name: pairs.labels_N for name, pairs in self.data.tests.items()}

    def refuse_misfit(self) -> None:
        """Raise DataError or DeviceError when the checkpoint cannot be loaded."""
        _ = self._fingerprint

    @cached_property
    def _fingerprint(self) -> dict[str, str]:
        return Checkpoint(self.recipe.checkpoint, len(self.data.classes)).fingerprint

    def identity(self) -> dict[str, Any]:
        """Return what changes the bits of a run, as JSON values."""
        return {
            **self.hyperparameters(),
            "checkpoint": self._fingerprint,
            "data": {"name": self.data.name, **self.data.fingerprint},
            "numerics": self.settings.numerics_of_operators(self.recipe.precision),
        }

    def provenance(self) -> dict[str, Any]:
        """Return where the runs come from, for people; never compared."""
        return self.origin("torch", "transformers", "tokenizers", "numpy")

    def make_train(self, *, workers_see_one_gpu: bool) -> Callable[[], FinetuningTrainer]:
        """Return what prepares the training of runs in a worker; picklable."""
        settings = self.settings_in_worker(workers_see_one_gpu=workers_see_one_gpu)
        return partial(FinetuningTrainer, self.recipe, self.data, settings)
