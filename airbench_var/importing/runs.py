"""Bring the runs of some files into a store: one pass to check them, and one that commits.

The first pass reads all of the arrays and writes nothing: their sha256 is part of what the store is of, and
what is bad in their middle must not leave half a store. The second reads only the blocks that hold an open
run, so that the same command goes on where it was killed, or does nothing. It knows a block again by its
checksum: a file that changes in between, because somebody is still writing it, is not what the store says.
"""

import hashlib
import math
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from airbench_var import machine
from airbench_var.errors import DataError
from airbench_var.importing.files import JoinedRuns, Twins, open_runs
from airbench_var.importing.kinds import CLASSES, CORRECTNESS
from airbench_var.importing.roles import ANY
from airbench_var.importing.rows import Array, blocks_of
from airbench_var.importing.selection import Wanted
from airbench_var.importing.sources import Source, sources_of
from airbench_var.seeds import Seeds
from airbench_var.store import (
    Manifest,
    Outcome,
    RunResult,
    RunSpec,
    StoreWriter,
    describe_test_set,
    filesystem_of,
)
from airbench_var.store.create import refuse_strangers
from airbench_var.store.rows import columns_of

T = TypeVar("T")
#: Shows how far a pass is: takes its blocks and its name, and gives the blocks back one by one.
Track = Callable[[Sequence[range], str], Iterable[range]]


@dataclass(frozen=True, kw_only=True)
class Import:
    """What is asked for: the store at `out` ends with every run of the files.

    Keys are those of the arrays in a file; "" stands for all that are not named. Naming any selects it.
    """

    predictions: Path | Sequence[Path]  #: files, or folders of files: run after run, in this order
    out: Path
    #: For all test sets, or by key; of a folder, those of its first file. None for those that the files have.
    labels: Path | Mapping[str, Path] | None = None
    test_set: str | Mapping[str, str] | None = None  #: the name of the only one, or names by key
    keys: Sequence[str] = ()  #: the arrays that become test sets
    classes: int | None = None  #: how many there are; None for as many as the files need
    #: Runs with a NaN among their logits, which counts as the largest, are diverged; else they are refused.
    keep_diverged: bool = False

    def __post_init__(self) -> None:
        """Make paths of names."""
        files, labels = self.predictions, self.labels
        paths = {
            "predictions": Path(files) if isinstance(files, str | Path) else [*map(Path, files)],
            "labels": (
                {key: Path(file) for key, file in labels.items()}
                if isinstance(labels, Mapping)
                else (None if labels is None else Path(labels))
            ),
            "out": Path(self.out),
        }
        for name, value in paths.items():
            object.__setattr__(self, name, value)


