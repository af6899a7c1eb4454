"""What each array of a file may be: by its key, and where that says nothing by its type and shape.

Nothing is chosen here: `selection` does that, and refuses what leaves a doubt.
"""

from collections.abc import Sequence
from typing import NamedTuple

from airbench_var.importing.kinds import kind_of, may_lack_runs
from airbench_var.importing.rows import Contents, Rows
from airbench_var.importing.tables import LABEL, VALUES, listed, role_of_key

#: Stands for the array of a file that has no keys, and for every array that is not named itself.
ANY = ""
PREDICTED, CORRECT = VALUES


class Roles(NamedTuple):
    """What the arrays of one open file may be; `str` of it is what the file holds, in a sentence."""

    contents: Contents

    def by_key(self, key: str) -> str | None:
        """Return what an array is by its key; the name of a test set, which may be any, says nothing."""
        of_test_set = self.contents.keys_are_test_sets and "/" not in key
        return None if of_test_set else role_of_key(key)

    def predictions(self) -> list[str]:
        """Return the keys of the arrays that may be predictions of runs."""
        return [
            key
            for key, rows in self.contents.arrays.items()
            if self.by_key(key) != LABEL and kind_of(rows) is not None
        ]

    def named_predictions(self) -> list[str]:
        """Return the keys that say predictions, unless others may be those of the same runs, as logits."""
        arrays = self.contents.arrays
        named = [
            key
            for key, rows in arrays.items()
            if self.by_key(key) == PREDICTED and (kind_of(rows) is not None or may_lack_runs(rows))
        ]
        shapes = {arrays[key].shape[:2] for key in named}
        rivals = {key for key in self.predictions() if arrays[key].shape[:2] in shapes} - {CORRECT, *named}
        return [] if self.contents.keys_are_test_sets or rivals else named

    def predictions_of_one_run(self) -> list[str]:
        """Return the keys of the arrays that may be predictions of one run: by their names, else by shape.

        Beside predictions of many runs they are none: they may be their mean, as in dumps of
        elastic-airbench. Of a name that says predictions the shape is not asked: what is wrong with it is
        said where it is judged.
        """
        roles = {key: self.by_key(key) for key in self.contents.arrays}
        named = [key for key, role in roles.items() if role == PREDICTED]
        return named or [
            key
            for key, rows in self.contents.arrays.items()
            if roles[key] in (None, CORRECT) and may_lack_runs(rows)
        ]

    def correct_beside(self, key: str) -> str | None:
        """Return the key of what was right of these predictions; None where it may be of others."""
        arrays = self.contents.arrays
        if self.contents.keys_are_test_sets or CORRECT not in arrays or arrays[CORRECT].dtype.kind != "b":
            return None
        of_one_run = len(arrays[CORRECT].shape) == 1 and arrays[CORRECT].shape == arrays[key].shape[:1]
        if not of_one_run and kind_of(arrays[CORRECT]) is None:
            return None
        found = self.predictions_of_one_run() if of_one_run else self.predictions()
        judged = [one for one in found if one != CORRECT]
        return CORRECT if key == PREDICTED or judged == [key] else None

    def labels_of_every_run(self, values: Sequence[str] = VALUES) -> str | None:
        """Return the key of labels (runs, examples) beside what runs predicted, or had right, of these."""
        arrays = self.contents.arrays
        shapes = [arrays[value].shape for value in values if value in arrays]
        repeats = LABEL in arrays and len(arrays[LABEL].shape) > 1 and arrays[LABEL].shape in shapes
        return LABEL if repeats else None

    def labels_by_name(self, key: str) -> str | None:
        """Return the array whose name says that it is the labels of the predictions of this key."""
        arrays = self.contents.arrays
        usual = [name for name, rows in arrays.items() if self.by_key(name) == LABEL and is_flat(rows)]
        exact = [name for name in (f"{key}/labels", "labels") if name in arrays]
        return exact[0] if exact else usual[0] if len(usual) == 1 else None

    def labels_beside(self, key: str) -> str | None:
        """Return the key of the labels that a file has beside the predictions of this key."""
        repeated = self.labels_of_every_run([key]) if key in VALUES else None
        found = repeated or self.labels_by_name(key)
        return None if found == key else found

    def __str__(self) -> str:
        arrays = [
            f"{key or 'one array without a name'} ({rows})" for key, rows in self.contents.arrays.items()
        ]
        others = [f"{key} ({what})" if key else f"a {what}" for key, what in self.contents.others.items()]
        return f"It has {listed([*arrays, *others]) or 'nothing'}."


def is_flat(rows: Rows) -> bool:
    """Whether an array has one axis, or a second one of one value, as labels may."""
    return len(rows.shape) == 1 or (len(rows.shape) == 2 and rows.shape[1] == 1)
