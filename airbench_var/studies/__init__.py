"""The paper's experiments, and what goes beyond them: `python -m airbench_var study NAME`."""

from collections.abc import Mapping
from types import MappingProxyType

from airbench_var.errors import UsageError, nearest
from airbench_var.studies import (
    augmentation,
    binary,
    binomial,
    calibration,
    durations,
    finetune,
    learning_rate,
    linear,
    pairs,
    poke,
    seeds,
    shift,
    truth,
)
from airbench_var.studies.study import Study, run_study

__all__ = ["STUDIES", "Study", "find_study", "run_study"]

_MODULES = (
    durations,
    pairs,
    binomial,
    binary,
    calibration,
    linear,
    finetune,
    augmentation,
    learning_rate,
    shift,
    seeds,
    poke,
    truth,
)  # in the order of the paper

STUDIES: Mapping[str, Study] = MappingProxyType({module.STUDY.name: module.STUDY for module in _MODULES})


def find_study(name: str) -> Study:
    """Return the study of this name; raise UsageError for another."""
    if name not in STUDIES:
        raise UsageError(
            f"unknown study {name!r}{nearest(name, list(STUDIES))}. Known: {', '.join(STUDIES)}."
        )
    return STUDIES[name]
