"""Runs that no network made, as the benchmarks of the analysis take them: in memory, and in a store."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from airbench_var.stats import CampaignState, CorrectnessCounts
from bench.keeping import CLASSES, FakeRuns

#: Rows that a store hands over at a time.
BLOCK = 256


@dataclass(frozen=True)
class SimulatedRuns:
    """Runs with independent errors: 70 % of the examples are always right, the others as a Beta law says."""

    labels_N: npt.NDArray[np.uint8]
    packed_RB: npt.NDArray[np.uint8]
    predicted_RN: npt.NDArray[np.uint8]

    @classmethod
    def draw(cls, runs: int, n: int, seed: int = 0) -> "SimulatedRuns":
        """Return runs that follow from the sizes and the seed."""
        rng = np.random.default_rng(seed)
        labels_N = rng.integers(0, len(CLASSES), n, np.uint8)
        chance_N = np.where(rng.random(n) < 0.7, 1.0, rng.beta(1.149, 0.204, n)).astype(np.float32)
        predicted_RN = np.empty((runs, n), np.uint8)
        for first in range(0, runs, 500):
            rows_RN = predicted_RN[first : first + 500]
            right_RN = rng.random(rows_RN.shape, np.float32) < chance_N
            rows_RN[:] = np.where(right_RN, labels_N, (labels_N + 1 + (rng.random(n) < 0.3)) % len(CLASSES))
        packed = [np.packbits(row == labels_N, bitorder="little") for row in predicted_RN]
        return cls(labels_N, np.array(packed), predicted_RN)

    @cached_property
    def counts(self) -> CorrectnessCounts:
        """What they got right."""
        return count_blocks(self.packed_RB, len(self.labels_N))

    @cached_property
    def state(self) -> CampaignState:
        """All that the analysis needs of them."""
        state = CampaignState.empty("", len(self.labels_N), self.labels_N, len(CLASSES))
        for rows in blocks(len(self.packed_RB)):
            state = state.update(
                np.arange(rows.start, rows.stop), self.packed_RB[rows], self.predicted_RN[rows]
            )
        return state

    def fresh_state(self) -> CampaignState:
        """Return the state counted anew."""
        return SimulatedRuns(self.labels_N, self.packed_RB, self.predicted_RN).state


def fill(path: Path, runs: SimulatedRuns) -> None:
    """Make a store of these runs."""
    with FakeRuns(runs.labels_N, runs.packed_RB, runs.predicted_RN).open_writer(
        path, len(runs.packed_RB)
    ) as writer:
        for rows in blocks(len(runs.packed_RB)):
            batch = FakeRuns(runs.labels_N, runs.packed_RB[rows], runs.predicted_RN[rows])
            writer.commit(batch.outcomes(range(rows.start, rows.stop)))


def count_blocks(packed_RB: npt.NDArray[np.uint8], n: int) -> CorrectnessCounts:
    """Return the counts of packed rows, from blocks as a store hands them over."""
    parts = [
        CorrectnessCounts.of(n, "", np.arange(rows.start, rows.stop), packed_RB[rows])
        for rows in blocks(len(packed_RB))
    ]
    return CorrectnessCounts.union(parts)


def blocks(runs: int) -> Iterator[slice]:
    """Yield the rows in blocks."""
    return (slice(first, min(first + BLOCK, runs)) for first in range(0, runs, BLOCK))
