"""Which arrays of the files become test sets, which labels judge each, and what each is called.

What is not clear is refused with what was found, and the option that selects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from airbench_var.errors import DataError, UsageError
from airbench_var.importing.formats import files_of, open_file
from airbench_var.importing.roles import ANY, CORRECT, Roles
from airbench_var.importing.rows import Contents
from airbench_var.importing.tables import BESIDE_LABELS, LABEL, MAP_NAMES, listed, perhaps_long

DEFAULT_TEST_SET = "test"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What was asked for; by key, or `ANY` for all that are not named; no labels for those of the files."""

    keys: Sequence[str]
    labels: Mapping[str, Path]
    test_sets: Mapping[str, str]


class Chosen(NamedTuple):
    """One array that becomes a test set; the other keys are of arrays beside it, with which it must agree."""

    key: str
    test_set: str
    labels_given: Path | None  #: the file that has them; None for those beside the predictions
    labels_key: str | None  #: of labels beside the predictions
    labels_repeat: bool  #: whether those are (runs, examples), as a table has them, and not (examples,)
    correct_key: str | None  #: of the array that says what was right

    @property
    def keys_of_runs(self) -> list[str]:
        """The keys of the arrays that are read run by run."""
        keys = (self.key, self.correct_key, self.labels_key if self.labels_repeat else None)
        return [key for key in keys if key is not None]


def choose(path: Path, contents: Contents, wanted: Wanted) -> list[Chosen]:
    """Return the arrays that become test sets, in the order asked for.

    path: the first of the files, which `contents` is of; the others must have the same keys.

    Raises: DataError when no array is predictions; UsageError when it is not clear which, or labels or the
    name of a test set are missing.
    """
    roles = Roles(contents)
    keys = _named(path, roles, wanted) or _only(path, roles, wanted)
    chosen = []
    for key in keys:
        test_set = _name(key, len(keys), wanted.test_sets, contents)
        labels_given = _given(path, key, wanted.labels) if wanted.labels else None
        labels_key = roles.labels_beside(key)
        if labels_given is None and labels_key is None:
            raise _no_labels(path, key, roles)
        chosen.append(
            Chosen(
                key=key,
                test_set=test_set,
                labels_given=labels_given,
                labels_key=labels_key,
                labels_repeat=labels_key is not None and labels_key == roles.labels_of_every_run(),
                correct_key=roles.correct_beside(key),
            )
        )
    return chosen


def _named(path: Path, roles: Roles, wanted: Wanted) -> list[str]:
    """Return the keys that were asked for."""
    contents = roles.contents
    named = [key for key in dict.fromkeys([*wanted.keys, *wanted.labels, *wanted.test_sets]) if key != ANY]
    for key in named:
        if roles.by_key(key) == LABEL:
            raise UsageError(
                f"{path}: {key} is a name of labels, and KEY is that of the predictions, also in --labels "
                f"KEY=FILE. If they are predictions, call them predicted. {roles}"
            )
        if key in contents.others:
            raise DataError(f"{path}: {key} cannot be predictions: {contents.others[key]}. {roles}")
        if key not in contents.arrays:
            raise UsageError(f"{path} has no {key!r}. {roles}")
    return named


def _only(path: Path, roles: Roles, wanted: Wanted) -> list[str]:
    """Return the keys where none was asked for, if they leave no doubt."""
    if set(roles.contents.arrays) == {ANY}:
        return [ANY]  # whether it is predictions, its kind says
    candidates = roles.predictions()
    if len(named := roles.named_predictions()) == 1:
        return named
    if not candidates:
        if len(of_one_run := roles.predictions_of_one_run()) == 1:
            return of_one_run
        raise DataError(
            f"{path}: none of what it has is predictions. {roles} Predictions are integer classes "
            "(runs, examples), booleans (runs, examples), or floating-point logits (runs, examples, "
            f"classes): from accuracies alone nothing can be said of single examples.{_instead(roles)}"
        )
    if len(candidates) == 2 and CORRECT in candidates:  # it says less, and is compared with the other
        return [key for key in candidates if key != CORRECT]
    if len(candidates) > 1 and not _have_own_labels(candidates, roles.contents, wanted):
        raise UsageError(
            f"{path} has {len(candidates)} arrays that may be predictions: {', '.join(candidates)}. "
            f"{roles} Choose with --key {candidates[0]}, several times for several test sets; "
            "each may have labels of its own: --labels KEY=FILE."
        )
    return candidates


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


def _given(path: Path, key: str, labels: Mapping[str, Path]) -> Path:
    """Return the file that was given for the labels of this key, of a folder the first."""
    found = labels.get(key, labels.get(ANY))
    if found is None:
        raise UsageError(f"{path}: no labels for {key}. Give them with --labels {key}=FILE.")
    return files_of([found])[0]


def _no_labels(path: Path, key: str, roles: Roles) -> UsageError:
    """Return what to say of predictions that no labels are beside, where none were given."""
    names = f" Of names, {MAP_NAMES}." if LABEL in roles.contents.others else ""
    rows = roles.contents.arrays[key]
    return UsageError(
        f"{path}: the predictions have no labels of their own: give --labels FILE. "
        f"{roles}{names}{perhaps_long(rows.columns, rows.shape)}"
    )


def _instead(roles: Roles) -> str:
    """Return what to do about arrays none of which can be taken for predictions without a word."""
    arrays = roles.contents.arrays
    runs = {key: rows for key, rows in arrays.items() if roles.by_key(key) != LABEL}
    if arrays and not runs:
        is_table = BESIDE_LABELS in roles.contents.others.values()
        without = " without it, in pandas frame.drop(columns=['label'])," if is_table else ""
        return f" {listed([*arrays])} says labels: write predictions{without} or call it predicted."
    alike = {(rows.dtype, rows.shape) for rows in runs.values()}
    if len(runs) > 1 and len(alike) == 1:
        keys, beside = ("FILE", "") if len(runs) == len(arrays) else ("KEYS", ", beside the labels")
        how = f"numpy.stack([FILE[key] for key in {keys}])"
        return f" If each array is one run, write them as one{beside}: {how}."
    if of_one_run := roles.predictions_of_one_run():
        return f" An array of one run, which lacks the axis of runs, is chosen with --key {of_one_run[0]}."
    return ""
