"""Which runs of a store are exported: the committed ones, some at a time, each checked as it is read."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from airbench_var.errors import UsageError
from airbench_var.store import Store
from airbench_var.store.manifest import TestSet
from airbench_var.store.records import Bytes, Records, RunIds

#: About how much is read at a time, of one byte an example; but no more than so many runs.
BLOCK_BYTES, BLOCK_RUNS = 1 << 24, 1024

#: Shows how far an export is: takes its blocks and its name, and gives the blocks back one by one.
Track = Callable[[Sequence[RunIds], str], Iterable[RunIds]]


@dataclass(frozen=True)
class Selected:
    """The committed runs of a store."""

    store: Store
    run_ids: RunIds  #: (R,), ascending
    track: Track

    @classmethod
    def of(cls, store: Store, track: Track) -> "Selected":
        """Return them; raises UsageError when there are none, StoreDamagedError when a record is damaged."""
        run_ids = store.committed_ids()
        if not len(run_ids):
            raise UsageError(f"{store.path} has no committed run yet, so there is nothing to export.")
        return cls(store, run_ids, track)

    @property
    def runs(self) -> int:
        """How many there are."""
        return len(self.run_ids)

    @property
    def has_seeds(self) -> bool:
        """Whether the seeds in the records are those of the runs: imported runs may have none."""
        imported = self.store.manifest.identity.get("imported")
        return imported is None or "seeds_sha256" in imported

    def test_set(self, name: str) -> TestSet:
        """Return what is fixed of a test set; raises UsageError when the store has none of this name."""
        self.store.labels(name)
        return next(test_set for test_set in self.store.manifest.test_sets if test_set.name == name)

    def columns(self) -> tuple[str, ...]:
        """Return what the store holds of every example: predicted, if it was kept, and correct."""
        return tuple(c for c in ("predicted", "correct") if c in self.store.manifest.identity["columns"])

    def blocks(self, test_set: str, column: str) -> Iterator[tuple[Records, npt.NDArray[np.uint8]]]:
        """Yield records (R,) and values uint8 (R, N), some runs at a time; raises as `Store.blocks`."""
        n = self.test_set(test_set).n
        for ids in self.track(list(self._pieces(n)), f"{test_set} {column}"):
            [block] = self.store.blocks(test_set, ids, len(ids), column)
            yield block.records, _unpacked(block.rows_Rb, n) if column == "correct" else block.rows_Rb

    def _pieces(self, n: int) -> Iterator[RunIds]:
        size = max(1, min(BLOCK_RUNS, BLOCK_BYTES // n))
        for start in range(0, self.runs, size):
            yield self.run_ids[start : start + size]


def _unpacked(rows_Rb: Bytes, n: int) -> Bytes:
    return np.unpackbits(rows_Rb, axis=1, count=n, bitorder="little")
