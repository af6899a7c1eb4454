"""Ways to keep runs in files, batch by batch: the store's, what plain scripts do, and one write."""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Self

import numpy as np
import torch

from airbench_var.seeds import Seeds
from airbench_var.store import (
    Manifest,
    Outcome,
    Predictions,
    RunResult,
    RunSpec,
    Store,
    StoreWriter,
    describe_test_set,
)
from airbench_var.store.disk import sync_folder
from airbench_var.store.records import Bytes, row_layouts
from bench.schema import Result

TEST_SET, COLUMNS = "test", ("correct", "predicted")
CLASSES = tuple("abcdefghij")

#: Batches a folder has room for; then another is made, untimed.
BATCHES = 64


@dataclass(frozen=True)
class FakeRuns:
    """A batch of runs that are right nine times in ten; it is kept again and again under new ids."""

    labels_N: Bytes
    correct_Rb: Bytes  #: packed bits
    predicted_RN: Bytes

    @classmethod
    def draw(cls, n: int, count: int) -> Self:
        """Return the runs that follow from the two sizes."""
        return cls.of_labels(np.random.default_rng(1).integers(0, len(CLASSES), n, np.uint8), count)

    @classmethod
    def of_labels(cls, labels_N: Bytes, count: int) -> Self:
        """Return the runs that follow from labels and their number."""
        wrong_RN = np.random.default_rng(0).random((count, len(labels_N))) < 0.1
        predicted_RN = np.where(wrong_RN, (labels_N + 1) % len(CLASSES), labels_N).astype(np.uint8)
        return cls(labels_N, np.packbits(~wrong_RN, axis=1, bitorder="little"), predicted_RN)

    @property
    def count(self) -> int:
        """Runs in the batch."""
        return len(self.predicted_RN)

    @property
    def row_bytes(self) -> int:
        """The bytes of one run in a store: its predictions and its record."""
        return sum(layout.row_bytes for layout in row_layouts(Manifest.new(self._identity, {})))

    @property
    def _identity(self) -> dict[str, object]:
        return {"test_sets": [describe_test_set(TEST_SET, self.labels_N, CLASSES)], "columns": COLUMNS}

    def open_writer(self, store: Path, capacity: int) -> StoreWriter:
        """Make or reopen a store of such runs."""
        return StoreWriter.open(
            store,
            identity=self._identity,
            labels={TEST_SET: self.labels_N},
            provenance={},
            capacity=capacity,
        )

    def outcomes(self, run_ids: Sequence[int], test_set: str = TEST_SET) -> list[Outcome]:
        """Return what an executor would hand over for these ids, at most as many as there are runs."""
        predictions = map(
            lambda c, p: Predictions(correct=c, predicted=p), self.correct_Rb, self.predicted_RN
        )
        return [
            Outcome(
                spec=RunSpec(run_id=i, seeds=Seeds(init=i, order=i, aug=i)),
                worker=0,
                result=RunResult(predictions={test_set: rows}, loss=0.5, diverged=False, train_s=1.0),
            )
            for i, rows in zip(run_ids, predictions, strict=False)
        ]

    def batches(self, run_ids: Sequence[int]) -> Iterator[Sequence[int]]:
        """Yield the ids, as many at a time as there are runs."""
        for start in range(0, len(run_ids), self.count):
            yield run_ids[start : start + self.count]


class Turn(NamedTuple):
    """One batch to be kept."""

    keep: Callable[[], object]  #: timed
    read: Callable[[], Result]  #: fetches what was kept: correct (R, ceil(n/8)), predicted (R, n)


#: In a new folder, batch after batch until there is no more room.
Way = Callable[[Path, FakeRuns], Iterator[Turn]]


