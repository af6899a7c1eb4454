"""What the runs of a campaign are of where a recipe says it: that, the data, and how it is computed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from airbench_var import machine
from airbench_var.data.dataset import Dataset
from airbench_var.recipe import AnyRecipe, Recipe
from airbench_var.recipes import changes
from airbench_var.training.evaluation import test_sets_of
from airbench_var.training.settings import Settings
from airbench_var.training.trainer import Trainer, prepared_trainer, refuse_misfit


class NamedData(Protocol):
    """What a subject says of its data, whatever the examples are."""

    @property
    def name(self) -> str:
        """One word."""

    @property
    def title(self) -> str:
        """One line for people."""

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """What a store holds fixed of it."""

    @property
    def source(self) -> str:
        """Where it came from, for people."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""


@dataclass(frozen=True, kw_only=True)
class OfRecipe:
    """What subjects have in common that are a recipe, trained on data, computed in one way."""

    recipe: AnyRecipe
    data: NamedData
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
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.data.classes

    def hyperparameters(self) -> dict[str, Any]:
        """Return what a store holds fixed of the recipe: its values but the name, and its hash."""
        values = self.recipe.to_dict()
        del values["name"]
        return {"recipe": values, "recipe_sha256": self.recipe.sha256}

    def origin(self, *packages: str) -> dict[str, Any]:
        """Return where runs of it come from, with the versions of these packages."""
        origin = machine.origin("airbench_var", *packages)
        return {
            "recipe_name": self.recipe.name,
            "recipe_changes": changes(self.recipe),
            "data_title": self.data.title,
            "data_source": self.data.source,
            "device": self.settings.device_name(),
            "driver": self.settings.driver(),
            **origin,
            "versions": origin["versions"] | self.settings.gpu_libraries(),
        }

    def settings_in_worker(self, *, workers_see_one_gpu: bool) -> Settings:
        """Return the settings as a worker has them."""
        return self.settings.with_one_gpu_in_sight() if workers_see_one_gpu else self.settings


@dataclass(frozen=True, kw_only=True)
class RecipeOnData(OfRecipe):
    """A recipe that is trained on images, computed in one way: a `Subject` of campaigns."""

    recipe: Recipe
    data: Dataset

    @property
    def labels(self) -> Mapping[str, npt.NDArray[np.uint8]]:
        """The labels (N,) of every test set, by name."""
        return test_sets_of(self.recipe, self.data)

    def refuse_misfit(self) -> None:
        """Raise UsageError when the recipe cannot train on the data, before anything is written."""
        refuse_misfit(self.recipe, self.data)

    def identity(self) -> dict[str, Any]:
        """Return what changes the bits of a run, as JSON values.

        The loader and how many runs are trained at a time are missing on purpose: they do not change a bit.
        """
        fingerprints: dict[str, Any] = {**self.data.fingerprint}
        if self.data.more:  # else nothing, so that stores without them stay what they are
            fingerprints["more"] = {name: one.fingerprint for name, one in self.data.more.items()}
        return {
            **self.hyperparameters(),
            "data": {"name": self.data.name, **fingerprints},
            "numerics": self.settings.numerics(self.recipe),
        }

    def provenance(self) -> dict[str, Any]:
        """Return where the runs come from, for people; never compared."""
        return self.origin("torch", "triton", "numpy") | {"loader": self.settings.loader}

    def make_train(self, *, workers_see_one_gpu: bool) -> Callable[[], Trainer]:
        """Return what prepares the training of runs in a worker; picklable."""
        settings = self.settings_in_worker(workers_see_one_gpu=workers_see_one_gpu)
        return partial(prepared_trainer, self.recipe, self.data, settings)
