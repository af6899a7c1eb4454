"""The named recipes, one function each; a variant is `recipe.with_values({...})`."""

from collections.abc import Callable
from pathlib import Path

from airbench_var.errors import UsageError, nearest
from airbench_var.hyperparameters import load_toml
from airbench_var.recipe import Recipe
from airbench_var.recipes.airbench import airbench94, tiny
from airbench_var.recipes.paper import linear, resnet9

RECIPES: dict[str, Callable[[], Recipe]] = {
    "airbench94": airbench94,
    "resnet9": resnet9,
    "tiny": tiny,
    "linear": linear,
}


def find_recipe(text: str) -> Recipe:
    """Return the recipe of this name, or of the TOML file at this path; raise UsageError for neither."""
    if text in RECIPES:
        return RECIPES[text]()
    if text.endswith(".toml"):
        return load_toml(Path(text), RECIPES)
    raise UsageError(
        f"unknown recipe {text!r}{nearest(text, list(RECIPES))}. Known: {', '.join(RECIPES)}, "
        "or the path of a .toml file."
    )
