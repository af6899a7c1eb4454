"""Statistics of a campaign, grown batch by batch or read from its store: one state, one way to estimates."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from airbench_var.analysis.comparison import Comparison, compare_counts
from airbench_var.analysis.summary import LEVEL, TestSetSummary, summarize
from airbench_var.errors import StoreRefusedError
from airbench_var.stats import CorrectnessCounts
from airbench_var.store import COMMITTED, FAILED, Outcome, Store


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What the committed runs of a campaign say, for each of its test sets."""

    runs: int  #: committed
    diverged: int  #: of these
    failed: int  #: runs that failed for good; they have no row and no part in the estimates
    test_sets: tuple[TestSetSummary, ...]  #: in the order of the store

    def to_json(self) -> dict[str, Any]:
        """Return runs, diverged, failed, and test_sets by name (see `TestSetSummary.to_json`)."""
        return {
            "runs": self.runs,
            "diverged": self.diverged,
            "failed": self.failed,
            "test_sets": {summary.name: summary.to_json() for summary in self.test_sets},
        }


class LiveStatistics:
    """The integer state of every test set of a campaign; each committed batch is counted once."""

    def __init__(
        self,
        counts: Mapping[str, CorrectnessCounts],
        diverged: Iterable[int] = (),
        failed: Iterable[int] = (),
    ) -> None:
        self._counts = dict(counts)
        self._diverged, self._failed = frozenset(diverged), frozenset(failed)
        self._counted = {int(run_id) for state in counts.values() for run_id in state.run_ids_R}

    @classmethod
    def of_store(cls, store: Store) -> Self:
        """Count the committed rows of a store, checking each against its checksum; O(R N) once.

        Raises: StoreDamagedError that names file and run.
        """
        records = store.records()
        run_ids_R = np.flatnonzero(records["state"] == COMMITTED)
        counts: dict[str, CorrectnessCounts] = {}
        for test_set in store.manifest.test_sets:
            state = CorrectnessCounts.empty(test_set.n, test_set.labels_sha256)
            for block in store.blocks(test_set.name, run_ids_R):
                state = state.update(block.run_ids, block.rows_Rb)
            counts[test_set.name] = state
        diverged_R = run_ids_R[records["diverged"][run_ids_R] != 0]
        return cls(counts, diverged_R.tolist(), np.flatnonzero(records["state"] == FAILED).tolist())

    @property
    def counts(self) -> Mapping[str, CorrectnessCounts]:
        """The integer state by test set."""
        return self._counts

    @property
    def diverged(self) -> frozenset[int]:
        """The ids of the committed runs that diverged."""
        return self._diverged

    @property
    def failed(self) -> frozenset[int]:
        """The ids of the runs that failed for good."""
        return self._failed

    def update(self, outcomes: Sequence[Outcome]) -> None:
        """Count a batch that was just committed; O(batch x N + R).

        As in the store, a run that is there already is passed over, and a result replaces a failure.
        """
        results = {outcome.spec.run_id: outcome.result for outcome in outcomes if outcome.result is not None}
        done = {run_id: result for run_id, result in results.items() if run_id not in self._counted}
        if done:
            self._counts = {
                name: state.update(
                    [*done], np.stack([run.predictions[name].correct for run in done.values()])
                )
                for name, state in self._counts.items()
            }
        self._counted |= done.keys()
        self._diverged |= {run_id for run_id, result in done.items() if result.diverged}
        self._failed = (self._failed | {outcome.spec.run_id for outcome in outcomes}) - self._counted

    def analysis(self, level: float = LEVEL, *, with_tests: bool = True) -> Analysis:
        """Return the estimates as of now; O(N + R log R), and the tests unless there is no time for them."""
        summaries = [
            summarize(name, state, diverged=self._diverged, level=level, with_tests=with_tests)
            for name, state in self._counts.items()
        ]
        return Analysis(
            runs=max((summary.runs for summary in summaries), default=0),
            diverged=len(self._diverged),
            failed=len(self._failed),
            test_sets=tuple(summaries),
        )


def count_store(store: Store | str | os.PathLike[str]) -> Mapping[str, CorrectnessCounts]:
    """Return the counts of all committed rows of a store by test set; raises as `analyze`."""
    return LiveStatistics.of_store(store if isinstance(store, Store) else Store.open(store)).counts


def compare(
    a: Store | str | os.PathLike[str], b: Store | str | os.PathLike[str], level: float = LEVEL
) -> dict[str, Comparison]:
    """Return how the runs of two stores compare, A less B, by test set that both have.

    Raises: StoreRefusedError when it is one store, or they have no test set in common; UsageError when one
    has too few runs; StoreDamagedError when a row is not what was committed.
    """
    first, second = (store if isinstance(store, Store) else Store.open(store) for store in (a, b))
    if first.manifest.uuid == second.manifest.uuid:
        raise StoreRefusedError(
            f"{first.path} and {second.path} are the same store, whose runs are not independent of "
            "themselves. Give two stores."
        )
    counts_a, counts_b = count_store(first), count_store(second)
    shared = [name for name in counts_a if name in counts_b]
    if not shared:
        raise StoreRefusedError(
            f"{first.path} has the test sets {', '.join(counts_a)}, {second.path} has {', '.join(counts_b)}: "
            "there is none to compare on."
        )
    stopped = tuple(_stopped_by_looking(first, second))
    compared = (compare_counts(name, counts_a[name], counts_b[name], level) for name in shared)
    return {one.test_set: replace(one, warnings=one.warnings + stopped) for one in compared}


def _stopped_by_looking(*stores: Store) -> Iterator[str]:
    """Yield what to be wary of where runs were trained until they had shown something."""
    for store in stores:
        if stopping := store.manifest.provenance.get("stopping"):
            yield (
                f"the number of runs in {store.path} was not fixed beforehand ({stopping}): intervals and "
                "p-values of a fixed number do not hold; the command that trained them prints what does"
            )


def analyze(store: Store | str | os.PathLike[str], level: float = LEVEL) -> Analysis:
    """Return the estimates from all committed rows of a store, given open or by its path.

    Raises: UsageError when there is no such store, StoreDamagedError when a row is not what was committed.
    """
    opened = store if isinstance(store, Store) else Store.open(store)
    return LiveStatistics.of_store(opened).analysis(level)
