"""Join stores of one campaign, byte for byte: one pass to check all of them, and one that commits.

The first pass reads every committed run and writes nothing: damage, or a run that two stores have with other
bytes, must not leave half a merge. The second reads only the runs that the store at the end does not have
yet, so that the same command goes on where it was killed, adds what has been trained since, or does nothing.
Both take the runs that were committed when the stores were opened; these may go on being written.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from airbench_var.errors import StoreRefusedError, UsageError
from airbench_var.store.create import has_manifest, refuse_strangers
from airbench_var.store.filesystem import filesystem_of
from airbench_var.store.manifest import SEEDS, Manifest, differences
from airbench_var.store.reader import Rows, Store
from airbench_var.store.records import COMMITTED, FAILED, RunIds
from airbench_var.store.writer import StoreWriter

#: About how much is read, compared or committed at a time; but no more than so many runs.
BLOCK_BYTES, BLOCK_RUNS = 1 << 24, 4096


class Piece(NamedTuple):
    """Some runs of one store, to be read at a time."""

    part: int  #: which store, in the order of priority
    run_ids: RunIds  #: (R,), ascending
    state: int = COMMITTED  #: of all of them; or FAILED


#: Shows how far a pass is: takes its pieces and its name, and gives the pieces back one by one.
Track = Callable[[Sequence[Piece], str], Iterable[Piece]]


@dataclass(frozen=True, kw_only=True)
class Source:
    """One of the stores that were merged, as it was found."""

    path: Path
    uuid: str
    shard: str | None
    committed: int
    failed: int
    added: int  #: runs, committed or failed, that this merge took from it

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON values."""
        return {**vars(self), "path": str(self.path)}


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What the store at `out` holds of its campaign after a merge."""

    out: Path
    runs: int  #: that the largest of the stores has room for
    committed: int
    failed: int
    open: tuple[range, ...]  #: the ids of the others, ascending
    sources: tuple[Source, ...]
    notes: tuple[str, ...]  #: what is not the same in all sources and may change bits

    @property
    def open_count(self) -> int:
        """Number of runs that are neither committed nor failed."""
        return sum(map(len, self.open))

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON values."""
        return {
            "store": str(self.out),
            "runs": self.runs,
            "committed": self.committed,
            "failed": self.failed,
            "open": self.open_count,
            "open_runs": [{"first": ids[0], "last": ids[-1], "step": ids.step} for ids in self.open],
            "added": sum(source.added for source in self.sources),
            "sources": [source.to_json() for source in self.sources],
            "notes": list(self.notes),
        }


def merge(
    sources: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    track: Track = lambda pieces, _: pieces,
) -> Merged:
    """Bring all runs of some stores of one campaign into the store at `out`, made or gone on with.

    A committed run keeps every byte of predictions and record, except for the checksum, which covers the uuid
    of its store. Of a run that several stores have, `out` keeps the one it has, or gets that of the first;
    payload and seeds are the same. A run that failed in one store and is committed in another is committed.

    Raises: UsageError when there is no such store, or `out` is one of them; StoreRefusedError when they are
    not of one campaign, disagree on a run, or `out` is something else or in use; StoreDamagedError that names
    file and run; in all of these cases nothing was written. StorageError when the disk fails.
    """
    out = Path(out)
    stores = [Store.open(source) for source in sources]
    refuse_strangers(out)
    for store in stores:
        if out.resolve().is_relative_to(store.path.resolve()):
            raise UsageError(
                f"--out {out} is {store.path}, one of the stores to be merged, or lies in it. Nothing was "
                "written. Choose another folder."
            )
        _refuse_other_campaign(stores[0].path, stores[0].manifest, store.path, store.manifest)
    before = [_reopened(out, stores[0])] if has_manifest(out) else []
    plan = _Plan([*before, *stores], len(before))
    plan.check(track)
    added = plan.work()
    if added or not before or before[0].capacity < plan.runs:
        _commit(out, plan, added, track)
    is_open_R = (plan.committed_in_R < 0) & (plan.failed_in_R < 0)
    return Merged(
        out=out,
        runs=plan.runs,
        committed=int(np.count_nonzero(plan.committed_in_R >= 0)),
        failed=int(np.count_nonzero(plan.failed_in_R >= 0)),
        open=tuple(progressions(np.flatnonzero(is_open_R))),
        sources=tuple(
            Source(
                path=store.path,
                uuid=str(store.manifest.uuid),
                shard=store.manifest.provenance.get("shard"),
                committed=len(plan.committed[part]),
                failed=len(plan.failed[part]),
                added=_runs_of(part, added),
            )
            for part, store in plan.sources()
        ),
        notes=tuple(_notes(stores)),
    )


