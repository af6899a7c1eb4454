"""Several files of runs as one: run after run, each file opened when its runs are read."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from airbench_var.errors import DataError
from airbench_var.importing.formats import files_of, open_file
from airbench_var.importing.rows import Array, Contents, OfRuns, OneRun, Rows

T = TypeVar("T")


class RunFiles:
    """The files of one import, of which the one that was read last stays open; made by `open_runs`."""

    def __init__(self, paths: Sequence[Path], opened: ExitStack) -> None:
        self.paths = paths
        self._opened = opened
        self._of_one_run: set[str] = set()
        self._at, self._contents = 0, opened.enter_context(open_file(paths[0]))

    def contents(self, index: int = 0) -> Contents:
        """Return what a file holds, to be used before another one is asked for."""
        if index != self._at:
            self._opened.close()
            self._at = -1  # until the next one is open
            self._contents = self._opened.enter_context(open_file(self.paths[index]))
            self._at = index
        return self._as_runs(self._contents)

    def take_as_one_run(self, key: str) -> None:
        """Take the array of this key, in every file, for that of one run, which lacks the axis of runs."""
        self._of_one_run.add(key)

    def _as_runs(self, contents: Contents) -> Contents:
        lacking = self._of_one_run & set(contents.arrays)
        if not lacking:
            return contents
        wrapped = {key: OneRun(contents.arrays[key]) for key in lacking}
        return replace(contents, arrays={**contents.arrays, **wrapped})

    def join(self, keys: Sequence[str]) -> "JoinedRuns":
        """Look at every file, and return its arrays of these keys; raises DataError where they do not fit."""
        looks: list[dict[str, _Look]] = []
        said: list[OfRuns] = []
        with_seed: dict[int, Path] = {}
        accuracies: dict[int, float] = {}
        for i, path in enumerate(self.paths):
            contents = self.contents(i)
            if contents.seed is not None and with_seed.setdefault(contents.seed, path) != path:
                raise DataError(
                    f"{with_seed[contents.seed]} and {path} both say seed {contents.seed}: two epochs of one "
                    "run would count as two runs. Give one of them; if they are different runs, save them "
                    "without a seed, or each with its own. Nothing was written."
                )
            for key in keys:
                if key not in contents.arrays:
                    why = contents.others.get(key, "it is not there")
                    raise DataError(f"{path}: {key} is not an array as in {self.paths[0]}: {why}.")
            looks.append({key: _Look.at(contents.arrays[key], contents.classes.get(key, ())) for key in keys})
            runs = {key: look.shape[0] for key, look in looks[-1].items()}
            if len(set(runs.values())) > 1:
                raise DataError(
                    f"{path} has other numbers of runs in {runs}. All test sets are of the same runs."
                )
            for key in keys:
                looks[0][key].refuse_unlike(looks[-1][key])
            said.append(contents.of_runs)
            if contents.accuracy is not None and set(runs.values()) == {1}:
                accuracies[i] = contents.accuracy
        starts = np.cumsum([0, *(look[keys[0]].shape[0] for look in looks)])
        return JoinedRuns(
            paths=self.paths,
            starts=starts,
            arrays={key: Joined(self, key, [look[key] for look in looks], starts) for key in keys},
            of_runs=OfRuns(  # without ids, which each file may count anew
                seeds=_of_all(of.seeds for of in said),
                correct=_of_all(of.correct for of in said),
                diverged=_of_all(of.diverged for of in said),
            ),
            accuracies={int(starts[i]): accuracy for i, accuracy in accuracies.items()},
        )


@contextmanager
def open_runs(paths: Sequence[Path]) -> Iterator[RunFiles]:
    """Yield the files that are meant; raises as `files_of` and `open_file`."""
    with ExitStack() as opened:
        yield RunFiles(files_of(paths), opened)


class JoinedRuns(NamedTuple):
    """What the files hold of their runs, which are numbered through."""

    paths: Sequence[Path]
    starts: npt.NDArray[np.int64]  #: (files + 1,): the first run of each file, and how many runs there are
    arrays: Mapping[str, "Joined"]
    of_runs: OfRuns  #: what every file says
    accuracies: Mapping[int, float]  #: by run, of those whose files say one: of what, they do not say


class _Look(NamedTuple):
    """What an array was like when its file was looked at."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    header: bytes
    classes: tuple[str, ...]

    @classmethod
    def at(cls, rows: Rows, classes: tuple[str, ...]) -> "_Look":
        if not rows.shape:
            raise DataError(f"{rows.name} is one number, not an array.")
        return cls(rows.name, rows.dtype, rows.shape, rows.header, classes)

    def refuse_unlike(self, other: "_Look") -> None:
        mine, its = ((look.dtype, look.shape[2:], len(look.shape)) for look in (self, other))
        if mine == its and self.shape[1:] != other.shape[1:]:
            shorter, longer = sorted((self, other), key=lambda look: look.shape[1])
            raise DataError(
                f"{shorter.name} has {shorter.shape[1]:,} examples, {longer.name} {longer.shape[1]:,}: of "
                "the shorter one rows may be missing, which moves all below them. Write it once more, whole; "
                "or, if they are of different test sets, import each on its own."
            )
        if (self.dtype, self.shape[1:]) != (other.dtype, other.shape[1:]):
            raise DataError(
                f"{self.name} is {self.dtype} {self.shape}, {other.name} is {other.dtype} {other.shape}: "
                "but for the number of runs, all files have arrays of one shape and type. Import them on "
                "their own."
            )
        if self.classes != other.classes:
            raise DataError(
                f"{self.name} and {other.name} do not name the same classes. Import them on their own."
            )


