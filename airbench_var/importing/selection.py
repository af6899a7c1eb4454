"""Which arrays of the files become test sets, which labels judge each, and what each is called.

What is not clear is refused with what was found, and the option that selects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from airbench_var.errors import DataError, UsageError
from airbench_var.importing.formats import files_of, open_file
from airbench_var.importing.kinds import kind_of, may_lack_runs
from airbench_var.importing.rows import Array, Contents, Rows, values_of
from airbench_var.importing.tables import (
    BESIDE_LABELS,
    LABEL,
    MAP_NAMES,
    VALUES,
    listed,
    perhaps_long,
    role_of_key,
)

#: Stands for every array that is not named itself.
ANY = ""
DEFAULT_TEST_SET = "test"
PREDICTED, CORRECT = VALUES


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What was asked for; by key, or `ANY` for all that are not named; no labels for those of the files."""

    keys: Sequence[str]
    labels: Mapping[str, Path]
    test_sets: Mapping[str, str]


class Chosen(NamedTuple):
    """One array that becomes a test set."""

    key: str
    test_set: str
    labels: Path  #: the file that has them
    correct_key: str | None = None  #: of the array that says what was right, with which this one must agree
    labels_key: str | None = None  #: of the labels that a table repeats with every run, (runs, examples)
    own_labels: str | None = None  #: their key in the files of the predictions, where no others were given
    other_labels: str | None = None  #: the same, where others were given, with which they must agree


class Labels(NamedTuple):
    """The labels of one test set."""

    name: str  #: what messages call them
    path: Path
    key: str
    values_N: Array


def choose(path: Path, contents: Contents, wanted: Wanted) -> list[Chosen]:
    """Return the arrays that become test sets, in the order asked for.

    path: the first of the files, which `contents` is of; the others must have the same keys.

    Raises: DataError when no array is predictions; UsageError when it is not clear which, or labels or the
    name of a test set are missing.
    """
    keys = _named(path, contents, wanted) or _only(path, contents, wanted)
    return [
        Chosen(
            key=key,
            test_set=_name(key, len(keys), wanted.test_sets, contents),
            labels=_labels(path, key, wanted.labels),
            correct_key=_says_right(key, contents),
            labels_key=_labels_of_runs(contents) if key in VALUES else None,
            own_labels=None if wanted.labels else _own_labels(path, key, contents),
            other_labels=next(iter(_labels_by_name(key, contents)), None) if wanted.labels else None,
        )
        for key in keys
    ]


def _labels_of_runs(contents: Contents) -> str | None:
    """Return the key of labels (runs, examples) beside what runs predicted, or had right, of these."""
    arrays = contents.arrays
    shapes = [arrays[value].shape for value in VALUES if value in arrays]
    return LABEL if LABEL in arrays and arrays[LABEL].shape in shapes else None


def _says_right(key: str, contents: Contents) -> str | None:
    """Return the key of what was right of these predictions; None where it may be of others in the file."""
    arrays = contents.arrays
    if contents.keys_are_test_sets or CORRECT not in arrays or arrays[CORRECT].dtype.kind != "b":
        return None
    of_one_run = len(arrays[CORRECT].shape) == 1 and arrays[CORRECT].shape == arrays[key].shape[:1]
    if not of_one_run and kind_of(arrays[CORRECT]) is None:
        return None
    found = _perhaps_of_one_run(contents) if of_one_run else _candidates(contents)
    judged = [one for one in found if one != CORRECT]
    return CORRECT if key == PREDICTED or judged == [key] else None


def _named(path: Path, contents: Contents, wanted: Wanted) -> list[str]:
    named = [key for key in dict.fromkeys([*wanted.keys, *wanted.labels, *wanted.test_sets]) if key != ANY]
    for key in named:
        if says_labels(key, contents):
            raise UsageError(
                f"{path}: {key} is a name of labels, and KEY is that of the predictions, also in --labels "
                f"KEY=FILE. If they are predictions, call them predicted. {_found(contents)}"
            )
        if key in contents.others:
            raise DataError(
                f"{path}: {key} cannot be predictions: {contents.others[key]}. {_found(contents)}"
            )
        if key not in contents.arrays:
            raise UsageError(f"{path} has no {key!r}. {_found(contents)}")
    return named


