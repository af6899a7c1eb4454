"""The named recipes, one function each; a variant is `recipe.with_values({...})`."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

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


def changes(recipe: Recipe) -> dict[str, Any]:
    """Return the values by which a recipe differs from the named one of its name, by dotted key.

    Empty for a recipe of another name: it says by it that it is not one of ours.
    """
    if recipe.name not in RECIPES:
        return {}
    named, own = (dict(_leaves("", one.to_dict())) for one in (RECIPES[recipe.name](), recipe))
    return {key: value for key, value in own.items() if key not in named or named[key] != value}


def described(recipe: Recipe) -> str:
    """Return 'tiny (1a2b3c4d), epochs = 2.0': its title, and what was changed of the named recipe."""
    return ", ".join(
        [recipe.title, *(f"{key} = {json.dumps(value)}" for key, value in changes(recipe).items())]
    )


def _leaves(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", value


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
