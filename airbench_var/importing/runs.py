"""Bring the runs of a file into a store: one pass to check it, and one that commits.

The first pass reads all of the file and writes nothing: its sha256 is part of what the store is of, and what
is bad in its middle must not leave half a store. The second reads only the blocks that hold an open run, so
that the same command goes on where it was killed, or does nothing. It knows a block again by its checksum:
a file that changes in between, because somebody is still writing it, is not what the store says.
"""

import hashlib
import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from airbench_var import machine
from airbench_var.errors import DataError
from airbench_var.importing.kinds import CLASSES, Source, source_of
from airbench_var.importing.npy_file import Array, open_npy
from airbench_var.seeds import Seeds
from airbench_var.store import (
    Manifest,
    Outcome,
    Predictions,
    RunResult,
    RunSpec,
    StoreWriter,
    describe_test_set,
    filesystem_of,
)
from airbench_var.store.create import refuse_strangers

#: Shows how far a pass is: takes its blocks and its name, and gives the blocks back one by one.
Track = Callable[[Sequence[range], str], Iterable[range]]


@dataclass(frozen=True, kw_only=True)
class Import:
    """What is asked for: the store at `out` ends with every run of the file."""

    predictions: Path
    labels: Path
    out: Path
    test_set: str = "test"
    classes: int | None = None  #: how many there are; None for as many as the files need


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What was imported."""

    kind: str  #: "classes", "logits" or "correctness"
    dtype: str
    shape: tuple[int, ...]
    classes: int
    added: int  #: runs, by this call; the others were there


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """What the first pass found in a file in which nothing is bad."""

    sha256: str  #: of the whole file
    crcs: Mapping[range, int]  #: of each block
    classes: int


def import_runs(wanted: Import, track: Track = lambda blocks, _: blocks) -> Imported:
    """Commit the runs of a file that the store does not have yet.

    The predicted class is that of the first largest logit; infinite logits have an order, NaN has none.
    Imported runs have no seeds (0), no loss and no time (NaN), and none of them counts as diverged.

    Raises: DataError when a file is not what it should be; UsageError for an impossible number of classes;
    StoreRefusedError for a store of something else; StorageError when the disk fails. The first three leave
    everything as it was, except that runs stay that were committed before the file changed or failed under
    the second pass.
    """
    refuse_strangers(wanted.out)
    with open_npy(wanted.predictions) as file:
        source = source_of(file, wanted.labels, wanted.classes)
        _refuse_test_set(wanted.test_set, source)
        checked = _check(source, track)
        added = _commit(wanted, source, checked, track)
    return Imported(
        kind=source.kind.name, dtype=file.dtype.name, shape=file.shape, classes=checked.classes, added=added
    )


def _refuse_test_set(name: str, source: Source) -> None:
    """Raise StoreRefusedError for a name that no test set can have, before gigabytes are read."""
    test_set = describe_test_set(name, source.labels_N, ("0",))
    Manifest.new({"test_sets": [test_set], "columns": source.kind.columns}, {})


def _check(source: Source, track: Track) -> _Checked:
    """Read all of the file once; raises DataError at the first value that cannot be."""
    file, largest = source.file, int(source.labels_N.max())
    crcs: dict[range, int] = {}
    sha256 = hashlib.sha256(file.header)
    for rows in track(file.blocks, "checking"):
        block = file.read(rows)
        sha256.update(_bytes(block))
        crcs[rows] = _crc(block)
        source.refuse_bad(rows.start, block)
        if source.kind is CLASSES:
            largest = max(largest, int(block.max()))
    classes = source.limit.classes if source.limit.exact else 1 + largest
    return _Checked(sha256=sha256.hexdigest(), crcs=crcs, classes=classes)


def _commit(wanted: Import, source: Source, checked: _Checked, track: Track) -> int:
    """Commit the open runs block by block, and return how many there were."""
    provenance = _provenance(wanted)
    with StoreWriter.open(
        wanted.out,
        identity=_identity(wanted.test_set, source, checked),
        labels={wanted.test_set: source.labels_N},
        provenance=provenance,
        capacity=source.runs,
    ) as writer:
        is_open_R = np.zeros(source.runs, np.bool_)
        is_open_R[writer.open_ids(source.runs)] = True
        added = int(np.count_nonzero(is_open_R))
        if added:
            writer.event("start", runs=source.runs, committed=source.runs - added, **provenance)
            work = [rows for rows in checked.crcs if is_open_R[rows.start : rows.stop].any()]
            for rows in track(work, "importing"):
                block = source.file.read(rows)
                _refuse_change(source, rows, block, checked)
                runs = zip(rows, source.predictions(block), strict=True)
                writer.commit(
                    [_outcome(run_id, wanted.test_set, kept) for run_id, kept in runs if is_open_R[run_id]]
                )
            writer.event("stop", committed=writer.committed_count, signal=None)
    return added


def _identity(test_set: str, source: Source, checked: _Checked) -> dict[str, Any]:
    """Return what must match when the store is opened again, as JSON values."""
    names = tuple(map(str, range(checked.classes)))
    return {
        "imported": {
            "kind": source.kind.name,
            "dtype": source.file.dtype.str,
            "shape": list(source.file.shape),
            "sha256": checked.sha256,
        },
        "test_sets": [describe_test_set(test_set, source.labels_N, names)],
        "columns": source.kind.columns,
    }


def _provenance(wanted: Import) -> dict[str, Any]:
    """Return where the runs come from, for people; never compared."""
    return {
        "imported_from": wanted.predictions.name,
        "labels_from": wanted.labels.name,
        "filesystem": filesystem_of(wanted.out),
        **machine.origin("airbench_var", "numpy"),
    }


def _outcome(run_id: int, test_set: str, kept: Predictions) -> Outcome:
    return Outcome(
        spec=RunSpec(run_id=run_id, seeds=Seeds(init=0, order=0, aug=0)),
        worker=0,
        result=RunResult(predictions={test_set: kept}, loss=math.nan, diverged=False, train_s=math.nan),
    )


def _refuse_change(source: Source, rows: range, block: Array, checked: _Checked) -> None:
    if _crc(block) != checked.crcs[rows]:
        raise DataError(
            f"{source.file.path} changed while it was imported: runs {rows.start} to {rows.stop - 1} are not "
            "what they were. What is committed is of the file as it was. Wait until nobody writes the file, "
            "and import it to a new folder with --out."
        )


def _crc(block: Array) -> int:
    return zlib.crc32(_bytes(block))


def _bytes(block: Array) -> memoryview:
    return block.view(np.uint8).data