class _Plan:
    """Which runs there are, and which store each is taken from: the first that has it.

    parts: the store at the end, if it is there, then the sources.
    """

    def __init__(self, parts: Sequence[Store], first_source: int) -> None:
        self.parts, self._first_source = parts, first_source
        self.runs = max(store.capacity for store in parts)
        self.committed, self.failed = [], []
        for store in parts:
            states_R = store.records()["state"]
            self.committed.append(np.flatnonzero(states_R == COMMITTED))
            self.failed.append(np.flatnonzero(states_R == FAILED))
        #: The part that a run is committed or, failing that, failed in; -1 for none.
        self.committed_in_R = self._first_with(self.committed)
        self.failed_in_R = self._first_with(self.failed)
        self.failed_in_R[self.committed_in_R >= 0] = -1

    def _first_with(self, ids: Sequence[RunIds]) -> npt.NDArray[np.int64]:
        first_R = np.full(self.runs, -1)
        for part in reversed(range(len(ids))):
            first_R[ids[part]] = part
        return first_R

    def sources(self) -> Iterator[tuple[int, Store]]:
        """Yield every source with its number."""
        yield from list(enumerate(self.parts))[self._first_source :]

    def check(self, track: Track) -> None:
        """Read every committed run of every source; where another is to be taken, it must be the same."""
        pieces = [piece for part, _ in self.sources() for piece in self._pieces(part, self.committed[part])]
        for piece in track(pieces, "checking"):
            [rows] = self.parts[piece.part].all_blocks(piece.run_ids, len(piece.run_ids))
            taken_from_R = self.committed_in_R[piece.run_ids]
            for other in set(taken_from_R.tolist()) - {piece.part}:
                is_there_R = taken_from_R == other
                ids = piece.run_ids[is_there_R]
                [there] = self.parts[other].all_blocks(ids, len(ids))
                for run_id in ids[~_equal(there, rows, is_there_R)][:1]:
                    raise StoreRefusedError(
                        f"{self.parts[other].path} and {self.parts[piece.part].path} both have run {run_id}, "
                        "with other predictions or seeds; nothing was written. The same run gave two "
                        "results: look for a change of code or device, and leave one of the stores out."
                    )

    def work(self) -> list[Piece]:
        """Return what the store at the end does not have."""
        return [
            piece
            for part, _ in self.sources()
            for state, first_R in ((COMMITTED, self.committed_in_R), (FAILED, self.failed_in_R))
            for piece in self._pieces(part, np.flatnonzero(first_R == part), state)
        ]

    def _pieces(self, part: int, run_ids: RunIds, state: int = COMMITTED) -> Iterator[Piece]:
        row_bytes = sum(matrix.width for matrix in self.parts[part].manifest.matrices)
        size = max(1, min(BLOCK_BYTES // row_bytes, BLOCK_RUNS))
        for start in range(0, len(run_ids), size):
            yield Piece(part, run_ids[start : start + size], state)


def _commit(out: Path, plan: _Plan, work: Sequence[Piece], track: Track) -> None:
    _, first = next(plan.sources())
    with StoreWriter.open(
        out,
        identity=first.manifest.identity,
        labels=_labels(first),
        provenance=_provenance(out, plan),
        capacity=plan.runs,
    ) as writer:
        told: set[int] = set()
        for piece in track(work, "merging"):
            part, store = piece.part, plan.parts[piece.part]
            if part not in told:
                told.add(part)
                uuid = str(store.manifest.uuid)
                writer.event("merge", source=str(store.path), uuid=uuid, runs=_runs_of(part, work))
            if piece.state == COMMITTED:
                [block] = store.all_blocks(piece.run_ids, len(piece.run_ids))
                writer.commit_records(block.records, list(block.rows.values()))
            else:
                nothing = [np.zeros((len(piece.run_ids), m.width), np.uint8) for m in store.manifest.matrices]
                writer.commit_records(store.records(piece.run_ids), nothing)


def _reopened(out: Path, first: Store) -> Store:
    """Return the store at the end, opened for reading, when it is of the same campaign."""
    _refuse_other_campaign(first.path, first.manifest, out, Manifest.load(out))
    if any(not (out / test_set.labels_file).exists() for test_set in first.manifest.test_sets):
        # Set aside by a repair. The writer puts back what the manifest says they were.
        identity, labels = first.manifest.identity, _labels(first)
        StoreWriter.open(out, identity=identity, labels=labels, provenance={}, capacity=1).close()
    return Store.open(out)


def _refuse_other_campaign(path_a: Path, a: Manifest, path_b: Path, b: Manifest) -> None:
    of_a, of_b = (
        {**store.identity, **{key: store.provenance[key] for key in ("stopping",) if key in store.provenance}}
        for store in (a, b)
    )  # runs that were trained until they showed something stay apart: of these the estimates warn
    if lines := differences(of_a, of_b, f"in {path_a}", f"in {path_b}"):
        raise StoreRefusedError(
            f"{path_a} and {path_b} are not of one campaign; nothing was written. What differs:\n"
            + "\n".join(f"  {line}" for line in lines)
            + "\nMerge what one command has made, with no other difference than --shard, --runs and --out."
        )


def _equal(a: Rows, b: Rows, of_b_R: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return for each run of `a` whether `b` has it, among those of the mask, with its payload and seeds."""
    seeds = list(SEEDS)
    equal_R: npt.NDArray[np.bool_] = a.records[seeds] == b.records[of_b_R][seeds]
    for name, rows_Rb in a.rows.items():
        equal_R &= (rows_Rb == b.rows[name][of_b_R]).all(axis=1)
    return equal_R


def _labels(store: Store) -> dict[str, npt.NDArray[np.uint8]]:
    return {name: store.labels(name) for name in store.test_sets}


def _runs_of(part: int, pieces: Iterable[Piece]) -> int:
    return sum(len(piece.run_ids) for piece in pieces if piece.part == part)


def _provenance(out: Path, plan: _Plan) -> dict[str, Any]:
    """Return that of the first source, and which there were; for people, never compared."""
    _, first = next(plan.sources())
    made = {key: value for key, value in first.manifest.provenance.items() if key != "shard"}
    merged = [
        {"path": str(store.path), "uuid": str(store.manifest.uuid), "runs": len(plan.committed[part])}
        for part, store in plan.sources()
    ]
    return {**made, "filesystem": filesystem_of(out), "merged": merged}


def _notes(stores: Sequence[Store]) -> Iterator[str]:
    """Yield what differs between the sessions that made the stores and may change bits."""
    first = stores[0]
    for key in ("device", "driver", "versions", "commit"):
        for store in stores:
            a, b = (s.manifest.provenance.get(key) for s in (first, store))
            if a != b:
                yield f"{key} of {first.path} is {a}, of {store.path} {b}"
                break


def progressions(run_ids: RunIds) -> Iterator[range]:
    """Yield ascending ids as few ranges: what one shard has not done yet is one, in steps."""
    ids = run_ids.tolist()
    start = 0
    while start < len(ids):
        stop = start + 1
        step = ids[stop] - ids[start] if stop < len(ids) else 1
        while stop < len(ids) and ids[stop] - ids[stop - 1] == step:
            stop += 1
        if stop - start == 2 and step > 1:  # a coincidence
            stop, step = start + 1, 1
        elif stop - start == 1:
            step = 1
        yield range(ids[start], ids[stop - 1] + 1, step)
        start = stop
