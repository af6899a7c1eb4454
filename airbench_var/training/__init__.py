"""Training: `Trainer(recipe, data, settings)(seeds)` is one run, a pure function of its seeds."""

from airbench_var.training.evaluation import test_sets_of
from airbench_var.training.settings import (
    Settings,
    choose_augmentation,
    choose_devices,
    choose_engine,
    visible_gpus,
)
from airbench_var.training.subject import RecipeOnData
from airbench_var.training.trainer import Trainer, prepared_trainer, refuse_misfit, train

__all__ = [
    "RecipeOnData",
    "Settings",
    "Trainer",
    "choose_augmentation",
    "choose_devices",
    "choose_engine",
    "prepared_trainer",
    "refuse_misfit",
    "test_sets_of",
    "train",
    "visible_gpus",
]