class Joined(Rows):
    """The arrays of one key, one file after the other."""

    def __init__(
        self, files: RunFiles, key: str, looks: Sequence[_Look], starts: npt.NDArray[np.int64]
    ) -> None:
        self._files, self._key, self._looks, self._starts = files, key, looks, starts
        self.name = looks[0].name if len(looks) == 1 else f"{looks[0].name} to {looks[-1].name}"
        self.dtype, self.shape = looks[0].dtype, (int(starts[-1]), *looks[0].shape[1:])
        self.classes = looks[0].classes  #: their names, where they are known

    @property
    def header(self) -> bytes:
        """Of one file that of its array."""
        return self._looks[0].header if len(self._looks) == 1 else super().header

    def place_of(self, run: int) -> str:
        """Return in words which run of which file this is."""
        [(i, own)] = parts_of(self._starts, range(run, run + 1))
        return f"{self._looks[i].name}: run {own.start}"

    def read(self, rows: range) -> Array:
        """Return a copy of some rows, of one file or several."""
        blocks = []
        for i, own in parts_of(self._starts, rows):
            array, look = self._files.contents(i).arrays.get(self._key), self._looks[i]
            if array is None or (array.dtype, array.shape) != (look.dtype, look.shape):
                raise DataError(f"{look.name} changed while it was imported. Wait until nobody writes it.")
            blocks.append(array.read(own))
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


class Twins:
    """Looks for files with the same runs: a copy under another name would count twice."""

    def __init__(self, runs: JoinedRuns) -> None:
        self._runs = runs
        self._digests = [hashlib.sha256() for _ in runs.paths] if len(runs.paths) > 1 else []

    def note(self, rows: range, block: Array) -> None:
        """Take a block of all files, in order."""
        if self._digests:
            for i, own in parts_of(self._runs.starts, rows):
                first = int(self._runs.starts[i]) + own.start
                here = slice(first - rows.start, first - rows.start + len(own))
                self._digests[i].update(block[here].view(np.uint8).data)
                if self._runs.of_runs.seeds is not None:
                    seeds = self._runs.of_runs.seeds[first : first + len(own)]
                    self._digests[i].update(repr(seeds).encode())

    def refuse(self) -> None:
        """Raise DataError when two of the files have the same predictions, and no seeds that differ."""
        first: dict[bytes, Path] = {}
        for path, digest in zip(self._runs.paths, self._digests, strict=False):
            other = first.setdefault(digest.digest(), path)
            if other is not path:
                raise DataError(
                    f"{other} and {path} hold the same predictions, bit for bit: one of them would count "
                    "twice. Leave one out. If they are of different runs, write one array of all runs, and "
                    "import that."
                )


def _of_all(of_files: Iterable[Sequence[T] | None]) -> list[T] | None:
    """Return what is said of the runs of all files one after the other, or None where a file says nothing."""
    found: list[T] = []
    for of_file in of_files:
        if of_file is None:
            return None
        found += of_file
    return found


def parts_of(starts: npt.NDArray[np.int64], rows: range) -> Iterator[tuple[int, range]]:
    """Yield which file some runs are in, and which of its own runs they are."""
    at = rows.start
    while at < rows.stop:
        i = int(np.searchsorted(starts, at, side="right")) - 1
        stop = min(rows.stop, int(starts[i + 1]))
        yield i, range(at - int(starts[i]), stop - int(starts[i]))
        at = stop
