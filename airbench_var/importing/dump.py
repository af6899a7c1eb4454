"""What the object of a .pt or .pkl file means: a dict of arrays, or what a training script left of a run."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from airbench_var.errors import DataError
from airbench_var.importing.rows import Contents, OfRuns, OneRun, Rows, numbers_of
from airbench_var.seeds import Seeds

#: The logits of one run, (examples, classes), in ffcv-cifar and CIFAR-isolated-randomness (their train.py).
OF_ONE_RUN = "outputs"
#: How many of its predictions were right, or which. The first version of ffcv-cifar has only `corrects`, of
#: evaluations during training: not of these predictions, and not compared.
CORRECT = "correct"
#: How CIFAR-isolated-randomness calls the seeds of initialisation, order and augmentation.
SEEDS = {"model_seed": "init", "order_seed": "order", "aug_seed": "aug"}


def contents_of(name: str, loaded: object, rows_of: Callable[[str, object], Rows | float | None]) -> Contents:
    """Return what an object holds; `rows_of` makes rows of a key and its value, or a number, or says None.

    Raises: DataError when it is neither an array nor a dict, or its seeds cannot be seeds.
    """
    if isinstance(only := rows_of("", loaded), Rows):
        return Contents(arrays={"": only})
    if not isinstance(loaded, Mapping):
        what = f"a {in_words(loaded)}" if only is None else in_words(only)
        raise DataError(f"{name} holds {what}, not an array or a dict of arrays. Save {_instead(loaded)}.")
    values = {text_of(key): value for key, value in loaded.items()}
    arrays: dict[str, Rows] = {}
    others: dict[str, str] = {}
    for key, value in values.items():
        try:
            found = rows_of(key, value)
        except DataError as error:  # what is not asked for may be anything
            others[key] = str(error)
            continue
        if isinstance(found, Rows):
            arrays[key] = found
        else:
            values[key] = value if found is None else found
            others[key] = in_words(values[key])
    said = arrays.get(CORRECT)
    if OF_ONE_RUN in arrays and len(arrays[OF_ONE_RUN].shape) == 2:
        arrays[OF_ONE_RUN] = OneRun(arrays[OF_ONE_RUN])
        if said is not None and said.dtype == np.bool_ and len(said.shape) == 1:
            arrays[CORRECT] = OneRun(said)
    numbers = numbers_of(values)
    if OF_ONE_RUN not in arrays or arrays[OF_ONE_RUN].shape[0] != 1:
        return Contents(arrays=arrays, others=others, numbers=numbers)
    count = _count(values.get(CORRECT), said)
    of_runs = OfRuns(
        seeds=[_seeds(name, values)] if set(SEEDS) <= set(values) else None,
        correct=None if count is None else [count],
    )
    return Contents(arrays=arrays, others=others, of_runs=of_runs, numbers=numbers)


def _instead(loaded: object) -> str:
    """Return what to save in place of an object that is neither an array nor a dict of arrays."""
    if not isinstance(loaded, list | tuple) or not loaded:
        return "the array itself"
    if isinstance(loaded[0], Mapping):
        return "one array of all runs: numpy.stack([run[KEY] for run in LIST])"
    return "one array of all runs: numpy.array(LIST)"


def refuse_unlike(name: str, arrays: Sequence[tuple[object, tuple[int, ...]]]) -> None:
    """Raise DataError unless the arrays of a list, given by type and shape, are alike, as runs are."""
    for i, (dtype, shape) in enumerate(arrays):
        if (dtype, shape) != arrays[0]:
            raise DataError(
                f"{name} is a list of {len(arrays):,} arrays, which as runs would be alike: number 0 is "
                f"{arrays[0][0]} {arrays[0][1]}, number {i} {dtype} {shape}. If they are batches of one run, "
                "save numpy.concatenate(LIST)[None]; of several runs numpy.stack(LIST)."
            )


def _count(value: object, rows: Rows | None) -> int | None:
    """Return how many examples a run says were right, as any whole number; None where it says no such."""
    if rows is not None and rows.shape == (1,) and rows.dtype != np.bool_:
        number: float = rows.read(range(1)).item()
        value = number
        if not is_exact(number, rows.dtype):
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer():
        return None
    return int(value)


def in_words(value: object) -> str:
    """Return what a value that is no array is."""
    if isinstance(value, str | bytes):
        return "text"
    if isinstance(value, bool | int | float):
        return f"one number, {value}"
    if isinstance(value, list | tuple | dict):
        return f"{type(value).__name__} of {len(value):,}"
    return type(value).__name__


def is_exact(number: float, dtype: np.dtype[Any]) -> bool:
    """Return whether this type holds all whole numbers up to this one: float16 rounds beyond 2,048."""
    return dtype.kind != "f" or abs(number) <= 2 / float(np.finfo(dtype).eps)


def text_of(key: object) -> str:
    """Return what a key is called."""
    return key.decode("latin1") if isinstance(key, bytes) else str(key)


def _seeds(name: str, values: Mapping[str, Any]) -> Seeds:
    for key in SEEDS:
        value = values[key]
        if type(value) is not int or not 0 <= value < 1 << 64:
            raise DataError(f"{name}: {key} is {value!r}, which is not a seed: a whole number of 64 bits.")
    return Seeds(**{stream: values[key] for key, stream in SEEDS.items()})
