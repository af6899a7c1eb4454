"""MRPC: do two sentences mean the same? From the tab-separated files of GLUE, or from the Hub; no torch.

Source: Dolan and Brockett, 2005; files as of gluebenchmark.com and dl.fbaipublicfiles.com/senteval, or the
data set nyu-mll/glue of the Hugging Face Hub.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from airbench_var.cache import user_cache
from airbench_var.data.cifar10 import ENVIRONMENT
from airbench_var.errors import DataError

CLASSES = ("different", "paraphrase")
COLUMNS = ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String")
#: Of each split, the files that may hold it.
TRAIN = ("train.tsv",)
FOLDER = "mrpc"  #: in which they lie, beside other data
TEST_SETS: Mapping[str, tuple[str, ...]] = {
    "mrpc-validation": ("dev.tsv",),
    "mrpc-test": ("msr_paraphrase_test.txt", "test.tsv"),
}


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Labelled pairs of sentences: N of each, and labels_N uint8 (N,)."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    labels_N: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels_N)

    def head(self, n: int) -> "Pairs":
        """Return the first n pairs, or all when there are fewer."""
        return Pairs(first=self.first[:n], second=self.second[:n], labels_N=self.labels_N[:n])

    @cached_property
    def fingerprint(self) -> dict[str, str | int]:
        """Number of pairs, the sha256 of their sentences (a line each, UTF-8), and that of the labels."""
        text = "".join(f"{a}\t{b}\n" for a, b in zip(self.first, self.second, strict=True))
        return {
            "n": len(self),
            "text_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "labels_sha256": hashlib.sha256(self.labels_N.tobytes()).hexdigest(),
        }


@dataclass(frozen=True, kw_only=True)
class PairData:
    """Pairs to train on, and the test sets of every run, by name."""

    name: str
    title: str  #: for people
    source: str  #: where it came from, for people
    classes: tuple[str, ...]
    train: Pairs
    tests: Mapping[str, Pairs]

    @property
    def test_set_names(self) -> tuple[str, ...]:
        """The names of the test sets."""
        return tuple(self.tests)

    @property
    def fingerprint(self) -> dict[str, dict[str, str | int]]:
        """What a store holds fixed of the data, by split."""
        return {"train": self.train.fingerprint} | {n: one.fingerprint for n, one in self.tests.items()}


#: The same on the Hub, where the test set has its labels too.
ON_THE_HUB, CONFIGURATION = "nyu-mll/glue", "mrpc"
HUB_SPLITS: Mapping[str, str] = {"mrpc-validation": "validation", "mrpc-test": "test"}
_ADVICE = "Name the folder with --data-dir."


def load(data_dir: Path | None = None, *, download: bool = True) -> PairData:
    """Return MRPC from where `find` finds it, otherwise from the Hub.

    Raises: DataError that names the file, the line, and what is wrong, or says that there is none.
    """
    folder = find(data_dir)
    if folder is None:
        nowhere = f"no MRPC in ${ENVIRONMENT} or {user_cache()}"
        if not download:
            raise DataError(f"{nowhere}. {_ADVICE}")
        return _from_the_hub(nowhere)
    return _mrpc(
        str(folder),
        read_pairs(_found(folder, TRAIN)),
        {name: read_pairs(_found(folder, files)) for name, files in TEST_SETS.items()},
    )


def find(data_dir: Path | None = None) -> Path | None:
    """Return the folder of the files: data_dir or `mrpc` in it, else in $AIRBENCH_VAR_DATA or the user cache.

    A data_dir that was named is the only place looked at.
    """
    if data_dir is not None:
        return _folder_in(data_dir) or data_dir  # where files are missed by name
    named = os.environ.get(ENVIRONMENT)
    return (_folder_in(Path(named)) if named else None) or _folder_in(user_cache())


def _folder_in(place: Path) -> Path | None:
    folders = (place, place / FOLDER)
    return next((folder for folder in folders if any((folder / name).is_file() for name in TRAIN)), None)


def _mrpc(source: str, train: Pairs, tests: Mapping[str, Pairs]) -> PairData:
    return PairData(name="mrpc", title="MRPC", source=source, classes=CLASSES, train=train, tests=tests)


def _from_the_hub(nowhere: str) -> PairData:
    try:
        import datasets  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise DataError(
            f"{nowhere}, and to take it from the Hugging Face Hub `datasets` is missing: pip install "
            f"'airbench_var[finetune]'. {_ADVICE}"
        ) from error
    try:
        splits: Any = datasets.load_dataset(ON_THE_HUB, CONFIGURATION)
    except (OSError, ValueError) as error:  # that there is no network is an OSError, as is all of requests
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"{nowhere}, and the Hugging Face Hub gave none: {reason}. {_ADVICE}") from error
    return _mrpc(
        f"{ON_THE_HUB} on the Hugging Face Hub",
        _of_split(splits["train"]),
        {name: _of_split(splits[split]) for name, split in HUB_SPLITS.items()},
    )


def _of_split(split: Any) -> Pairs:
    labels_N = np.array(split["label"], np.int64)
    if not (len(labels_N) and np.isin(labels_N, (0, 1)).all()):
        raise DataError(f"{ON_THE_HUB}, {CONFIGURATION}: labels other than 0 and 1. {_ADVICE}")
    return Pairs(
        first=tuple(split["sentence1"]), second=tuple(split["sentence2"]), labels_N=labels_N.astype(np.uint8)
    )


def _found(folder: Path, names: Iterable[str]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        f"{folder} has no {' and no '.join(names)}. MRPC is three files: train.tsv and dev.tsv as GLUE "
        "splits it, and msr_paraphrase_test.txt with the labels of the test set."
    )


def read_pairs(path: Path) -> Pairs:
    """Read one tab-separated file: a header, then label, two ids and two sentences; quotes are no quoting.

    Raises: DataError, as `load`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    header, *lines = text.split("\n")
    if tuple(header.split("\t")) != COLUMNS:
        raise DataError(
            f"{path}: its first line is {header[:80]!r}, not the header of MRPC, {', '.join(COLUMNS)}, with "
            "tabs between. (GLUE's test.tsv has no labels: take msr_paraphrase_test.txt.)"
        )
    if lines and not lines[-1]:
        lines.pop()
    rows = [line.split("\t") for line in lines]
    for number, row in enumerate(rows, 2):
        if len(row) != len(COLUMNS) or row[0] not in ("0", "1") or not (row[3].strip() and row[4].strip()):
            raise DataError(
                f"{path}, line {number}: expected 0 or 1, two ids and two sentences with tabs between, found "
                f"{lines[number - 2][:80]!r}. Take the file anew, past any spreadsheet."
            )
    if not rows:
        raise DataError(f"{path} has a header and no pair. Take the file anew.")
    return Pairs(
        first=tuple(row[3] for row in rows),
        second=tuple(row[4] for row in rows),
        labels_N=np.array([int(row[0]) for row in rows], np.uint8),
    )
