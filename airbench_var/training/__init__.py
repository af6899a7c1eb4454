"""Training: `Trainer(recipe, data, settings)(seeds)` is one run, a pure function of its seeds."""

from airbench_var.training.evaluation import test_sets_of
from airbench_var.training.settings import Settings, choose_compile, choose_device
from airbench_var.training.trainer import Trainer, make_trainer, train

__all__ = ["Settings", "Trainer", "choose_compile", "choose_device", "make_trainer", "test_sets_of", "train"]
