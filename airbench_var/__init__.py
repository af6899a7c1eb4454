"""Train the same network many times and measure how much the runs differ.

Nothing here imports torch but `train_many` and `train`, when they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "Recipe": "airbench_var.recipe",
    "Seeds": "airbench_var.seeds",
    "Store": "airbench_var.store",
    "analyze": "airbench_var.analysis",
    "compare": "airbench_var.analysis",
    "plan": "airbench_var.analysis",
    "Campaign": "airbench_var.campaign",
    "run_campaign": "airbench_var.campaign",
    "Contest": "airbench_var.contest",
    "run_contest": "airbench_var.contest",
    "Placement": "airbench_var.execution",
    "run_many": "airbench_var.own",
    "train": "airbench_var.training",
    "train_many": "airbench_var.many",
}
__all__ = [
    "Campaign",
    "Contest",
    "Placement",
    "Recipe",
    "Seeds",
    "Store",
    "analyze",
    "compare",
    "plan",
    "run_campaign",
    "run_contest",
    "run_many",
    "train",
    "train_many",
]

if TYPE_CHECKING:
    from airbench_var.analysis import analyze, compare, plan
    from airbench_var.campaign import Campaign, run_campaign
    from airbench_var.contest import Contest, run_contest
    from airbench_var.execution import Placement
    from airbench_var.many import train_many
    from airbench_var.own import run_many
    from airbench_var.recipe import Recipe
    from airbench_var.seeds import Seeds
    from airbench_var.store import Store
    from airbench_var.training import train


def __dir__() -> list[str]:
    return [*__all__, "__version__"]  # for who presses Tab in a notebook


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