class Turns:
    """A variant that keeps another batch at every call, in another folder when one is full."""

    def __init__(self, way: Way, parent: Path, runs: FakeRuns) -> None:
        self._turns = self._of(way, parent, runs)

    def prepare(self) -> None:
        """Get the next batch ready."""
        self._turn = next(self._turns)

    def __call__(self) -> Callable[[], Result]:
        """Keep the batch; return what reads it back."""
        self._turn.keep()
        return self._turn.read

    def close(self) -> None:
        """Remove the folder."""
        self._turns.close()

    @staticmethod
    def _of(way: Way, parent: Path, runs: FakeRuns) -> Generator[Turn, None, None]:
        while True:
            with TemporaryDirectory(dir=parent) as folder:
                yield from way(Path(folder), runs)


def by_store(folder: Path, runs: FakeRuns) -> Iterator[Turn]:
    """Commit to a store."""
    room = range(BATCHES * runs.count)
    with runs.open_writer(folder / "store", len(room)) as writer:
        for ids in runs.batches(room):
            yield Turn(partial(writer.commit, runs.outcomes(ids)), partial(read_rows, writer.store, ids))


def read_rows(store: Store, run_ids: Sequence[int]) -> Result:
    """Return the verified rows of committed runs, a part for each column."""
    columns = (store.blocks(TEST_SET, run_ids, column=column) for column in COLUMNS)
    return tuple(torch.from_numpy(np.concatenate([block.rows_Rb for block in blocks])) for blocks in columns)


def by_npz(folder: Path, runs: FakeRuns) -> Iterator[Turn]:
    """Save a file per run, each synced and its name too."""
    for ids in runs.batches(range(BATCHES * runs.count)):
        files = [folder / f"{run_id}.npz" for run_id in ids]
        yield Turn(partial(_save_npz, files, runs), partial(_load_npz, files))


def _save_npz(files: Sequence[Path], runs: FakeRuns) -> None:
    for path, correct_b, predicted_N in zip(files, runs.correct_Rb, runs.predicted_RN, strict=True):
        with path.open("wb") as file:
            np.savez(file, correct=correct_b, predicted=predicted_N)
            file.flush()
            os.fsync(file.fileno())
    sync_folder(files[0].parent)


def _load_npz(files: Sequence[Path]) -> Result:
    rows = [np.load(path) for path in files]
    return tuple(torch.from_numpy(np.stack([row[column] for row in rows])) for column in COLUMNS)


def by_memmap(folder: Path, runs: FakeRuns) -> Iterator[Turn]:
    """Write into mapped matrices and flush them: no checksum, no order, no record of what is there."""
    room = range(BATCHES * runs.count)
    batch = {folder / "correct.npy": runs.correct_Rb, folder / "predicted.npy": runs.predicted_RN}
    maps = [
        np.lib.format.open_memmap(path, "w+", np.uint8, (len(room), rows.shape[1]))
        for path, rows in batch.items()
    ]
    for ids in runs.batches(room):
        part = slice(ids[0], ids[-1] + 1)
        yield Turn(partial(_flush, maps, part, list(batch.values())), partial(load_rows, list(batch), part))


def _flush(maps: Sequence[np.memmap], part: slice, batch: Sequence[Bytes]) -> None:
    for matrix, rows in zip(maps, batch, strict=True):
        matrix[part] = rows
    for matrix in maps:
        matrix.flush()


def load_rows(files: Sequence[Path], rows: slice | Sequence[int]) -> Result:
    """Return rows of matrices as NumPy alone finds them."""
    return tuple(torch.from_numpy(np.array(np.load(path, mmap_mode="r")[rows])) for path in files)


def by_one_write(folder: Path, runs: FakeRuns) -> Iterator[Turn]:
    """Write as many bytes as the store does, in one piece, to space reserved before, and sync once."""
    data = np.random.default_rng(0).bytes(runs.count * runs.row_bytes)
    with (folder / "file").open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, BATCHES * len(data))
        os.fsync(file.fileno())
        for i in range(BATCHES):
            yield Turn(partial(_write, file.fileno(), data, i * len(data)), tuple)


def _write(fd: int, data: bytes, offset: int) -> None:
    if os.pwrite(fd, data, offset) < len(data):
        raise OSError("the disk took only a part of the bytes")
    os.fdatasync(fd)
