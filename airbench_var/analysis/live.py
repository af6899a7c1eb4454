"""Statistics of a campaign, grown batch by batch or read from its store: one state, one way to estimates."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from airbench_var.analysis import checkpoint, same_seeds
from airbench_var.analysis.comparison import Comparison, compare_counts
from airbench_var.analysis.summary import LEVEL, TestSetSummary, summarize
from airbench_var.errors import StoreRefusedError, UsageError
from airbench_var.stats import CampaignState, CorrectnessCounts
from airbench_var.stats.by_class import MOST_CLASSES
from airbench_var.store import COMMITTED, FAILED, Outcome, RunResult, Store
from airbench_var.store.lock import lock_holder
from airbench_var.store.records import Records

#: The version of the JSON document; it changes when a key changes its meaning or goes.
SCHEMA = "airbench_var/analysis/1"
ROWS_WORTH_KEEPING = 1000
#: Rows that came by `update` and are counted together: fewer would cost as much as many, as every chunk of
#: the state that is touched is made anew.
ROWS_AT_ONCE = 256
LOOK_EVERY_S = 1.0


@dataclass(frozen=True, kw_only=True, repr=False)
class Analysis:
    """What the committed runs of a campaign say, for each of its test sets."""

    runs: int  #: committed
    diverged: int  #: of these
    failed: int  #: runs that failed for good; they have no row and no part in the estimates
    test_sets: tuple[TestSetSummary, ...]  #: in the order of the store

    def __repr__(self) -> str:
        """Return what it is of: all its numbers would fill pages."""
        names = ", ".join(summary.name for summary in self.test_sets)
        return f"<Analysis of {self.runs:,} runs on {names}; estimates: analysis[name].estimates, to_json()>"

    def __getitem__(self, test_set: str) -> TestSetSummary:
        """Return what they say on one test set; raises UsageError when there is none of that name."""
        for summary in self.test_sets:
            if summary.name == test_set:
                return summary
        raise UsageError(
            f"there is no test set {test_set!r}; the runs were tested on "
            f"{', '.join(summary.name for summary in self.test_sets)}."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON values, as `analysis.schema.json` beside this module describes them."""
        return {
            "schema": SCHEMA,
            "runs": self.runs,
            "diverged": self.diverged,
            "failed": self.failed,
            "test_sets": {summary.name: summary.to_json() for summary in self.test_sets},
        }


