"""MRPC: do two sentences mean the same? From the tab-separated files that GLUE has; no torch.

Source: Dolan and Brockett, 2005; files as of gluebenchmark.com and dl.fbaipublicfiles.com/senteval.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from airbench_var.errors import DataError

CLASSES = ("different", "paraphrase")
COLUMNS = ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String")
#: Of each split, the files that may hold it.
TRAIN = ("train.tsv",)
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
    def fingerprint(self) -> dict[str, dict[str, str | int]]:
        """What a store holds fixed of the data, by split."""
        return {"train": self.train.fingerprint} | {n: one.fingerprint for n, one in self.tests.items()}


def load(folder: Path) -> PairData:
    """Read MRPC from a folder; raises DataError that names the file, the line, and what is wrong."""
    return PairData(
        name="mrpc",
        title="MRPC",
        source=str(folder),
        classes=CLASSES,
        train=read_pairs(_found(folder, TRAIN)),
        tests={name: read_pairs(_found(folder, files)) for name, files in TEST_SETS.items()},
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
