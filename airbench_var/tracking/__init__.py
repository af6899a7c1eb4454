"""Tell TensorBoard, Weights & Biases or MLflow of a store's runs: a reader of the store, beside the campaign.

A tracker that fails or is slow cannot harm a campaign, which knows nothing of it; and a finished store can be
told as well as one that is being written.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Protocol

from airbench_var.analysis import LiveStatistics, TestSetSummary, follow
from airbench_var.errors import AirbenchVarError, DeviceError, StorageError, UsageError, nearest
from airbench_var.store import Store
from airbench_var.store.disk import storage_errors
from airbench_var.store.records import Records

#: Kind, which is the name of its package -> the module with its `open_tracker`, the only one that imports it.
KINDS: Mapping[str, str] = {
    "tensorboard": "airbench_var.tracking.on_tensorboard",
    "wandb": "airbench_var.tracking.on_wandb",
    "mlflow": "airbench_var.tracking.on_mlflow",
}

#: Estimates that are told as runs come, each with its interval.
TOLD = ("mean_accuracy", "test_set_std", "distribution_wise_std")


class Tracker(Protocol):
    """Where numbers of runs are shown."""

    where: str  #: for people: where to look

    def run(self, run_id: int, values: Mapping[str, float]) -> None:
        """Take the numbers of one run; runs come in any order, each once."""

    def estimates(self, runs: int, values: Mapping[str, float]) -> None:
        """Take the estimates from so many runs."""

    def close(self, *, failed: bool = False) -> None:
        """See that nothing is lost, and end the run, as failed where telling it all did."""


def require(kind: str) -> None:
    """Raise UsageError for a kind that there is not, DeviceError when its package is missing."""
    if kind not in KINDS:
        raise UsageError(f"unknown tracker {kind!r}{nearest(kind, [*KINDS])}. Known: {', '.join(KINDS)}.")
    if find_spec(kind) is None:
        raise DeviceError(
            f"{kind} is not installed: pip install 'airbench_var[{kind}]', or choose another tracker."
        )


def open_tracker(kind: str, store: Store, folder: Path) -> Tracker:
    """Return a tracker of this kind that keeps its files in a folder, told what the store is of.

    Raises: as `require`; StorageError when the folder cannot be written, which packages notice late or never.
    """
    require(kind)
    with storage_errors(folder, "writing", instead="choose another folder with --dir"):
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    found: Tracker = import_module(KINDS[kind]).open_tracker(store, folder)
    return found


@contextmanager
def package_errors(kind: str, folder: Path) -> Iterator[None]:
    """Turn what the package of a tracker raises, or its disk or server, into a StorageError of one line."""
    try:
        yield
    except AirbenchVarError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] != kind:
            raise  # a defect of ours
        why = str(error).strip().partition("\n")[0].removesuffix(".") or type(error).__name__
        raise StorageError(
            f"{kind} cannot be told: {why}. The store is as it was. Check {folder} and, where one was given, "
            "the server; then give the same command again."
        ) from error


def _nothing(_: int) -> None: ...


def track(
    store: Store,
    statistics: LiveStatistics,
    tracker: Tracker,
    *,
    following: bool = False,
    told: Callable[[int], None] = _nothing,
) -> int:
    """Tell a tracker every committed run and the estimates, and return how many runs; then close it.

    `statistics` are those of the store so far, taken before the tracker was opened, so that a store that
    cannot be read leaves no empty run there. `following` goes on until the store is complete and nobody
    writes. `told` is called with the number of runs that were told. Raises as `follow`, and whatever the
    tracker raises, which has failed then.
    """
    known: set[int] = set()
    with _closing(tracker):
        for now in follow(store, statistics) if following else [statistics]:
            fresh = [run_id for run_id in store.committed_ids().tolist() if run_id not in known]
            for run_id, values in run_values(store, store.records(fresh)):
                tracker.run(run_id, values)
            known.update(fresh)
            summaries = now.analysis(thorough=False).test_sets
            tracker.estimates(now.runs, dict(estimate_values(summaries)))
            told(len(known))
    return len(known)


@contextmanager
def _closing(tracker: Tracker) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(Exception):  # on the way out of another error, which says more
            tracker.close(failed=True)
        raise
    tracker.close()


def run_values(store: Store, records: Records) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield run id and numbers of each record; what an imported run has not, as a loss, is left out."""
    sizes = [test_set.n for test_set in store.manifest.test_sets]
    for record in records:
        accuracies = {
            f"accuracy/{name}": int(k) / n
            for name, k, n in zip(store.test_sets, record["correct"], sizes, strict=True)
        }
        others = {key: float(record[key]) for key in ("loss", "train_s", "diverged")}
        values = accuracies | others
        yield int(record["run_id"]), {key: value for key, value in values.items() if math.isfinite(value)}


def estimate_values(summaries: Iterable[TestSetSummary]) -> Iterator[tuple[str, float]]:
    """Yield estimates and the ends of their intervals, by name, as far as there are any."""
    for summary in summaries:
        for name in TOLD:
            estimate = summary.estimates[name]
            if estimate.value is not None:
                yield f"{name}/{summary.name}", estimate.value
            if estimate.interval is not None:
                low, high = estimate.interval
                yield f"{name}_low/{summary.name}", low
                yield f"{name}_high/{summary.name}", high


def parameters(identity: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield what a store is of as dotted keys and text: recipe.optimizer.lr, ...; without its test sets."""
    for key, value in identity.items():
        if isinstance(value, Mapping):
            yield from parameters(value, f"{prefix}{key}.")
        elif f"{prefix}{key}" != "test_sets":
            yield f"{prefix}{key}", str(value)