class LiveStatistics:
    """The integer state of every test set of a campaign; each committed row is counted once."""

    def __init__(
        self,
        states: Mapping[str, CampaignState],
        diverged: Iterable[int] = (),
        failed: Iterable[int] = (),
        note: str = "",
    ) -> None:
        self._states = dict(states)
        self._waiting: dict[int, RunResult] = {}  # are among the counted, and not yet in the states
        self._diverged, self._failed = set(diverged), set(failed)
        self._counted = set(self._run_ids().tolist())
        self._since_kept = 0
        self.note = note  #: why statistics that were kept in the store could not be used
        self._warnings: tuple[str, ...] = ()
        #: Of the records of the counted runs when they were counted; None when rows came by `update`.
        self._digest: str | None = None

    @classmethod
    def of_store(cls, store: Store) -> Self:
        """Count the committed rows of a store, checking each against its checksum; O(R N) once.

        Rows that were counted before and kept in the store (see `keep`) are not read again.

        Raises: StoreDamagedError that names file and run.
        """
        records = store.records()
        states, note = checkpoint.load(store, records, empty_states(store))
        statistics = cls(states, note=note)
        statistics._warnings = tuple(_stopped_by_looking(store))
        statistics._count(store, records)
        return statistics

    @property
    def states(self) -> Mapping[str, CampaignState]:
        """The integer state by test set."""
        self._add_waiting()
        return self._states

    @property
    def counts(self) -> Mapping[str, CorrectnessCounts]:
        """What the runs got right, by test set."""
        return {name: state.correct for name, state in self.states.items()}

    def catch_up(self, store: Store) -> int:
        """Count the rows that were committed since, and return how many; raises as `of_store`.

        When a counted run is not what it was, because a repair has opened it, all are counted again.
        """
        records = store.records()
        if self._digest is not None and self._digest != checkpoint.digest_of(store, records, self._run_ids()):
            self._states, self._counted, self._since_kept = empty_states(store), set(), 0
        return self._count(store, records)

    def _count(self, store: Store, records: Records) -> int:
        """Count the rows that are committed in these records, all that there are, and were not counted."""
        is_committed_R = records["state"] == COMMITTED
        is_new_R = is_committed_R.copy()
        is_new_R[self._run_ids()] = False
        new_R = np.flatnonzero(is_new_R)
        together_R = np.sort(np.concatenate([self._run_ids(), new_R]))
        # Of the records before the rows are read: should rows change now, this will not fit them.
        self._digest = checkpoint.digest_of(store, records, together_R)
        for block in store.all_blocks(new_R):
            self._states = {
                name: state.update(
                    block.run_ids, block.rows[name, "correct"], block.rows.get((name, "predicted"))
                )
                for name, state in self._states.items()
            }
        self._counted |= set(new_R.tolist())
        self._since_kept += len(new_R)
        self._diverged = set(np.flatnonzero(is_committed_R & (records["diverged"] != 0)).tolist())
        self._failed = set(np.flatnonzero(records["state"] == FAILED).tolist())
        return len(new_R)

    @property
    def runs(self) -> int:
        """How many runs were counted."""
        return len(self._counted)

    def expects_more(self, store: Store) -> bool:
        """Whether runs are neither counted nor failed for which the store has room, and is meant to."""
        # As many as show something, or one shard's alone, or what was there to be merged: nobody can tell.
        is_open = not store.manifest.provenance.keys().isdisjoint(("stopping", "shard", "merged"))
        return not is_open and len(self._counted) + len(self._failed) < store.capacity

    def keep(self, store: Store) -> str:
        """Keep the state in the store when that saves much counting next time.

        Return why it could not be done, or nothing. Below 1,000 rows, counting is faster than a file.
        """
        if self._since_kept < ROWS_WORTH_KEEPING:
            return ""
        self._since_kept = 0
        digest = checkpoint.digest_of(store, store.records(), self._run_ids())
        if digest is None or self._digest not in (None, digest):
            return f"the statistics are not kept in {store.path}: a repair has changed some of their runs"
        return checkpoint.save(store, self.states, digest)

    @property
    def diverged(self) -> frozenset[int]:
        """The ids of the committed runs that diverged."""
        return frozenset(self._diverged)

    @property
    def failed(self) -> frozenset[int]:
        """The ids of the runs that failed for good."""
        return frozenset(self._failed)

    def update(self, outcomes: Sequence[Outcome]) -> None:
        """Count a batch that was just committed; O(batch x N), whatever came before.

        As in the store, a run that is there already is passed over, and a result replaces a failure.
        """
        for outcome in outcomes:
            run_id, result = outcome.spec.run_id, outcome.result
            if run_id in self._counted:
                continue
            if result is None:
                self._failed.add(run_id)
                continue
            self._waiting[run_id] = result
            self._counted.add(run_id)
            self._since_kept += 1
            self._failed.discard(run_id)
            if result.diverged:
                self._diverged.add(run_id)
        self._digest = None
        if len(self._waiting) >= ROWS_AT_ONCE:
            self._add_waiting()

    def _add_waiting(self) -> None:
        if self._waiting:
            self._states = {name: _updated(name, s, self._waiting) for name, s in self._states.items()}
            self._waiting = {}

    def analysis(self, level: float = LEVEL, *, thorough: bool = True) -> Analysis:
        """Return the estimates as of now; without `thorough` only those that a live view has time for."""
        summaries = (
            summarize(name, state, diverged=self.diverged, level=level, thorough=thorough)
            for name, state in self.states.items()
        )
        return Analysis(
            runs=len(self._counted),
            diverged=len(self._diverged),
            failed=len(self._failed),
            test_sets=tuple(replace(one, warnings=one.warnings + self._warnings) for one in summaries),
        )

    def _run_ids(self) -> npt.NDArray[np.int64]:
        for state in self.states.values():
            return state.correct.run_ids_R
        return np.zeros(0, np.int64)


def empty_states(store: Store) -> dict[str, CampaignState]:
    """Return the state of no runs for every test set of a store."""
    keeps = "predicted" in store.manifest.identity["columns"]
    return {
        test_set.name: CampaignState.empty(
            test_set.labels_sha256,
            test_set.n,
            store.labels(test_set.name) if len(test_set.classes) <= MOST_CLASSES else None,
            len(test_set.classes),
            with_predictions=keeps,
        )
        for test_set in store.manifest.test_sets
    }


def _updated(name: str, state: CampaignState, done: Mapping[int, RunResult]) -> CampaignState:
    predictions = [result.predictions[name] for result in done.values()]
    classes = [one.predicted for one in predictions if one.predicted is not None]
    classes_RN = None if state.nothing.predicted is None else np.stack(classes)
    return state.update([*done], np.stack([one.correct for one in predictions]), classes_RN)


def count_store(store: Store | str | os.PathLike[str]) -> Mapping[str, CorrectnessCounts]:
    """Return the counts of all committed rows of a store by test set; raises as `analyze`."""
    return LiveStatistics.of_store(store if isinstance(store, Store) else Store.open(store)).counts


def compare(
    a: Store | str | os.PathLike[str], b: Store | str | os.PathLike[str], level: float = LEVEL
) -> dict[str, Comparison]:
    """Return how the runs of two stores compare, A minus B, by test set that both have.

    Differences are fractions, intervals at `level`: `compare(a, b)["cifar10"].estimates`. Method: Welch's t
    over runs for this test set; runs and examples, paired by example, for its distribution. Assumption: runs
    are independent within a store and between the two, and their numbers were fixed beforehand; of stores
    that were trained until something showed there are values without intervals, and a warning.

    Raises: StoreRefusedError when it is one store, or they have no test set in common, or their test images
    are known and not the same; UsageError when there is no such store, or one has too few runs;
    StoreDamagedError when a row is not what was committed.
    """
    first, second = (store if isinstance(store, Store) else Store.open(store) for store in (a, b))
    refuse_to_compare(first, second)
    return compare_counted(
        (first, second), (LiveStatistics.of_store(first), LiveStatistics.of_store(second)), level
    )