class ImportedTestSet(NamedTuple):
    """What was imported of one test set."""

    name: str
    kind: str  #: "classes", "logits" or "correctness"
    dtype: str
    shape: tuple[int, ...]
    classes: int


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What was imported."""

    files: tuple[Path, ...]
    runs: int
    added: int  #: runs, by this call; the others were there
    has_seeds: bool
    test_sets: tuple[ImportedTestSet, ...]
    accuracies: Mapping[int, float]  #: by run, as the files themselves say, of whatever


class _Checked(NamedTuple):
    """What the first pass found in files in which nothing is bad."""

    sha256: Sequence[str]  #: of the array of each test set, as a .npy file
    crcs: Mapping[range, int]  #: of each block, of all test sets
    classes: Sequence[tuple[str, ...]]  #: the names, of each test set
    columns: Sequence[str]  #: what is kept of all
    has_nan_R: npt.NDArray[np.bool_]  #: whether a logit is NaN, on any test set


def import_runs(wanted: Import, track: Track = lambda blocks, _: blocks) -> Imported:
    """Commit the runs of some files that the store does not have yet.

    The predicted class is that of the first largest logit; infinite logits have an order, NaN has none unless
    diverged runs are kept. Imported runs have the seeds that their files state, or none (0), no loss and no
    time (NaN), and count as diverged where their files say so, or where a NaN is kept.

    Raises: DataError when a file is not what it should be; UsageError for an impossible number of classes, or
    when it is not clear what is meant; DeviceError when a package is missing that reads the format;
    StoreRefusedError for a store of something else; StorageError when the disk fails. All but the last leave
    everything as it was, except that runs stay that were committed before a file changed or failed under the
    second pass.
    """
    refuse_strangers(wanted.out)
    paths = [wanted.predictions] if isinstance(wanted.predictions, Path) else list(wanted.predictions)
    with open_runs(paths) as files:
        runs, sources = sources_of(
            files, _by_key(wanted), wanted.classes, keeps_diverged=wanted.keep_diverged
        )
        _refuse_test_sets(sources)
        checked = _check(runs, sources, track)
        runs = _with_diverged(runs, checked.has_nan_R)
        added = _commit(wanted, runs, sources, checked, track)
    return Imported(
        files=tuple(runs.paths),
        runs=int(runs.starts[-1]),
        added=added,
        has_seeds=runs.of_runs.seeds is not None,
        accuracies=runs.accuracies,
        test_sets=tuple(
            ImportedTestSet(
                name=source.test_set,
                kind=source.judge.kind.name,
                dtype=source.rows.dtype.name,
                shape=source.rows.shape,
                classes=len(classes),
            )
            for source, classes in zip(sources, checked.classes, strict=True)
        ),
    )


def _by_key(wanted: Import) -> Wanted:
    return Wanted(keys=wanted.keys, labels=_each(wanted.labels), test_sets=_each(wanted.test_set))


def _each(said: T | Mapping[str, T] | None) -> Mapping[str, T]:
    """Return what was said by key, for all keys, or not at all, by key."""
    if said is None:
        return {}
    return said if isinstance(said, Mapping) else {ANY: said}


def _refuse_test_sets(sources: Sequence[Source]) -> None:
    """Raise UsageError for names that no test sets can have, before gigabytes are read."""
    test_sets = [describe_test_set(source.test_set, source.judge.labels_N, ("0",)) for source in sources]
    Manifest.new({"test_sets": test_sets, "columns": ["correct"]}, {})


def _check(runs: JoinedRuns, sources: Sequence[Source], track: Track) -> _Checked:
    """Read all of the arrays once; raises DataError at the first value that cannot be."""
    largest = [int(source.judge.labels_N.max()) for source in sources]
    crcs: dict[range, int] = {}
    sha256 = [hashlib.sha256(source.rows.header) for source in sources]
    twins = Twins(runs)
    has_nan_R = np.zeros(int(runs.starts[-1]), np.bool_)
    row_bytes = sum(source.rows.row_bytes for source in sources)
    for rows in track(blocks_of(int(runs.starts[-1]), row_bytes), "checking"):
        crcs[rows] = 0
        for t, source in enumerate(sources):
            block = source.rows.read(rows)
            sha256[t].update(_bytes(block))
            crcs[rows] = zlib.crc32(_bytes(block), crcs[rows])
            source.refuse_bad(rows, block)
            has_nan_R[rows.start : rows.stop] |= source.judge.diverged(block)
            if source.judge.kind is CLASSES:
                largest[t] = max(largest[t], int(block.max()))
            if t == 0:
                twins.note(rows, block)
    twins.refuse()
    classes = [source.judge.classes(most) for source, most in zip(sources, largest, strict=True)]
    return _Checked(
        sha256=[digest.hexdigest() for digest in sha256],
        crcs=crcs,
        classes=classes,
        columns=["correct"] if sources[0].judge.kind is CORRECTNESS else columns_of(max(map(len, classes))),
        has_nan_R=has_nan_R,
    )


def _with_diverged(runs: JoinedRuns, has_nan_R: npt.NDArray[np.bool_]) -> JoinedRuns:
    """Return the runs of which those with a NaN diverged, besides those of which the files say so."""
    if not has_nan_R.any():
        return runs
    said = runs.of_runs.diverged
    diverged = has_nan_R if said is None else has_nan_R | np.array(said, np.bool_)
    return runs._replace(of_runs=runs.of_runs._replace(diverged=diverged.tolist()))


def _commit(
    wanted: Import, runs: JoinedRuns, sources: Sequence[Source], checked: _Checked, track: Track
) -> int:
    """Commit the open runs block by block, and return how many there were."""
    provenance = _provenance(wanted, runs, sources)
    count = int(runs.starts[-1])
    with StoreWriter.open(
        wanted.out,
        identity=_identity(runs, sources, checked),
        labels={source.test_set: source.judge.labels_N for source in sources},
        provenance=provenance,
        capacity=count,
    ) as writer:
        is_open_R = np.zeros(count, np.bool_)
        is_open_R[writer.open_ids(count)] = True
        added = int(np.count_nonzero(is_open_R))
        if added:
            writer.event("start", runs=count, committed=count - added, **provenance)
            work = [rows for rows in checked.crcs if is_open_R[rows.start : rows.stop].any()]
            for rows in track(work, "importing"):
                blocks = [source.rows.read(rows) for source in sources]
                _refuse_change(sources, rows, blocks, checked)
                outcomes = _outcomes(runs, sources, rows, blocks, checked.columns)
                writer.commit([outcome for outcome in outcomes if is_open_R[outcome.spec.run_id]])
            writer.event("stop", committed=writer.committed_count, signal=None)
    return added


def _identity(runs: JoinedRuns, sources: Sequence[Source], checked: _Checked) -> dict[str, Any]:
    """Return what must match when the store is opened again, as JSON values."""
    arrays = [
        {
            "kind": source.judge.kind.name,
            "dtype": source.rows.dtype.str,
            "shape": list(source.rows.shape),
            "sha256": sha256,
        }
        for source, sha256 in zip(sources, checked.sha256, strict=True)
    ]
    imported: dict[str, Any] = dict(arrays[0])
    if len(sources) > 1:
        further = zip(sources[1:], arrays[1:], strict=True)
        imported["further"] = {source.test_set: array for source, array in further}
    if runs.of_runs.seeds is not None:
        of_all = np.array([[seeds.init, seeds.order, seeds.aug] for seeds in runs.of_runs.seeds], "<u8")
        imported["seeds_sha256"] = hashlib.sha256(of_all.tobytes()).hexdigest()
    if any(diverged := runs.of_runs.diverged or ()):
        imported["diverged_sha256"] = hashlib.sha256(bytes(diverged)).hexdigest()
    return {
        "imported": imported,
        "test_sets": [
            describe_test_set(source.test_set, source.judge.labels_N, classes)
            for source, classes in zip(sources, checked.classes, strict=True)
        ],
        "columns": checked.columns,
    }


def _provenance(wanted: Import, runs: JoinedRuns, sources: Sequence[Source]) -> dict[str, Any]:
    """Return where the runs come from, for people; never compared."""
    names, counts = [path.name for path in runs.paths], np.diff(runs.starts).tolist()
    many = len(names) > 1
    # A store is sent on, in reports too: the way to the folder of all files is left out.
    paths = [Path(os.path.normpath(path.absolute())) for path in runs.paths]  # without .. as it was typed
    folder = os.path.commonpath([path.parent for path in paths])
    files = [os.path.relpath(path, folder) for path in paths]
    return {
        "imported_from": f"{len(names):,} files, {names[0]} to {names[-1]}" if many else names[0],
        # Which runs are of which file: they are numbered through, in this order.
        **({"imported_files": [[file, n] for file, n in zip(files, counts, strict=True)]} if many else {}),
        "labels_from": ", ".join(dict.fromkeys(source.labels_from.name for source in sources)),
        "filesystem": filesystem_of(wanted.out),
        **machine.origin("airbench_var", "numpy"),
    }


def _outcomes(
    runs: JoinedRuns,
    sources: Sequence[Source],
    rows: range,
    blocks: Sequence[Array],
    columns: Sequence[str],
) -> Iterable[Outcome]:
    kept = [source.judge.predictions(block, columns) for source, block in zip(sources, blocks, strict=True)]
    of_runs = runs.of_runs
    for run_id, of_run in zip(rows, zip(*kept, strict=True), strict=True):
        predictions = {source.test_set: one for source, one in zip(sources, of_run, strict=True)}
        seeds = Seeds(init=0, order=0, aug=0) if of_runs.seeds is None else of_runs.seeds[run_id]
        diverged = of_runs.diverged is not None and of_runs.diverged[run_id]
        yield Outcome(
            spec=RunSpec(run_id=run_id, seeds=seeds),
            worker=0,
            result=RunResult(predictions=predictions, loss=math.nan, diverged=diverged, train_s=math.nan),
        )


def _refuse_change(
    sources: Sequence[Source], rows: range, blocks: Sequence[Array], checked: _Checked
) -> None:
    crc = 0
    for block in blocks:
        crc = zlib.crc32(_bytes(block), crc)
    if crc != checked.crcs[rows]:
        raise DataError(
            f"{sources[0].rows.name} changed while it was imported: runs {rows.start} to {rows.stop - 1} "
            "are not what they were. What is committed is of the file as it was. Wait until nobody writes "
            "the file, and import it to a new folder with --out."
        )


def _bytes(block: Array) -> memoryview:
    return block.view(np.uint8).data
