"""Which module opens which file: by the end of its name, or, for a folder, by what is in it."""

import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from airbench_var.errors import DataError, UsageError
from airbench_var.importing.csv_file import open_csv
from airbench_var.importing.json_file import open_json
from airbench_var.importing.npy_file import open_npy
from airbench_var.importing.npz_file import open_npz
from airbench_var.importing.parquet_file import open_parquet
from airbench_var.importing.pickle_file import open_pickle
from airbench_var.importing.rows import Bits, Contents, OfRuns, Rows, TwoClasses, reading
from airbench_var.importing.tables import LABEL, VALUES, role_of_key
from airbench_var.importing.torch_file import open_torch

#: None of these loads what it needs (torch, pyarrow) before it is called.
OPENERS: Mapping[str, Callable[[Path], AbstractContextManager[Contents]]] = {
    ".npy": open_npy,
    ".npz": open_npz,
    ".pt": open_torch,
    ".pth": open_torch,
    ".pkl": open_pickle,
    ".pickle": open_pickle,
    ".json": open_json,
    ".csv": open_csv,
    ".parquet": open_parquet,
}
_TEXT = (
    "As a table with commas and a .csv name it can be read: pandas.read_csv(PATH, sep=None, engine='python', "
    "header=None).to_csv(NEW, index=False, header=False), without header=None where its first line names the "
    "columns. Of numpy.savetxt: numpy.save(NEW, numpy.loadtxt(PATH).astype(int))."
)
#: What to do about files that people have, and that are not read.
_ADVICE: Mapping[str, str] = {
    ".txt": _TEXT,
    ".tsv": _TEXT,
    ".dat": _TEXT,
    ".jsonl": "Write one array with one array a run: json.dump([run for run in RUNS], file), as .json.",
}
#: What `export --format hf` writes: a folder a test set, with these files.
RUNS_FILE, LABELS_FILE = "runs.parquet", "labels.parquet"


@contextmanager
def open_file(path: Path) -> Iterator[Contents]:
    """Yield what a file holds, or a folder of test sets; raises DataError when it cannot be read."""
    with reading(path):
        mode = path.stat().st_mode
    if stat.S_ISDIR(mode) and test_sets_in(path):
        with _open_test_sets(path) as contents:
            yield contents
        return
    if not stat.S_ISREG(mode):  # it is read twice, and a pipe might never be opened
        raise DataError(f"{path} is not a file. Give the path of a file: {', '.join(OPENERS)}.")
    opener = OPENERS.get(path.suffix.lower())
    if opener is None:
        advice = _ADVICE.get(path.suffix.lower(), "Give it such a name, or write its array with numpy.save.")
        raise DataError(
            f"{path}: what is in it does not follow from its name, which ends in none of "
            f"{', '.join(OPENERS)}. {advice}"
        )
    with opener(path) as contents:
        yield replace(contents, arrays=_of_their_names(contents.arrays))


def _of_their_names(arrays: Mapping[str, Rows]) -> dict[str, Rows]:
    """Return arrays as their names say: 0 and 1 that are called correct as booleans, labels as classes.

    Booleans that are called predictions are classes where the labels beside them are such.
    """
    predicted, correct = VALUES
    roles = {key: role_of_key(key) for key in arrays}
    of_two = [key for key, rows in arrays.items() if rows.dtype.kind == "b"]
    has_two = any(roles[key] == LABEL for key in of_two)
    found = dict(arrays)
    for key, rows in arrays.items():
        if key in of_two and (roles[key] == LABEL or (has_two and roles[key] == predicted)):
            found[key] = TwoClasses(rows)
        is_numbers = rows.dtype.kind in "iu" and len(rows.shape) in (1, 2)
        if roles[key] == correct and is_numbers and Bits.can_be(rows.read(rows.blocks[0])):
            found[key] = Bits(rows)
    return found


def files_of(paths: Sequence[Path]) -> list[Path]:
    """Return the files that are meant, run after run: those given, in their order; of a folder, all.

    Those of a folder are in the order of their paths, in which numbers count as such: run_2 before run_10.

    Raises: DataError for a folder without predictions or of several formats, or a file that is given twice;
    UsageError for no path at all.
    """
    if not paths:
        raise UsageError("no file is given to import. Give files of predictions, or a folder of them.")
    found = [file for path in paths for file in ([path] if not path.is_dir() else _files_in(path))]
    seen: dict[Path, Path] = {}
    for file in found:
        if (real := file.resolve()) in seen:
            raise DataError(f"{file} is given twice; its runs would count twice. Leave one out.")
        seen[real] = file
    return found


def test_sets_in(folder: Path) -> dict[str, Path]:
    """Return the folders of test sets, by name, in a folder as `export --format hf` writes it."""
    with reading(folder):
        return {path.parent.name: path.parent for path in sorted(folder.glob(f"*/{RUNS_FILE}"))}


def _files_in(folder: Path) -> list[Path]:
    if test_sets_in(folder):
        return [folder]
    with reading(folder):
        files = sorted(
            (path for path in folder.rglob("*") if path.suffix.lower() in OPENERS and path.is_file()),
            key=_as_counted,
        )
        arrow = next(folder.rglob("*.arrow"), None)
    if arrow is not None:
        raise DataError(
            f"{folder} is a data set as datasets.save_to_disk writes it ({arrow.name}), which is not read. "
            "Write it by dataset.to_parquet(FILE), with a list a run in the column predicted."
        )
    suffixes = sorted({path.suffix.lower() for path in files})
    if len(suffixes) != 1:
        counts = ", ".join(f"{sum(p.suffix.lower() == s for p in files):,} {s}" for s in suffixes)
        raise DataError(
            f"{folder} has {counts or 'no files that can be read'}; a folder has files of one format, each "
            f"with runs of its own: {', '.join(OPENERS)}. Give the files themselves."
        )
    return files


def _as_counted(path: Path) -> tuple[list[list[str | int]], Path]:
    """Return what sorts paths by the numbers in them, and by themselves where those are equal (1 and 01)."""
    parts = [re.split("([0-9]+)", part) for part in path.with_suffix("").parts]
    return [[int(piece) if i % 2 else piece for i, piece in enumerate(pieces)] for pieces in parts], path


@contextmanager
def _open_test_sets(folder: Path) -> Iterator[Contents]:
    """Yield the runs of every test set under its name, its labels under NAME/labels."""
    arrays: dict[str, Rows] = {}
    classes: dict[str, tuple[str, ...]] = {}
    of_runs: dict[str, OfRuns] = {}
    with ExitStack() as opened:
        for name, inside in test_sets_in(folder).items():
            contents = opened.enter_context(open_parquet(inside / RUNS_FILE))
            for key, rows in contents.arrays.items():
                full = name if len(contents.arrays) == 1 else f"{name}/{key}"
                arrays[full], classes[full] = rows, contents.classes.get(key, ())
            of_runs[name] = contents.of_runs
            if (inside / LABELS_FILE).exists():
                labels = opened.enter_context(open_parquet(inside / LABELS_FILE))
                arrays |= {f"{name}/{key}": rows for key, rows in labels.arrays.items()}
        (first, said), *others = of_runs.items()
        for other, says in others:
            differ = [what for what, a, b in zip(OfRuns._fields, said, says, strict=True) if a != b]
            if differ:
                raise DataError(
                    f"{folder}: the test sets {first} and {other} are not of the same runs: the columns of "
                    f"{', '.join(differ)} differ. Import each on its own."
                )
        yield Contents(arrays=arrays, keys_are_test_sets=True, of_runs=said, classes=classes)