def _only(path: Path, contents: Contents, wanted: Wanted) -> list[str]:
    if set(contents.arrays) == {ANY}:
        return [ANY]  # whether it is predictions, its kind says
    candidates = _candidates(contents)
    if len(named := _named_predictions(contents, candidates)) == 1:
        return named
    if not candidates:
        if len(of_one_run := _perhaps_of_one_run(contents)) == 1:
            return of_one_run
        raise DataError(
            f"{path}: none of what it has is predictions. {_found(contents)} Predictions are integer classes "
            "(runs, examples), booleans (runs, examples), or floating-point logits (runs, examples, "
            f"classes): from accuracies alone nothing can be said of single examples.{_instead(contents)}"
        )
    if len(candidates) == 2 and CORRECT in candidates:  # it says less, and is compared with the other
        return [key for key in candidates if key != CORRECT]
    if len(candidates) > 1 and not _have_own_labels(candidates, contents, wanted):
        raise UsageError(
            f"{path} has {len(candidates)} arrays that may be predictions: {', '.join(candidates)}. "
            f"{_found(contents)} Choose with --key {candidates[0]}, several times for several test sets; "
            "each may have labels of its own: --labels KEY=FILE."
        )
    return candidates


def _candidates(contents: Contents) -> list[str]:
    """Return the keys of the arrays that may be predictions."""
    return [
        key
        for key, rows in contents.arrays.items()
        if not says_labels(key, contents) and kind_of(rows) is not None
    ]


def _named_predictions(contents: Contents, candidates: Sequence[str]) -> list[str]:
    """Return the keys that say predictions, unless others may be those of the same runs, as logits may."""
    named = [
        key
        for key, rows in contents.arrays.items()
        if role_in(key, contents) == PREDICTED and (kind_of(rows) is not None or may_lack_runs(rows))
    ]
    shapes = {contents.arrays[key].shape[:2] for key in named}
    rivals = [key for key in candidates if key not in named and contents.arrays[key].shape[:2] in shapes]
    return [] if contents.keys_are_test_sets or set(rivals) - {CORRECT} else named


def _perhaps_of_one_run(contents: Contents) -> list[str]:
    """Return the keys of the arrays that may be predictions of one run: by their names, else by their shapes.

    Beside predictions of many runs they are none: they may be their mean, as in dumps of elastic-airbench. Of
    a name that says predictions the shape is not asked: what is wrong with it is said where it is judged.
    """
    roles = {key: role_in(key, contents) for key in contents.arrays}
    named = [key for key, role in roles.items() if role == PREDICTED]
    return named or [
        key for key, rows in contents.arrays.items() if roles[key] in (None, CORRECT) and may_lack_runs(rows)
    ]


def says_labels(key: str, contents: Contents) -> bool:
    """Whether an array is labels by its key."""
    return role_in(key, contents) == LABEL


def role_in(key: str, contents: Contents) -> str | None:
    """Return what an array is by its key; the name of a test set says nothing: it may be called anything."""
    of_test_set = contents.keys_are_test_sets and "/" not in key
    return None if of_test_set else role_of_key(key)


def _have_own_labels(candidates: Sequence[str], contents: Contents, wanted: Wanted) -> bool:
    """Whether the labels come from a file or folder that has some for each of these arrays by name."""
    if not wanted.labels:
        return all(f"{key}/labels" in contents.arrays for key in candidates)
    if ANY not in wanted.labels or len(wanted.labels) > 1:
        return False
    with open_file(wanted.labels[ANY]) as of_labels:
        return all(f"{key}/labels" in of_labels.arrays for key in candidates)


def _name(key: str, count: int, names: Mapping[str, str], contents: Contents) -> str:
    if key in names and key != ANY:
        return names[key]
    if count > 1:
        if ANY in names:
            raise UsageError(
                f"--test-set {names[ANY]} names one test set, and there are {count}: --test-set KEY=NAME "
                "names one of several."
            )
        return key
    return names.get(ANY, key if contents.keys_are_test_sets else DEFAULT_TEST_SET)


def _labels(path: Path, key: str, labels: Mapping[str, Path]) -> Path:
    """Return the file of the labels for this key, of a folder the first; of predictions alone, their own."""
    if not labels:
        return path
    found = labels.get(key, labels.get(ANY))
    if found is None:
        raise UsageError(f"{path}: no labels for {key}. Give them with --labels {key}=FILE.")
    return files_of([found])[0]


