"""A campaign: one recipe, many runs, one store. The one place that knows both halves."""

import os
import platform
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any

from airbench_var.analysis import Analysis, LiveStatistics
from airbench_var.data.dataset import Dataset
from airbench_var.errors import InterruptedCampaignError, RunsFailedError, StoreRefusedError
from airbench_var.execution import Executor, MakeTrain, in_process, process_pool
from airbench_var.recipe import Recipe
from airbench_var.report.live import LiveView, Mode
from airbench_var.seeds import STREAMS, seeds_of_run
from airbench_var.store import Outcome, RunSpec, StoreWriter, describe_test_set
from airbench_var.training import Settings, make_trainer, test_sets_of

#: Rows are committed when this many wait, or when the last commit is this long ago.
BATCH_ROWS, BATCH_S = 64, 1.0


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What is asked for: the store at `out` ends with exactly `runs` committed runs."""

    recipe: Recipe
    data: Dataset
    out: Path
    runs: int
    seed: int = 0
    vary: tuple[str, ...] = STREAMS
    settings: Settings
    workers: int = 1

    def identity(self) -> dict[str, Any]:
        """Return what must match when the store is opened again, as JSON values.

        The loader and the number of workers are missing on purpose: they do not change a bit.
        """
        hyperparameters = self.recipe.to_dict()
        del hyperparameters["name"]
        labels_N = self.data.test.labels_N
        names = test_sets_of(self.recipe, self.data.name)
        return {
            "recipe": hyperparameters,
            "recipe_sha256": self.recipe.sha256,
            "data": {"name": self.data.name, **self.data.fingerprint},
            "seed": self.seed,
            "vary": list(self.vary),
            "numerics": self.settings.numerics(self.recipe),
            "test_sets": [describe_test_set(name, labels_N, self.data.classes) for name in names],
            "columns": ["correct", "predicted"],
        }

    def provenance(self) -> dict[str, Any]:
        """Return where the runs come from, for people; never compared."""
        return {
            "recipe_name": self.recipe.name,
            "data_title": self.data.title,
            "data_source": self.data.source,
            "loader": self.settings.loader,
            "workers": self.workers,
            "device": self.settings.device_name(),
            "versions": {name: _version(name) for name in ("airbench_var", "torch", "triton", "numpy")},
            "python": platform.python_version(),
            "commit": _commit(),
            "command": shlex.join([Path(sys.orig_argv[0]).name, *sys.orig_argv[1:]]),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def default_workers(settings: Settings) -> tuple[int, str]:
    """Return how many processes to train in, and the reason."""
    if not settings.on_cpu:
        return 1, "one process on a GPU"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // settings.threads), f"{cores} CPU cores, {settings.threads} for each run"


def run_campaign(campaign: Campaign, mode: Mode = "quiet", execute: Executor | None = None) -> Analysis:
    """Train what is missing, commit row by row, and return the estimates of the finished store.

    `mode` says how progress is shown. `execute` is by default chosen by `campaign.workers`.

    Raises:
        StoreRefusedError: the store is of another campaign, in use, or has more runs already.
        StorageError: the disk is full or failing; what was shown as done is safe.
        InterruptedCampaignError: a signal came; runs under way were finished and committed.
        RunsFailedError: some runs killed their worker three times; all others are committed.
    """
    labels_N = campaign.data.test.labels_N
    with StoreWriter.open(
        campaign.out,
        identity=campaign.identity(),
        labels=dict.fromkeys(test_sets_of(campaign.recipe, campaign.data.name), labels_N),
        provenance=campaign.provenance(),
        capacity=campaign.runs,
    ) as writer:
        done = writer.committed_count
        if done > campaign.runs:
            raise StoreRefusedError(
                f"{campaign.out} already has {done} committed runs, more than --runs {campaign.runs}, "
                "which is the total. Ask for at least as many, or choose another --out."
            )
        statistics = LiveStatistics.of_store(writer.store)
        open_ids = writer.open_ids(campaign.runs)
        if open_ids:
            writer.event("start", runs=campaign.runs, committed=done, **campaign.provenance())
            title = f"{campaign.recipe.name} on {campaign.data.title}"
            with LiveView(campaign.runs, done, mode, title) as view, Interrupt(view.message) as interrupt:
                _train(campaign, writer, statistics, view, interrupt, open_ids, execute)
            writer.event("stop", committed=writer.committed_count, signal=interrupt.name)
            if interrupt.name:
                raise InterruptedCampaignError(
                    f"stopped by {interrupt.name} with {writer.committed_count} of {campaign.runs} runs "
                    f"committed in {campaign.out}. The same command goes on from there.",
                    exit_code=128 + signal.Signals[interrupt.name],
                )
        failed = writer.store.failed_ids()
    if len(failed):
        raise RunsFailedError(
            f"{len(failed)} of {campaign.runs} runs failed for good, the first is run {failed[0]}; all "
            f"others are committed in {campaign.out}. Its events.jsonl says why."
        )
    return statistics.analysis()


def _train(
    campaign: Campaign,
    writer: StoreWriter,
    statistics: LiveStatistics,
    view: LiveView,
    interrupt: "Interrupt",
    open_ids: list[int],
    execute: Executor | None,
) -> None:
    """Run every open id and commit what comes back; only what is committed is counted and shown."""
    make_train: MakeTrain = partial(make_trainer, campaign.recipe, campaign.data, campaign.settings)
    specs = [RunSpec(run_id=i, seeds=seeds_of_run(campaign.seed, i, campaign.vary)) for i in open_ids]
    execute = execute or (
        in_process if campaign.workers == 1 else partial(process_pool, workers=campaign.workers)
    )
    for batch in in_batches(execute(make_train, specs, interrupt.requested)):
        writer.commit(batch)
        for outcome in batch:
            if outcome.result is None:
                writer.event("failed", run_id=outcome.spec.run_id, why=outcome.failure)
                view.message(f"run {outcome.spec.run_id} failed for good: {outcome.failure}")
        statistics.update(batch)
        view.update(statistics.analysis())


def in_batches(
    outcomes: Iterable[Outcome | None], clock: Callable[[], float] = time.monotonic
) -> Iterator[list[Outcome]]:
    """Yield outcomes in batches of up to BATCH_ROWS, or whatever is there BATCH_S after the last batch.

    A None among the outcomes is an executor's sign that it is waiting: time to look at the clock.
    """
    batch: list[Outcome] = []
    last_s = clock()
    for outcome in outcomes:
        if outcome is not None:
            batch.append(outcome)
        if len(batch) >= BATCH_ROWS or (batch and clock() - last_s >= BATCH_S):
            yield batch
            batch, last_s = [], clock()
    if batch:
        yield batch


class Interrupt:
    """Within this context the first SIGINT or SIGTERM asks for an orderly end, the second ends at once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.name = ""  #: of the signal that came
        self._say = say
        self._previous: dict[signal.Signals, Any] = {}

    def requested(self) -> bool:
        """Whether a signal came."""
        return bool(self.name)

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():  # elsewhere Python takes no handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.name:
            raise KeyboardInterrupt
        self.name = signal.Signals(number).name
        self._say(f"{self.name}: finishing the runs under way; once more stops at once.")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Return the commit of the checkout this package is imported from, with '+' when it has changes."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        )
        dirty = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None  # no git, or an installed package
    return head.stdout.strip() + ("+" if dirty.stdout else "")
