"""The test sets of one import: an array over all files, how it is judged, and what it must agree with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from airbench_var.errors import DataError
from airbench_var.importing.dump import OF_ONE_RUN
from airbench_var.importing.files import Joined, JoinedRuns, RunFiles
from airbench_var.importing.kinds import Judge, judge_of, lacks_runs
from airbench_var.importing.labels import Labels, labels_at, read_labels, refuse_other_labels
from airbench_var.importing.roles import PREDICTED, Roles
from airbench_var.importing.rows import Array, values_of
from airbench_var.importing.selection import Chosen, Wanted, choose
from airbench_var.importing.tables import EXAMPLE


@dataclass(frozen=True, kw_only=True)
class Source:
    """The predictions of one test set."""

    test_set: str
    key: str
    rows: Joined
    judge: Judge
    says_right: Joined | None  #: what the files themselves say was right, where they do
    says_label: Joined | None  #: the labels that the files repeat with every run, where they do
    labels_from: Path  #: the file
    correct: Sequence[int] | None  #: how many of each run, where they say no more than that

    def refuse_bad(self, runs: range, block: Array) -> None:
        """Raise DataError that names run and example of the first value of a block that cannot be."""
        if (bad := self.judge.first_bad(block)) is not None:
            row, example, why = bad
            place = self.rows.place_of(runs.start + row)
            raise DataError(f"{place}, example {example}: {why}. Nothing was written.")
        self._refuse_other_labels(runs)
        self._refuse_other_bits(runs, block)
        self._refuse_other_counts(runs, block)

    def _refuse_other_labels(self, runs: range) -> None:
        if self.says_label is None:
            return
        said_RN = self.says_label.read(runs)
        for row, example in np.argwhere(said_RN != self.judge.labels_N)[:1].tolist():
            raise DataError(
                f"{self.says_label.place_of(runs.start + row)}, example {example}: its label is "
                f"{said_RN[row, example]}, not {self.judge.labels_N[example]} as among the labels. All runs "
                "are of the same examples in one order. Nothing was written."
            )

    def _refuse_other_bits(self, runs: range, block: Array) -> None:
        if self.says_right is None:
            return
        least_RN, most_RN = self.judge.right_at_least_and_most(block)
        said_RN = self.says_right.read(runs)
        differs_RN = (said_RN != least_RN) & (said_RN != most_RN)
        for row, example in np.argwhere(differs_RN)[:1].tolist():
            raise DataError(
                f"{self.says_right.place_of(runs.start + row)}, example {example}: by these labels and "
                f"what was predicted it is not so. {_OTHER_LABELS}"
            )

    def _refuse_other_counts(self, runs: range, block: Array) -> None:
        if self.correct is None:
            return
        least_R, most_R = (right_RN.sum(axis=1) for right_RN in self.judge.right_at_least_and_most(block))
        said_R = np.array(self.correct[runs.start : runs.stop])
        for row in np.flatnonzero((said_R < least_R) | (said_R > most_R))[:1].tolist():
            raise DataError(
                f"{self.rows.place_of(runs.start + row)}: the file says that {said_R[row]:,} examples were "
                f"right, by these labels {least_R[row]:,} are. {_OTHER_LABELS}"
            )


_OTHER_LABELS = "Give the labels of the test set that was predicted, in its order. Nothing was written."


def sources_of(
    files: RunFiles, wanted: Wanted, classes: int | None, *, keeps_diverged: bool = False
) -> tuple[JoinedRuns, list[Source]]:
    """Return the runs of some files, and their test sets.

    Raises: as `choose`, `read_labels`, `labels_at`, `judge_of` and `RunFiles.join`; DataError when the test
    sets do not have the same columns, or the files not the same labels.
    """
    chosen = choose(files.paths[0], files.contents(), wanted)
    for one in chosen:
        _refuse_booleans(files, one.key)
    labels = [_labels_of(files, one) for one in chosen]
    judged = list(zip(chosen, labels, strict=True))
    for one, of_one in judged:
        _take_as_one_run(files, one, of_one)
    for one, of_one in judged:  # of the first file, before every file is looked at
        contents = files.contents()
        names = contents.classes.get(one.key, ())
        judge_of(contents.arrays[one.key], of_one.name, of_one.values_N, classes, names)
    for one, of_one in judged:
        if one.labels_key is not None and not one.labels_repeat:
            refuse_other_labels(files, one.labels_key, of_one, given=one.labels_given is not None)
    for n in {len(of_one.values_N) for of_one in labels}:
        _refuse_other_order(files, n)
    runs = files.join(list(dict.fromkeys(key for one in chosen for key in one.keys_of_runs)))
    sources = [
        Source(
            test_set=one.test_set,
            key=one.key,
            rows=runs.arrays[one.key],
            judge=judge_of(
                runs.arrays[one.key],
                of_one.name,
                of_one.values_N,
                classes,
                runs.arrays[one.key].classes,
                keeps_diverged=keeps_diverged,
            ),
            says_right=None if one.correct_key is None else runs.arrays[one.correct_key],
            says_label=runs.arrays[one.labels_key] if one.labels_key and one.labels_repeat else None,
            labels_from=of_one.path,
            correct=runs.of_runs.correct if one.key == OF_ONE_RUN else None,
        )
        for one, of_one in judged
    ]
    for source in sources:
        if source.judge.kind.name != sources[0].judge.kind.name:
            raise DataError(
                f"{sources[0].rows.name} is {sources[0].judge.kind.name}, {source.rows.name} "
                f"{source.judge.kind.name}: all test sets of a store hold the same. Import them on their own."
            )
        if source.says_right is not None and source.says_right.shape != source.rows.shape[:2]:
            raise DataError(
                f"{source.says_right.name} is {source.says_right}, {source.rows.name} {source.rows}: what "
                "was right is of the same runs and examples as what was predicted."
            )
    return runs, sources


def _labels_of(files: RunFiles, one: Chosen) -> Labels:
    """Return the labels that a test set is judged by: those given, or those beside its predictions."""
    if one.labels_given is not None:
        return read_labels(one.labels_given, one.key)
    assert one.labels_key is not None  # or `choose` had refused it
    return labels_at(files.paths[0], one.labels_key, files.contents())


def _refuse_booleans(files: RunFiles, key: str) -> None:
    """Raise DataError for booleans under a name of predictions: they may be classes, or what was right."""
    contents = files.contents()
    rows = contents.arrays[key]
    if rows.dtype.kind == "b" and Roles(contents).by_key(key) == PREDICTED:
        raise DataError(
            f"{rows.name} has booleans: of two classes write array.astype(int), of what was right call it "
            "correct. Nothing was written."
        )


def _refuse_other_order(files: RunFiles, n: int) -> None:
    """Raise DataError where the files say that their examples are not in order, or not all in the same.

    By an array `index` or the like as long as the examples; ids that count nothing only have to be the same.
    """
    roles = Roles(files.contents())
    keys = [key for key in roles.contents.arrays if roles.by_key(key) == EXAMPLE]
    first: dict[str, Array] = {}
    for i in range(len(files.paths) if keys else 0):
        for key in keys:
            rows = files.contents(i).arrays.get(key)
            if rows is None or rows.shape != (n,) or rows.dtype.kind not in "iu":
                continue
            said_N = values_of(rows)
            counts = np.array_equal(np.sort(said_N), np.arange(n) + int(said_N.min() == 1))
            is_in_order = bool((np.diff(said_N.astype(np.int64)) == 1).all())
            if (counts and not is_in_order) or not np.array_equal(first.setdefault(key, said_N), said_N):
                raise DataError(
                    f"{rows.name} says that the examples are in another order: sort predictions and labels "
                    "by it, numpy.argsort, and leave it out. Nothing was written."
                )


def _take_as_one_run(files: RunFiles, one: Chosen, labels: Labels) -> None:
    """Say which arrays of the files are of one run; raise DataError where the labels would pass for one."""
    arrays, n_labels = files.contents().arrays, len(labels.values_N)
    if not lacks_runs(arrays[one.key], n_labels, beside=[*arrays.values()]):
        return
    if one.key == labels.key and labels.path.resolve() in {path.resolve() for path in files.paths}:
        raise DataError(
            f"{labels.path}: the labels are among the predictions, where they would count as a run that is "
            "always right. Move them to another folder, or give the files of the runs alone."
        )
    files.take_as_one_run(one.key)
    if one.correct_key is not None and lacks_runs(arrays[one.correct_key], n_labels):
        files.take_as_one_run(one.correct_key)
