"""The labels of a test set: where they are, that they can be labels, and that no file says others."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from airbench_var.errors import DataError
from airbench_var.importing.files import RunFiles
from airbench_var.importing.formats import open_file
from airbench_var.importing.roles import ANY, Roles, is_flat
from airbench_var.importing.rows import Array, Contents, Rows, values_of
from airbench_var.importing.tables import perhaps_long


class Labels(NamedTuple):
    """The labels of one test set."""

    name: str  #: what messages call them
    path: Path
    key: str
    values_N: Array


def read_labels(path: Path, key: str) -> Labels:
    """Return the labels that a file has for the predictions under a key, of this file or another.

    They are the array KEY/labels, or labels, or the only array of integers along one axis, or what a table
    repeats with every run.

    Raises: DataError when there is none such.
    """
    with open_file(path) as contents:
        return labels_at(path, _key_of_labels(path, key, contents), contents)


def _key_of_labels(path: Path, key: str, contents: Contents) -> str:
    """Return the key of the labels in a file that was given for them."""
    roles = Roles(contents)
    if (found := roles.labels_of_every_run() or roles.labels_by_name(key)) is not None:
        return found
    if set(contents.arrays) == {ANY}:
        return ANY  # whether it can be labels, its type says
    flat = [name for name, rows in contents.arrays.items() if rows.dtype.kind in "iu" and is_flat(rows)]
    if len(flat) != 1:
        raise DataError(
            f"{path}: it is not clear what the labels are, integers (examples,). {roles} "
            "Write them to a file of their own; of names, [NAMES.index(name) for name in labels]."
        )
    return flat[0]


def labels_at(path: Path, key: str, contents: Contents) -> Labels:
    """Return the labels (examples,), integers, under a key of an open file.

    (examples, 1) and floats that are whole numbers are the same. Of a table that repeats them with every run
    they are those of the first, with which the others are compared when they are read.

    Raises: DataError when they are no labels.
    """
    rows = contents.arrays[key]
    if key == Roles(contents).labels_of_every_run():
        return Labels(rows.name, path, key, _whole(rows.name, rows.read(range(1))[0]))
    if not is_flat(rows) or rows.dtype.kind not in "iuf":
        raise DataError(f"{rows.name} is {rows}; labels are integers (examples,).{_hint(rows)}")
    return Labels(rows.name, path, key, _whole(rows.name, values_of(rows).ravel()))


def refuse_other_labels(files: RunFiles, key: str, labels: Labels, *, given: bool) -> None:
    """Raise DataError where a file has other labels beside its predictions, under this key.

    given: whether the labels are those of --labels, beside which a file need not have any, and may have those
    of another number of examples; otherwise they are those of the first file, and all have them.
    """
    for i, path in enumerate(files.paths):
        if i == 0 and not given:
            continue  # whose they are
        rows = files.contents(i).arrays.get(key)
        if given and (rows is None or not is_flat(rows) or rows.shape[0] != len(labels.values_N)):
            continue
        if rows is None:
            raise DataError(
                f"{path} has no {key} of its own, as {labels.path} has. If those are the labels of all "
                f"files: --labels {labels.path}."
            )
        if not np.array_equal(values_of(rows).ravel(), labels.values_N):
            what = (
                ", so that one of them is in another order, or of other examples. Leave out --labels, or the "
                "array."
                if given
                else ". All runs are of the same examples in one order."
            )
            raise DataError(f"{rows.name} are not the labels of {labels.path}{what} Nothing was written.")


def _whole(name: str, labels_N: Array) -> Array:
    """Return labels as integers; raise DataError where one is no whole number."""
    if labels_N.dtype.kind != "f":
        return labels_N
    whole_N = np.where(np.isfinite(labels_N), labels_N, 0.5) == np.rint(labels_N)
    if not whole_N.all():
        first = int(whole_N.argmin())
        raise DataError(f"{name}: example {first}: label {labels_N[first]} is not a whole number.")
    return labels_N.astype(np.int64)


def _hint(rows: Rows) -> str:
    """Return what one who has such labels may do."""
    if hint := perhaps_long(rows.columns, rows.shape):
        return hint
    if len(rows.shape) == 2:
        return " Of one-hot labels (examples, classes): array.argmax(axis=1)."
    if rows.dtype.kind == "b":
        return " Of two classes: array.astype(int)."
    if rows.dtype.kind in "US":
        return (
            " Of names: [NAMES.index(name) for name in array], in the order in which predictions count them."
        )
    return ""