def compare_counted(
    stores: tuple[Store, Store], runs: tuple[LiveStatistics, LiveStatistics], level: float = LEVEL
) -> dict[str, Comparison]:
    """Return the same as `compare` for stores whose rows are counted already, and that may be compared."""
    (first, second), (a_runs, b_runs) = stores, runs
    counts_a, counts_b, diverged = a_runs.counts, b_runs.counts, (a_runs.diverged, b_runs.diverged)
    shared = [name for name in counts_a if name in counts_b]
    if not shared:
        raise StoreRefusedError(
            f"{first.path} has the test sets {', '.join(counts_a)}, {second.path} has {', '.join(counts_b)}: "
            "there is none to compare on."
        )
    stopped = tuple(_stopped_by_looking(first, second))
    seeds = [_seeds_of(store, counts) for store, counts in ((first, counts_a), (second, counts_b))]
    found = {}
    for name in shared:
        one = compare_counts(name, counts_a[name], counts_b[name], level, diverged)
        if stopped:
            one = one.without_intervals("the number of runs was not fixed beforehand")
        alike = None
        if any(estimate.interval for estimate in one.estimates.values()):  # it is of them that it speaks
            alike = same_seeds.correlated(counts_a[name], seeds[0], counts_b[name], seeds[1])
        found[name] = replace(one, warnings=(*one.warnings, *filter(None, [alike]), *stopped))
    return found


def _seeds_of(store: Store, counts: Mapping[str, CorrectnessCounts]) -> npt.NDArray[np.uint64]:
    """Return the seeds of the runs that were counted, (R, 3)."""
    records = store.records(next(iter(counts.values())).run_ids_R)
    return np.stack([records[name] for name in same_seeds.FIELDS], axis=1)


def refuse_to_compare(a: Store, b: Store) -> None:
    """Raise StoreRefusedError for one store in the place of two, and for other images; no row is read."""
    refuse_same_store(a, b)
    refuse_other_images(a, b)


def refuse_same_store(a: Store, b: Store) -> None:
    """Raise StoreRefusedError for one store, or two copies of one, in the place of two."""
    if a.manifest.uuid == b.manifest.uuid:
        raise StoreRefusedError(
            f"{a.path} and {b.path} are the same store, whose runs are not independent of themselves. Give "
            "two stores."
        )


def refuse_other_images(a: Store, b: Store) -> None:
    """Raise StoreRefusedError for test sets that are equal in their labels and not in their images."""
    images = [
        store.manifest.identity.get("data", {}).get("test", {}).get("images_sha256") for store in (a, b)
    ]
    if all(images) and images[0] != images[1]:
        raise StoreRefusedError(
            f"{a.path} and {b.path} were tested on different images ({images[0][:12]}, {images[1][:12]}), "
            "whose difference would pass for one of the recipes. Compare runs on one test set."
        )


def _stopped_by_looking(*stores: Store) -> Iterator[str]:
    """Yield what to be wary of where runs were trained until they had shown something."""
    for store in stores:
        if stopping := store.manifest.provenance.get("stopping"):
            yield (
                f"the number of runs in {store.path} was not fixed beforehand ({stopping}): intervals and "
                "p-values of a fixed number do not hold; of a comparison, the command that trained both "
                "prints what does"
            )


def follow(
    store: Store, statistics: LiveStatistics, wait: Callable[[], None] = lambda: time.sleep(LOOK_EVERY_S)
) -> Iterator[LiveStatistics]:
    """Yield the statistics of a store now, and again whenever rows were committed; only those are read.

    It ends when nobody writes, and every run is committed or failed or there is no telling how many there
    will be. Raises as `LiveStatistics.of_store`.
    """
    yield statistics
    while statistics.expects_more(store) or lock_holder(store.path) is not None:
        wait()
        store.refresh()
        if statistics.catch_up(store):
            yield statistics


def analyze(store: Store | str | os.PathLike[str], level: float = LEVEL) -> Analysis:
    """Return the estimates from all committed rows of a store, given open or by its path.

    `analyze(store)["cifar10"].estimates["mean_accuracy"]` has value, interval, n, method, assumption, and why
    there is no interval where there is none; accuracies and stds are fractions, variances fractions squared.
    `level` is the share of intervals that contain what they are of. Assumption of all: runs are independent
    draws of one recipe; of those about the distribution also: examples are independent draws from it. They
    fail where runs share a seed (a warning says so), or the test set was chosen by what runs get right.
    Source: paper, sections 2 and 3; docs/statistics.md has every method.

    Raises: UsageError when there is no such store, StoreRefusedError for one of another format,
    StoreDamagedError when a row is not what was committed.
    """
    opened = store if isinstance(store, Store) else Store.open(store)
    return LiveStatistics.of_store(opened).analysis(level)
