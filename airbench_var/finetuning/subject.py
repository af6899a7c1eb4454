"""What the runs of a campaign of finetuning are of: a recipe with its checkpoint, the pairs, the settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from airbench_var import machine
from airbench_var.data.mrpc import PairData
from airbench_var.finetuning.checkpoint import Checkpoint
from airbench_var.finetuning.recipe import FinetuningRecipe
from airbench_var.finetuning.trainer import FinetuningTrainer
from airbench_var.training.settings import Settings


@dataclass(frozen=True, kw_only=True)
class FinetuningOnPairs:
    """A recipe that finetunes a checkpoint on pairs of sentences: a `Subject` of campaigns."""

    recipe: FinetuningRecipe
    data: PairData
    settings: Settings

    @property
    def name(self) -> str:
        """The name of the recipe."""
        return self.recipe.name

    @property
    def title(self) -> str:
        """The recipe and its data, for people."""
        return f"{self.recipe.name} on {self.data.title}"

    @property
    def labels(self) -> Mapping[str, npt.NDArray[np.uint8]]:
        """The labels (N,) of every test set, by name."""
        return {name: pairs.labels_N for name, pairs in self.data.tests.items()}

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.data.classes

    def refuse_misfit(self) -> None:
        """Raise DataError or DeviceError when the checkpoint cannot be loaded."""
        _ = self._fingerprint

    @cached_property
    def _fingerprint(self) -> dict[str, str]:
        return Checkpoint(self.recipe.checkpoint, len(self.data.classes)).fingerprint

    def identity(self) -> dict[str, Any]:
        """Return what changes the bits of a run, as JSON values."""
        hyperparameters = self.recipe.to_dict()
        del hyperparameters["name"]
        half = self.recipe.precision == "half"
        return {
            "recipe": hyperparameters,
            "recipe_sha256": self.recipe.sha256,
            "checkpoint": self._fingerprint,
            "data": {"name": self.data.name, **self.data.fingerprint},
            "numerics": {
                "device": torch.device(self.settings.device).type,
                "activations": "bfloat16" if half else "float32",
                "threads": self.settings.threads if self.settings.on_cpu else None,
                "engine": self.settings.engine,
            },
        }

    def provenance(self) -> dict[str, Any]:
        """Return where the runs come from, for people; never compared."""
        origin = machine.origin("airbench_var", "torch", "transformers", "tokenizers", "numpy")
        return {
            "recipe_name": self.recipe.name,
            "data_title": self.data.title,
            "data_source": self.data.source,
            "device": self.settings.device_name(),
            "driver": self.settings.driver(),
            **origin,
            "versions": origin["versions"] | self.settings.gpu_libraries(),
        }

    def make_train(self, *, workers_see_one_gpu: bool) -> Callable[[], FinetuningTrainer]:
        """Return what prepares the training of runs in a worker; picklable."""
        settings = self.settings.with_one_gpu_in_sight() if workers_see_one_gpu else self.settings
        return partial(FinetuningTrainer, self.recipe, self.data, settings)
