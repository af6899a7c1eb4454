"""The named recipes, one function each; a variant is `recipe.with_values({...})`."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from airbench_var.errors import UsageError, nearest
from airbench_var.hyperparameters import load_toml
from airbench_var.recipe import AnyRecipe, Recipe
from airbench_var.recipes.airbench import airbench94, tiny
from airbench_var.recipes.paper import bert_mrpc, linear, resnet9, resnet18_imagenet

RECIPES: dict[str, Callable[[], AnyRecipe]] = {
    "airbench94": airbench94,
    "resnet9": resnet9,
    "tiny": tiny,
    "linear": linear,
    "bert-mrpc": bert_mrpc,
    "resnet18-imagenet": resnet18_imagenet,
}


def changes(recipe: AnyRecipe) -> dict[str, Any]:
    """Return the values by which a recipe differs from the named one of its name, by dotted key.

    Empty for a recipe of another name: it says by it that it is not one of ours.
    """
    if recipe.name not in RECIPES:
        return {}
    apart = differences(RECIPES[recipe.name](), recipe)
    return {key: own for key, (_, own) in apart.items() if own is not None}


def differences(a: AnyRecipe, b: AnyRecipe) -> dict[str, tuple[Any, Any]]:
    """Return the values by which two recipes differ, by dotted key; None where one has no such key."""
    of_a, of_b = (dict(_leaves("", one.to_dict())) for one in (a, b))
    keys = [*of_b, *(key for key in of_a if key not in of_b)]
    return {key: (of_a.get(key), of_b.get(key)) for key in keys if of_a.get(key) != of_b.get(key)}


def described(recipe: AnyRecipe) -> str:
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


def images_recipe(text: str) -> Recipe:
    """Return a recipe of small images, as `find_recipe`; raise UsageError for one of another kind."""
    recipe = find_recipe(text)
    if not isinstance(recipe, Recipe):
        raise UsageError(
            f"recipe {text!r} is not of small images, as is needed here. Take airbench94 or tiny."
        )
    return recipe


def values_of(recipe: AnyRecipe) -> dict[str, Any]:
    """Return every value but the name, by the dotted key that --set takes."""
    return {key: value for key, value in _leaves("", recipe.to_dict()) if key != "name"}


def find_recipe(text: str) -> AnyRecipe:
    """Return the recipe of this name, or of the TOML file at this path; raise UsageError for neither."""
    if text in RECIPES:
        return RECIPES[text]()
    if text.endswith(".toml"):
        return load_toml(Path(text), RECIPES)
    raise UsageError(
        f"unknown recipe {text!r}{nearest(text, list(RECIPES))}. Known: {', '.join(RECIPES)}, "
        "or the path of a .toml file."
    )
