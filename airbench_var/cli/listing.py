"""The commands that tell what there is: recipes, and help for who looks for it under that name."""

import argparse
import shutil
import textwrap
from typing import Any

from airbench_var.cli.output import print_json, reader_may_leave


def add_recipes(parser: argparse.ArgumentParser) -> None:
    """Add what `recipes` takes."""
    parser.add_argument("name", nargs="?", metavar="R", help="a name or a .toml file: all of its values")


def recipes(options: argparse.Namespace) -> int:
    """Print the named recipes, or all values of one, which --set and a .toml file can change."""
    from airbench_var.recipes import RECIPES, find_recipe, values_of

    if options.name:
        recipe = find_recipe(options.name)
        found: dict[str, Any] = {"name": recipe.name, "recipe_sha256": recipe.sha256, **values_of(recipe)}
        lines = [f"{key} = {_as_set_takes_it(value)}" for key, value in found.items()]
    else:
        found = {name: _first_sentence(make.__doc__) for name, make in RECIPES.items()}
        columns, margin = shutil.get_terminal_size().columns, 19 * " "
        lines = [
            textwrap.fill(about, columns, initial_indent=f"{name:18} ", subsequent_indent=margin)
            for name, about in found.items()
        ]
    with reader_may_leave():
        if options.json:
            print_json(found)
        else:
            print("\n".join(lines))
    return 0


def _first_sentence(text: str | None) -> str:
    """Return 'The network of ...' for 'Return the network of ....'"""
    sentence = " ".join((text or "").split("\n\n")[0].split()).removeprefix("Return ")
    return sentence[:1].upper() + sentence[1:]


def _as_set_takes_it(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