def _own_labels(path: Path, key: str, contents: Contents) -> str:
    """Return the key of the labels that a file of predictions has beside those of this key."""
    of_runs = _labels_of_runs(contents) if key in VALUES else None
    found = next(
        (name for name in (of_runs, *_labels_by_name(key, contents)) if name not in (None, key)), None
    )
    if found is None:
        names = f" Of names, {MAP_NAMES}." if LABEL in contents.others else ""
        hint = perhaps_long(contents.arrays[key].columns, contents.arrays[key].shape)
        raise UsageError(
            f"{path}: the predictions have no labels of their own: give --labels FILE. "
            f"{_found(contents)}{names}{hint}"
        )
    return found


def _labels_by_name(key: str, contents: Contents) -> list[str]:
    """Return the arrays whose names say that they are the labels of the predictions of this key."""
    exact = [name for name in (f"{key}/labels", "labels") if name in contents.arrays]
    usual = [name for name, rows in contents.arrays.items() if says_labels(name, contents) and is_flat(rows)]
    return exact or (usual if len(usual) == 1 else [])


def is_flat(rows: Rows) -> bool:
    """Whether an array has one axis, or a second one of one value, as labels may."""
    return len(rows.shape) == 1 or (len(rows.shape) == 2 and rows.shape[1] == 1)


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
    arrays = contents.arrays
    if (of_runs := _labels_of_runs(contents)) is not None:
        return of_runs
    flat = [name for name, rows in arrays.items() if rows.dtype.kind in "iu" and is_flat(rows)]
    names = _labels_by_name(key, contents) or flat
    if set(arrays) != {ANY} and (not names or (len(names) > 1 and names == flat)):
        raise DataError(
            f"{path}: it is not clear what the labels are, integers (examples,). {_found(contents)} "
            "Write them to a file of their own; of names, [NAMES.index(name) for name in labels]."
        )
    return names[0] if names else ANY


def labels_at(path: Path, key: str, contents: Contents) -> Labels:
    """Return the labels (examples,), integers, under a key of an open file.

    (examples, 1) and floats that are whole numbers are the same. Of a table that repeats them with every run
    they are those of the first, with which the others are compared when they are read.

    Raises: DataError when they are no labels.
    """
    rows = contents.arrays[key]
    if key == _labels_of_runs(contents):
        return Labels(rows.name, path, key, _whole(rows.name, rows.read(range(1))[0]))
    if not is_flat(rows) or rows.dtype.kind not in "iuf":
        raise DataError(f"{rows.name} is {rows}; labels are integers (examples,).{_hint_of_labels(rows)}")
    values_N = values_of(rows).ravel()
    return Labels(rows.name, path, key, _whole(rows.name, values_N))


def _whole(name: str, labels_N: Array) -> Array:
    """Return labels as integers; raise DataError where one is no whole number."""
    if labels_N.dtype.kind != "f":
        return labels_N
    whole_N = np.where(np.isfinite(labels_N), labels_N, 0.5) == np.rint(labels_N)
    if not whole_N.all():
        first = int(whole_N.argmin())
        raise DataError(f"{name}: example {first}: label {labels_N[first]} is not a whole number.")
    return labels_N.astype(np.int64)


def _hint_of_labels(rows: Rows) -> str:
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


def _found(contents: Contents) -> str:
    """Return what a file holds, in a sentence."""
    arrays = [f"{key or 'one array without a name'} ({rows})" for key, rows in contents.arrays.items()]
    others = [f"{key} ({what})" if key else f"a {what}" for key, what in contents.others.items()]
    return f"It has {listed([*arrays, *others]) or 'nothing'}."


def _instead(contents: Contents) -> str:
    """Return what to do about arrays none of which can be taken for predictions without a word."""
    arrays = contents.arrays
    runs = {key: rows for key, rows in arrays.items() if not says_labels(key, contents)}
    if arrays and not runs:
        is_table = BESIDE_LABELS in contents.others.values()
        without = " without it, in pandas frame.drop(columns=['label'])," if is_table else ""
        return f" {listed([*arrays])} says labels: write predictions{without} or call it predicted."
    alike = {(rows.dtype, rows.shape) for rows in runs.values()}
    if len(runs) > 1 and len(alike) == 1:
        keys, beside = ("FILE", "") if len(runs) == len(arrays) else ("KEYS", ", beside the labels")
        how = f"numpy.stack([FILE[key] for key in {keys}])"
        return f" If each array is one run, write them as one{beside}: {how}."
    if of_one_run := _perhaps_of_one_run(contents):
        return f" An array of one run, which lacks the axis of runs, is chosen with --key {of_one_run[0]}."
    return ""
