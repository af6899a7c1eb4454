"""Everything that the analysis of one test set needs of its runs, in chunks of runs that merge exactly.

The chunks are there to be left out one at a time (the jackknife), and to be compared with one another
(drift). Axis letters: R runs, N examples, K classes, W witnesses, G chunks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from airbench_var.errors import StoreDamagedError, UsageError
from airbench_var.stats.by_class import MOST_CLASSES, ClassCounts
from airbench_var.stats.counts import CorrectnessCounts, Int64, Packed
from airbench_var.stats.predictions import Classes, PredictionCounts

#: Runs are kept in at most so many chunks: the sizes are powers of two, so that half as many are filled.
MOST_CHUNKS = 32
#: And in fewer where there are many examples, of which each chunk keeps some 64 bytes: 200 MB in all.
MOST_EXAMPLES_IN_CHUNKS = MOST_CHUNKS * 100_000
#: So many runs are kept with all their predictions: those with the lowest ids.
WITNESSES = 199

_VOTES = ("votes_NK", "pairs_P", "pairs_PP")
_SUMS = ("c_N", "h_N", "h2_N")
_ROWS = ("run_ids_R", "k_R", "even_R", "row_hash_RB")


@dataclass(frozen=True, kw_only=True, eq=False)
class Chunk:
    """Some runs: what they got right, also by class, and what they predicted where that was kept."""

    correct: CorrectnessCounts
    predicted: PredictionCounts | None
    by_class: ClassCounts | None  #: None without labels, and of too many classes

    @classmethod
    def union(cls, parts: Sequence[Self]) -> Self:
        """Return several chunks, at least one, as one; raises as `CorrectnessCounts.union`."""
        votes = [part.predicted for part in parts if part.predicted is not None]
        classes = [part.by_class for part in parts if part.by_class is not None]
        return cls(
            correct=CorrectnessCounts.union([part.correct for part in parts]),
            predicted=reduce(PredictionCounts.merge, votes) if votes else None,
            by_class=ClassCounts.union(classes) if classes else None,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class CampaignState:
    """The runs of a campaign on one test set: `empty`, then `update` with rows or `merge` with others.

    Run r is in chunk r // `chunk_runs`, the smallest power of two that leaves at most 32 chunks (beyond
    100,000 examples fewer), so the state
    follows from the set of runs alone: any order, any cut, any tree of merges gives the same bytes.
    """

    nothing: Chunk  #: no runs, on this test set
    chunk_runs: int
    chunks: Mapping[int, Chunk]  #: by their number, ascending; none is empty
    #: The predictions of the runs with the lowest ids, for tests that let a run play the part of the labels.
    witness_ids_W: Int64
    witness_WN: Classes

    @classmethod
    def empty(
        cls,
        test_set_hash: str,
        n: int,
        labels_N: Classes | None = None,
        K: int = 0,
        *,
        with_predictions: bool = True,
    ) -> Self:
        """Return the state of no runs on n examples.

        With labels of K classes, at most 256 of them, right answers are counted by class, and predictions too
        unless there will be none.

        Raises: UsageError for labels that do not fit.
        """
        by_class = predicted = None
        if labels_N is not None and with_predictions:
            predicted = PredictionCounts.empty(K, labels_N)
        if labels_N is not None and K <= MOST_CLASSES:
            by_class = ClassCounts.empty(K, labels_N)
        if labels_N is not None and len(labels_N) != n:
            raise UsageError(f"There are {len(labels_N)} labels for {n} examples.")
        return cls(
            nothing=Chunk(
                correct=CorrectnessCounts.empty(n, test_set_hash), predicted=predicted, by_class=by_class
            ),
            chunk_runs=1,
            chunks={},
            witness_ids_W=np.zeros(0, np.int64),
            witness_WN=np.zeros((0, n), np.uint8),
        )

    @cached_property
    def total(self) -> Chunk:
        """All runs as one chunk."""
        return Chunk.union([self.nothing, *self.chunks.values()])

    @property
    def correct(self) -> CorrectnessCounts:
        """What all runs got right."""
        return self.total.correct

    @property
    def predicted(self) -> PredictionCounts | None:
        """What all runs predicted, where that is kept."""
        return self.total.predicted

    @property
    def by_class(self) -> ClassCounts | None:
        """What all runs got right of each class, where that is counted."""
        return self.total.by_class

    def update(
        self, run_ids_R: npt.ArrayLike, packed_RB: Packed, predicted_RN: Classes | None = None
    ) -> Self:
        """Return the state with more rows counted; O(rows x N), plus O(N K) for each chunk they touch.

        Raises: as `CorrectnessCounts.of` and `PredictionCounts.of`; UsageError when predictions are kept and
        there are none, or the other way round; StoreRefusedError when a run is counted already.
        """
        ids_R = np.asarray(run_ids_R, np.int64)
        if (predicted_RN is None) != (self.nothing.predicted is None):
            raise UsageError("A state counts predictions from its first row to its last, or never.")
        largest = max([int(ids_R.max(initial=0)), *(ids[-1] for ids in self._ids())])
        state = self._in_chunks_of(_chunk_runs(largest, self.nothing.correct.n))
        chunks = dict(state.chunks)
        for number in np.unique(ids_R // state.chunk_runs).tolist():
            mine_R = ids_R // state.chunk_runs == number
            old = chunks.get(number, self.nothing)
            correct = old.correct.update(ids_R[mine_R], packed_RB[mine_R])
            predicted = old.predicted
            if predicted is not None:
                assert predicted_RN is not None
                more = PredictionCounts.of(predicted.K, predicted.labels_N, predicted_RN[mine_R])
                predicted = predicted.merge(more)
            by_class = old.by_class
            if by_class is not None:
                by_class = ClassCounts.union([by_class, by_class.of(ids_R[mine_R], packed_RB[mine_R])])
            chunks[number] = Chunk(correct=correct, predicted=predicted, by_class=by_class)
        return replace(state, chunks=dict(sorted(chunks.items())))._with_witnesses(ids_R, predicted_RN)

    def merge(self, other: Self, *, equal_rows: bool = False) -> Self:
        """Return the state of both sets of runs; exact, associative, commutative.

        Raises: StoreRefusedError for another test set, for a run that is in both, and, unless `equal_rows`
        says that they are honest, for rows that are equal bit for bit; UsageError when only one counts
        predictions.
        """
        mine, others = self.nothing, other.nothing
        if (mine.predicted is None, mine.by_class is None) != (
            others.predicted is None,
            others.by_class is None,
        ):
            raise UsageError(
                "One state counts classes and the other does not, so that votes of some runs would "
                "pass for those of all. Count both with predictions, or both without."
            )
        self.correct.merge(other.correct, equal_rows=equal_rows)  # refuses across chunks, too
        size = max(self.chunk_runs, other.chunk_runs)
        first, second = self._in_chunks_of(size), other._in_chunks_of(size)
        chunks = dict(first.chunks)
        for number, chunk in second.chunks.items():
            chunks[number] = Chunk.union([chunks.get(number, self.nothing), chunk])
        merged = replace(first, chunks=dict(sorted(chunks.items())))
        return merged._with_witnesses(other.witness_ids_W, other.witness_WN)

    def _ids(self) -> Iterator[Int64]:
        return (chunk.correct.run_ids_R for chunk in self.chunks.values())

    def _in_chunks_of(self, chunk_runs: int) -> Self:
        """Return the same in larger chunks."""
        together = chunk_runs // self.chunk_runs
        if together == 1:
            return self
        groups: dict[int, list[Chunk]] = {}
        for number, chunk in self.chunks.items():
            groups.setdefault(number // together, []).append(chunk)
        chunks = {number: Chunk.union(group) for number, group in groups.items()}
        return replace(self, chunk_runs=chunk_runs, chunks=chunks)

    def _with_witnesses(self, ids_R: Int64, predicted_RN: Classes | None) -> Self:
        if predicted_RN is None or (
            len(self.witness_ids_W) == WITNESSES and ids_R.min(initial=2**62) > self.witness_ids_W[-1]
        ):
            return self
        ids = np.concatenate([self.witness_ids_W, ids_R])
        lowest = np.argsort(ids)[:WITNESSES]
        rows = np.concatenate([self.witness_WN, predicted_RN])[lowest]
        return replace(self, witness_ids_W=ids[lowest], witness_WN=rows)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the runs as named arrays, fit for `np.savez`; equal states give equal bytes."""
        chunks = list(self.chunks.values())
        arrays = {"chunk_runs": np.array(self.chunk_runs)}
        for name in _ROWS:
            nothing = getattr(self.nothing.correct, name)
            arrays[name] = np.concatenate([nothing, *(getattr(chunk.correct, name) for chunk in chunks)])
        for name in _SUMS:
            arrays[name] = np.array([getattr(chunk.correct, name) for chunk in chunks], np.int64)
        if (none := self.nothing.by_class) is not None:
            of_chunks = [chunk.by_class for chunk in chunks if chunk.by_class is not None]
            arrays["right_RK"] = ClassCounts.union([none, *of_chunks]).right_RK
        if self.nothing.predicted is not None:
            for name in _VOTES:
                arrays[name] = np.array([getattr(chunk.predicted, name) for chunk in chunks])
            arrays |= {"witness_ids_W": self.witness_ids_W, "witness_WN": self.witness_WN}
        return arrays

    def with_arrays(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Return the state that `to_arrays` wrote, on the test set of this empty one.

        Raises: StoreDamagedError when the arrays are not those of counted rows on this test set.
        """
        try:
            return self._from(arrays)
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise StoreDamagedError(
                f"Saved statistics are damaged ({error}); compute them again from the store."
            ) from error

    def _from(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        chunk_runs = _chunk_runs(int(arrays["run_ids_R"].max(initial=0)), self.nothing.correct.n)
        if int(arrays["chunk_runs"]) != chunk_runs:
            raise ValueError(f"chunks of {arrays['chunk_runs']} runs")
        numbers_R = arrays["run_ids_R"] // chunk_runs
        numbers_G, starts_G = np.unique(numbers_R, return_index=True)
        rows_by_name = {name: np.split(arrays[name], starts_G[1:]) for name in _ROWS}
        chunks: dict[int, Chunk] = {}
        for g, number in enumerate(numbers_G.tolist()):
            parts = {name: rows[g] for name, rows in rows_by_name.items()}
            parts |= {name: arrays[name][g] for name in _SUMS}
            identity = {
                "n": np.array(self.nothing.correct.n),
                "test_set_hash": np.array(self.nothing.correct.test_set_hash),
            }
            correct = CorrectnessCounts.from_arrays(identity | parts)
            predicted = self.nothing.predicted
            if predicted is not None:
                counted = replace(predicted, **{name: arrays[name][g] for name in _VOTES})
                predicted = predicted.merge(counted)  # raises for other shapes
                if predicted.R != correct.R:
                    raise ValueError("votes and rows disagree")
            chunks[number] = Chunk(
                correct=correct, predicted=predicted, by_class=self._by_class(correct, arrays, starts_G[g])
            )
        state = replace(self, chunk_runs=chunk_runs, chunks=chunks)
        if self.nothing.predicted is None:
            return state
        return state._with_witnesses(arrays["witness_ids_W"], arrays["witness_WN"])

    def _by_class(
        self, correct: CorrectnessCounts, arrays: Mapping[str, npt.NDArray[Any]], start: int
    ) -> ClassCounts | None:
        """Return what `to_arrays` wrote of these runs, of which the first is in row `start`, by class."""
        none = self.nothing.by_class
        if none is None:
            return None
        right_RK = arrays["right_RK"][start : start + correct.R]
        shape = (correct.R, none.right_RK.shape[1])
        if (
            right_RK.dtype != np.int32
            or right_RK.shape != shape
            or (right_RK.sum(axis=1) != correct.k_R).any()
        ):
            raise ValueError("right answers by class do not add up")
        return replace(none, run_ids_R=correct.run_ids_R, right_RK=right_RK)


def _chunk_runs(largest_id: int, n: int) -> int:
    """Return the smallest power of two that puts this id, and all below, into as few chunks as n asks for."""
    size, most = 1, max(1, min(MOST_CHUNKS, MOST_EXAMPLES_IN_CHUNKS // n))
    while largest_id // size >= most:
        size *= 2
    return size
