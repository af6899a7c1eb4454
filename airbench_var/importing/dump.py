"""What the object of a .pt or .pkl file means: a dict of arrays, or what a training script left of a run."""

from collections.abc import Callable, Mapping
from typing import Any

from airbench_var.errors import DataError
from airbench_var.importing.rows import Contents, Rows
from airbench_var.seeds import Seeds

#: The logits of one run, (examples, classes), in ffcv-cifar and CIFAR-isolated-randomness (their train.py).
OF_ONE_RUN = "outputs"
#: How CIFAR-isolated-randomness calls the seeds of initialisation, order and augmentation.
SEEDS = {"model_seed": "init", "order_seed": "order", "aug_seed": "aug"}


def contents_of(name: str, loaded: object, rows_of: Callable[[str, object], Rows | None]) -> Contents:
    """Return what an object holds; `rows_of` makes rows of a key and its value, or says None.

    Raises: DataError when it is neither an array nor a dict, or its seeds cannot be seeds.
    """
    if (only := rows_of("", loaded)) is not None:
        return Contents(arrays={"": only})
    if not isinstance(loaded, Mapping):
        raise DataError(
            f"{name} holds a {type(loaded).__name__}, not an array or a dict of arrays. Save the array "
            "itself."
        )
    values = {_text(key): value for key, value in loaded.items()}
    arrays, others = {}, {}
    for key, value in values.items():
        try:
            rows = rows_of(key, value)
        except DataError as error:  # what is not asked for may be anything
            others[key] = str(error)
            continue
        if rows is None:
            others[key] = in_words(value)
        else:
            arrays[key] = rows
    correct = values.get("correct")
    one_run = OF_ONE_RUN in arrays and arrays[OF_ONE_RUN].shape[0] == 1
    return Contents(
        arrays=arrays,
        others=others,
        seeds=[_seeds(name, values)] if one_run and set(SEEDS) <= set(values) else None,
        correct=[correct] if one_run and isinstance(correct, int) else None,
    )


def is_one_run(key: str, shape: tuple[int, ...]) -> bool:
    """Whether an array has the logits of one run, and so no axis of runs."""
    return key == OF_ONE_RUN and len(shape) == 2


def in_words(value: object) -> str:
    """Return what a value that is no array is."""
    if isinstance(value, str | bytes):
        return "text"
    if isinstance(value, bool | int | float):
        return f"one number, {value}"
    if isinstance(value, list | tuple | dict):
        return f"{type(value).__name__} of {len(value):,}"
    return type(value).__name__


def _text(key: object) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else str(key)


def _seeds(name: str, values: Mapping[str, Any]) -> Seeds:
    for key in SEEDS:
        value = values[key]
        if type(value) is not int or not 0 <= value < 1 << 64:
            raise DataError(f"{name}: {key} is {value!r}, which is not a seed: a whole number of 64 bits.")
    return Seeds(**{stream: values[key] for key, stream in SEEDS.items()})
