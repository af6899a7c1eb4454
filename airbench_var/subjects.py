"""Recipes of all kinds: which data each trains on, what computes it, and the subject that both make."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from airbench_var import data as data_sets
from airbench_var.data.dataset import Dataset
from airbench_var.data.mrpc import PairData
from airbench_var.data.photos import PhotoData, with_further
from airbench_var.data.test_sets import named
from airbench_var.errors import UsageError
from airbench_var.finetuning import FinetuningOnPairs
from airbench_var.photos import RecipeOnPhotos
from airbench_var.recipe import AnyRecipe, FinetuningRecipe, PhotoRecipe, Recipe
from airbench_var.training import RecipeOnData, Settings, choose_augmentation, choose_engine
from airbench_var.training.settings import Engine

Data = Dataset | PairData | PhotoData
AnySubject = RecipeOnData | FinetuningOnPairs | RecipeOnPhotos


def load_data(recipes: Sequence[AnyRecipe], name: str | None, folder: Path | None) -> Data:
    """Return the data set that is asked for, by default the one that these recipes are for.

    Raises: UsageError when one of them cannot train on it, and as `data.load`.
    """
    chosen = name or recipes[0].DATA[0]
    for recipe in recipes:
        if chosen in data_sets.NAMES and chosen not in recipe.DATA:
            raise UsageError(
                f"recipe {recipe.name!r} does not train on {chosen}: use --data {' or '.join(recipe.DATA)}."
            )
    return data_sets.load(chosen, folder)


def with_test_sets(
    data: Data, texts: Sequence[str], *, skip_missing: bool, say: Callable[[str], None]
) -> Data:
    """Return the data with further test sets of every run; raises as `data.test_sets.named`."""
    if isinstance(data, Dataset):
        return replace(data, more=named(data, texts, skip_missing=skip_missing, say=say))
    if isinstance(data, PhotoData):
        return with_further(data, texts, skip_missing=skip_missing, say=say)
    if texts:
        raise UsageError(
            f"--test-sets {','.join(texts)}: {data.title} has its test sets, {', '.join(data.tests)}, and no "
            "further ones. Leave it out."
        )
    return data


def engine_for(
    asked: Literal["auto"] | Engine,
    recipes: Sequence[AnyRecipe],
    data: Data,
    *,
    device: str,
    threads: int,
) -> tuple[Engine, str]:
    """Return what computes the steps of all these recipes, and the reason; raises as `choose_engine`."""
    if isinstance(data, Dataset):
        on_images = [recipe for recipe in recipes if isinstance(recipe, Recipe)]
        return choose_engine(asked, device, threads, on_images, data)
    if asked not in ("auto", "eager"):
        raise UsageError(f"--engine {asked}: {data.title} is for PyTorch's operators, --engine eager.")
    return "eager", "these networks are computed by PyTorch's operators"


def refuse_together(data: Data, runs_per_device: int) -> None:
    """Raise UsageError where runs on this data cannot be trained several at a time in one process."""
    if isinstance(data, PairData) and runs_per_device > 1:
        raise UsageError(
            f"--runs-per-device {runs_per_device}: dropout draws from a generator that a process has once, "
            "so that runs finetuned side by side would change each other. Leave it out."
        )
    if isinstance(data, PhotoData) and runs_per_device > 1:
        raise UsageError(
            f"--runs-per-device {runs_per_device}: that cuDNN computes the same bits again is a switch of "
            "the whole process, which a run on photographs that ends would turn off for the others. Leave it "
            "out."
        )


def further_choices(data: Data, settings: Settings) -> dict[str, str]:
    """Return what else was chosen for training on this data, with the reasons, for people.

    Raises: UsageError for a loader that it does not have.
    """
    if isinstance(data, Dataset):
        augmentation, why = choose_augmentation(settings.device)
        return {"augment": f"{augmentation}: {why}"}
    if settings.loader != "resident":
        raise UsageError(
            f"--loader {settings.loader} is for CIFAR-10; {data.title} is read in one way. Leave it out."
        )
    return {"loader": "ffcv: photographs stay on the disk"} if isinstance(data, PhotoData) else {}


def subject_of(recipe: AnyRecipe, data: Data, settings: Settings) -> AnySubject:
    """Return the subject of campaigns that a recipe is, trained on this data and computed so."""
    match recipe, data:
        case Recipe(), Dataset():
            return RecipeOnData(recipe=recipe, data=data, settings=settings)
        case FinetuningRecipe(), PairData():
            return FinetuningOnPairs(recipe=recipe, data=data, settings=settings)
        case PhotoRecipe(), PhotoData():
            return RecipeOnPhotos(recipe=recipe, data=data, settings=settings)
    raise UsageError(
        f"recipe {recipe.name!r} does not train on {data.title}. Use {' or '.join(recipe.DATA)}."
    )
