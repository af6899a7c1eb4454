"""A campaign: one recipe, many runs, one store. The one place that knows both halves."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

import numpy.typing as npt

from airbench_var.analysis import Analysis, LiveStatistics
from airbench_var.errors import InterruptedCampaignError, RunsFailedError, StoreRefusedError, whole_number
from airbench_var.execution import HERE, Executor, MakeTrain, Notice, Placement, Report
from airbench_var.interrupt import Interrupt
from airbench_var.report.display import Mode
from airbench_var.report.live import LiveView
from airbench_var.seeds import STREAMS, parse_vary, seeds_of_run
from airbench_var.shard import WHOLE, Shard
from airbench_var.store import (
    Outcome,
    RunSpec,
    StoreWriter,
    describe_test_set,
    filesystem_of,
    network_warning,
)
from airbench_var.store.rows import columns_of

#: Rows are committed when this many wait, or when the last commit is this long ago.
BATCH_ROWS, BATCH_S = 64, 1.0

#: A batch may grow to this many while it is younger than it took to keep the one before: where outcomes come
#: faster than they are kept, as with a disk that takes milliseconds to sync, more of them share a sync.
MOST_ROWS = 512

Say = Callable[[str], None]  #: shows a line that stays


class Subject(Protocol):
    """What the runs of a campaign are of: which test sets they predict, and the function that is one run.

    `training.RecipeOnData` is one, `finetuning.FinetuningOnPairs` and `own.OwnFunction` are others.
    """

    @property
    def name(self) -> str:
        """One word for people: that of the recipe."""

    @property
    def title(self) -> str:
        """One line for people."""

    @property
    def labels(self) -> Mapping[str, npt.NDArray[Any]]:
        """The labels (N,) of every test set that a run predicts, by name; one or two bytes each."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""

    def refuse_misfit(self) -> None:
        """Raise UsageError when it cannot be trained; computes nothing."""

    def identity(self) -> dict[str, Any]:
        """Return what changes the bits of a run, besides its seeds and test sets, as JSON values."""

    def provenance(self) -> dict[str, Any]:
        """Return where the runs come from, for people; never compared. Has what `machine.origin` returns."""

    def make_train(self, *, workers_see_one_gpu: bool) -> MakeTrain:
        """Return what prepares the training of runs in a worker."""


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What is asked for: the store at `out` ends with `runs` committed runs, or those of a shard."""

    subject: Subject
    out: Path
    runs: int
    seed: int = 0
    vary: tuple[str, ...] = STREAMS
    placement: Placement = HERE
    shard: Shard = WHOLE  #: the runs of this job, where others train the rest; by default all
    stopping: str = ""  #: how many runs there will be, where `runs` is only the most; for people

    def __post_init__(self) -> None:
        """Raise UsageError unless runs and seed are whole numbers and there is something to vary."""
        plain = {
            "runs": whole_number("runs", self.runs, 1),
            "seed": whole_number("seed", self.seed, 0),
            "vary": parse_vary(self.vary),
        }
        for name, value in plain.items():  # as a store writes them: NumPy's integers are no JSON
            object.__setattr__(self, name, value)

    def identity(self) -> dict[str, Any]:
        """Return what must match when the store is opened again, as JSON values."""
        return {
            **self.subject.identity(),
            "seed": self.seed,
            "vary": list(self.vary),
            "test_sets": [
                describe_test_set(name, labels_N, self.subject.classes)
                for name, labels_N in self.subject.labels.items()
            ],
            "columns": columns_of(len(self.subject.classes)),
        }

    @property
    def run_ids(self) -> range:
        """The ids of the runs that are asked for."""
        return self.shard.run_ids(self.runs)

    @property
    def make_train(self) -> MakeTrain:
        """What prepares the training of its runs in a worker."""
        return self.subject.make_train(workers_see_one_gpu=self.placement.workers_see_one_gpu)

    def provenance(self) -> dict[str, Any]:
        """Return where the runs come from, for people; never compared."""
        return {
            **self.subject.provenance(),
            **self.placement.to_json(),
            "filesystem": filesystem_of(self.out),
            **({"stopping": self.stopping} if self.stopping else {}),
            **({"shard": str(self.shard)} if self.shard != WHOLE else {}),
        }


@dataclass(frozen=True, kw_only=True)
class Session:
    """A campaign whose store is open for writing: each outcome that comes is kept, counted and told."""

    campaign: Campaign
    writer: StoreWriter
    statistics: LiveStatistics
    provenance: Mapping[str, Any]

    @classmethod
    @contextmanager
    def open(cls, campaign: Campaign) -> Iterator[Self]:
        """Yield the session within which nobody else may write; the store is made if it is not there.

        Raises: as `StoreWriter.open` and `LiveStatistics.of_store`.
        """
        provenance = campaign.provenance()
        with StoreWriter.open(
            campaign.out,
            identity=campaign.identity(),
            labels=campaign.subject.labels,
            provenance=provenance,
            capacity=campaign.runs,
            own=None if campaign.shard == WHOLE else campaign.run_ids,
        ) as writer:
            statistics = LiveStatistics.of_store(writer.store)
            yield cls(campaign=campaign, writer=writer, statistics=statistics, provenance=provenance)

    @property
    def make_train(self) -> MakeTrain:
        """What prepares the training of its runs in a worker."""
        return self.campaign.make_train

    def spec(self, run_id: int, arm: int = 0) -> RunSpec:
        """Return what a run is trained from."""
        seeds = seeds_of_run(self.campaign.seed, run_id, self.campaign.vary)
        return RunSpec(run_id=run_id, seeds=seeds, arm=arm)

    def start(self, say: Say) -> None:
        """Note in the store that training begins, and say what the reader should know of it."""
        committed = self.writer.committed_count
        self.writer.event("start", runs=self.campaign.runs, committed=committed, **self.provenance)
        if warning := network_warning(self.campaign.out):
            say(f"warning: {warning}")
        for line in _changes_of_origin(self.writer.manifest.provenance, self.provenance):
            say(line)
        if self.statistics.note:
            say(f"note: {self.statistics.note}")

    def record(self, batch: Sequence[Outcome], say: Say) -> None:
        """Commit a batch and count it; say which runs failed."""
        self.writer.commit(batch)
        for outcome in batch:
            if outcome.result is None:
                self.writer.event("failed", run_id=outcome.spec.run_id, why=outcome.failure)
                say(f"run {outcome.spec.run_id} failed: {outcome.failure}")
        self.statistics.update(batch)

    def keep(self, say: Say) -> None:
        """Keep the statistics in the store when that saves much counting next time."""
        if note := self.statistics.keep(self.writer.store):
            say(f"note: {note}")

    def stop(self, interrupt: Interrupt) -> None:
        """Note in the store that training ends."""
        came = interrupt.signal
        self.writer.event("stop", committed=self.writer.committed_count, signal=came and came.name)


def run_campaign(
    campaign: Campaign,
    mode: Mode = "quiet",
    execute: Executor | None = None,
    begun: Callable[[int], None] = lambda there: None,
) -> Analysis:
    """Train what is missing, commit row by row, and return the estimates of the finished store.

    `mode` says how progress is shown. `execute` is by default that of `campaign.placement`. What is missing
    are the runs that were never tried, and then, once more, those that failed before. Of a shard, only its
    own runs are trained, waited for and reported; the store may hold others, which the estimates count too.
    `begun` is told how many of them are there, once nothing is refused any more.

    Raises:
        UsageError: the recipe does not fit the data, or the shard has no run; no store was made.
        StoreRefusedError: the store is of another campaign, in use, or has more runs already.
        StorageError: the disk is full or failing; what was shown as done is safe.
        InterruptedCampaignError: a signal came with work left; what was finished is committed.
        RunsFailedError: some runs killed their worker three times; all others are committed.
    """
    campaign.subject.refuse_misfit()
    with Session.open(campaign) as session:
        writer, statistics = session.writer, session.statistics
        beyond = [run_id for run_id in writer.committed_ids() if run_id >= campaign.runs]
        if beyond:
            raise StoreRefusedError(
                f"{campaign.out} has {len(beyond):,} run{'s' if len(beyond) > 1 else ''} beyond the "
                f"{campaign.runs:,} asked for, which are the total. Ask for more (--runs), or choose another "
                "--out."
            )
        own, there = campaign.run_ids, writer.committed_ids()
        begun(sum(run_id in own for run_id in there))
        undone = [*writer.open_ids(campaign.runs), *writer.failed_ids(campaign.runs)]
        work = [run_id for run_id in undone if run_id in own]
        if work:
            total, tried = len({*own, *there}), 0
            with (
                LiveView(total, len(there), mode, campaign.subject.title) as view,
                Interrupt(view.message) as interrupt,
            ):
                session.start(view.message)
                execute = execute or campaign.placement.execute
                specs = map(session.spec, work)  # one by one: a million would take 12 s and 0.4 GB
                reports = execute([session.make_train], specs, interrupt.requested)
                for batch in in_batches(listen(reports, [session], view.message, view.begins), may_grow=True):
                    session.record(batch, view.message)
                    view.update(statistics.runs, partial(statistics.analysis, thorough=False))
                    tried += len(batch)
                session.keep(view.message)
            session.stop(interrupt)
            if (came := interrupt.signal) and tried < len(work):
                done = sum(run_id in own for run_id in writer.committed_ids())
                raise InterruptedCampaignError(
                    f"stopped by {came.name} with {done} of {len(own)} runs committed in {campaign.out}. "
                    "The same command goes on from there.",
                    exit_code=128 + came,
                )
        failed = [run_id for run_id in writer.failed_ids(campaign.runs) if run_id in own]
    if failed:
        raise RunsFailedError(
            f"{len(failed)} of {len(own)} runs failed, the first is run {failed[0]}; all others are "
            f"committed in {campaign.out}. Its events.jsonl says why; the same command tries them again."
        )
    return statistics.analysis()


def listen(
    reports: Iterable[Report], sessions: Sequence[Session], say: Say, begins: Callable[[], None]
) -> Iterator[Outcome | None]:
    """Yield the outcomes; note in the stores, and say, what else is told; `begins`: a worker is ready."""
    devices = set[object]()
    for report in reports:
        if not isinstance(report, Notice):
            yield report
            continue
        if report.kind == "ready":
            begins()
        for session in sessions:
            session.writer.event(report.kind, **report.fields)
        if report.text:
            say(report.text)
        device = report.fields.get("device")
        if device and device not in devices and devices:
            say(f"note: {report.fields.get('host')} trains on {device}, others do not: their bits may differ")
        devices |= {device} if device else set()


def _changes_of_origin(made: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield what differs between the session that made the store and this one and may change bits."""
    if made.get("source_sha256") != now.get("source_sha256"):
        yield "note: the source of your function is another than when the store was made; runs may differ"
    for key in ("device", "driver", "versions", "commit"):
        if made.get(key) != now.get(key):
            yield f"note: {key} of the store is {made.get(key)}, of this session {now.get(key)}"


def in_batches(
    outcomes: Iterable[Outcome | None],
    clock: Callable[[], float] = time.monotonic,
    *,
    may_grow: bool = False,
) -> Generator[list[Outcome], None, None]:
    """Yield outcomes in batches of BATCH_ROWS, or whatever is there BATCH_S after the last batch.

    When they may, batches grow while their reader takes longer to keep one than the next takes to come.

    A None among the outcomes is an executor's sign that it is waiting: time to look at the clock. When an
    error or a second Ctrl-C ends the outcomes early, what has finished is yielded before it is raised.
    """
    most_rows = MOST_ROWS if may_grow else BATCH_ROWS
    batch: list[Outcome] = []
    last_s, keeping_s = clock(), 0.0
    try:
        for outcome in outcomes:
            if outcome is not None:
                batch.append(outcome)
            if not batch:
                continue
            now_s = clock()
            wait_s = min(keeping_s, BATCH_S) if len(batch) >= BATCH_ROWS else BATCH_S
            if now_s - last_s >= wait_s or len(batch) >= most_rows:
                yield batch
                batch, last_s = [], clock()
                keeping_s = last_s - now_s
    except (Exception, KeyboardInterrupt):
        if batch:
            yield batch
        raise
    if batch:
        yield batch
