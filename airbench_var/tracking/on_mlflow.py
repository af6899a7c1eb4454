"""MLflow: an experiment "airbench_var" in a local database, or where $MLFLOW_TRACKING_URI says."""

import os
import re
import time
from collections.abc import Iterable, Mapping
from itertools import chain, count
from pathlib import Path
from typing import Any

from airbench_var.store import Store
from airbench_var.tracking import parameters

EXPERIMENT = "airbench_var"
#: Characters of a parameter that every server takes, of its key with room for a number.
_MOST_TEXT, _MOST_KEY = 500, 240
_MOST_METRICS = 1000  #: in one call, the server's limit


class MlflowTracker:
    """One MLflow run for the store; run ids, and numbers of runs, are the steps of its metrics."""

    def __init__(self, client: Any, run_id: str, uri: str) -> None:
        self._client, self._id, self.where = client, run_id, f"mlflow ui --backend-store-uri {uri}"
        self._waiting: list[Any] = []

    def run(self, run_id: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._log("run", run_id, values)

    def estimates(self, runs: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._log("estimate", runs, values)
        self._flush()

    def close(self, *, failed: bool = False) -> None:
        """See `Tracker`."""
        try:
            self._flush()
        except BaseException:
            failed = True
            raise
        finally:
            self._client.set_terminated(self._id, "FAILED" if failed else "FINISHED")

    def describe(self, values: Mapping[str, str]) -> None:
        """Take what the store is of."""
        for key, text in values.items():
            self._client.log_param(self._id, key, text)

    def _log(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now_ms = int(1000 * time.time())
        self._waiting += [Metric(f"{kind}/{name}", value, now_ms, step) for name, value in values.items()]

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), _MOST_METRICS):
            self._client.log_batch(self._id, metrics=waiting[start : start + _MOST_METRICS])


def open_tracker(store: Store, folder: Path) -> MlflowTracker:
    """Return a tracker that has been told what the store is of."""
    from mlflow.tracking import MlflowClient

    described = as_taken(parameters(store.manifest.identity))
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.resolve()}/mlflow.db"
    client = MlflowClient(uri)
    there = client.get_experiment_by_name(EXPERIMENT)
    experiment = there.experiment_id if there else client.create_experiment(EXPERIMENT)
    run_id = client.create_run(experiment, run_name=store.path.name).info.run_id
    tracker = MlflowTracker(client, run_id, uri)
    try:
        tracker.describe(described)
    except BaseException:
        tracker.close(failed=True)
        raise
    return tracker


def as_taken(values: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return parameters as a server takes them, in their order.

    In a key, what is no letter, digit, `_`, `-`, `.` or space becomes `_`, and it is cut to 240 characters,
    its text to 500. Of keys that are then the same, the second gets -2, the third -3.
    """
    taken: dict[str, str] = {}
    for key, text in values:
        plain = re.sub(r"[^\w.\- ]", "_", key)[:_MOST_KEY]
        numbered = chain([plain], (f"{plain}-{i}" for i in count(2)))
        taken[next(name for name in numbered if name not in taken)] = text[:_MOST_TEXT]
    return taken
