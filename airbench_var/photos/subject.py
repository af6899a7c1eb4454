"""What the runs of a campaign on photographs are of: a recipe, the files, the settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from airbench_var.data.photos import PhotoData
from airbench_var.errors import UsageError
from airbench_var.recipe import PhotoRecipe
from airbench_var.training.subject import OfRecipe

if TYPE_CHECKING:
    from airbench_var.photos.trainer import PhotoTrainer

#: Of the network's last layers: an image of this side or less is a single value there.
STRIDE = 32


@dataclass(frozen=True, kw_only=True)
class RecipeOnPhotos(OfRecipe):
    """A recipe that trains on photographs, computed in one way: a `Subject` of campaigns."""

    recipe: PhotoRecipe
    data: PhotoData

    @property
    def labels(self) -> Mapping[str, npt.NDArray[Any]]:
        """The labels (N,) of every test set, by name."""
        return {name: photos.labels_M for name, photos in self.data.tests.items()}

    def refuse_misfit(self) -> None:
        """Raise DeviceError when FFCV is missing, UsageError for a batch that cannot be normalised."""
        import airbench_var.data.photo_loader  # noqa: F401 (which raises it)

        n, batch_size = int(self.data.train.about["n"]), self.recipe.batch_size
        side = min(self.recipe.first_resolution, self.recipe.resolution)
        if n % batch_size == 1 and side <= STRIDE:
            raise UsageError(
                f"recipe key 'batch_size' is {batch_size}: of {n:,} images one is left for the last batch of "
                f"an epoch, which at {side} pixels is one value to normalise by. Choose another."
            )

    def identity(self) -> dict[str, Any]:
        """Return what changes the bits of a run, as JSON values."""
        return {
            **self.hyperparameters(),
            "data": {"name": self.data.name, **self.data.fingerprint},
            "numerics": self.settings.numerics_of_operators(self.recipe.precision),
        }

    def provenance(self) -> dict[str, Any]:
        """Return where the runs come from, for people; never compared."""
        return self.origin("torch", "ffcv", "numba", "numpy")

    def make_train(self, *, workers_see_one_gpu: bool) -> Callable[[], "PhotoTrainer"]:
        """Return what prepares the training of runs in a worker; picklable."""
        from airbench_var.photos.trainer import PhotoTrainer

        settings = self.settings_in_worker(workers_see_one_gpu=workers_see_one_gpu)
        return partial(PhotoTrainer, self.recipe, self.data, settings)
