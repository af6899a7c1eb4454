"""MLflow: an experiment "airbench_var" in a local database, or where $MLFLOW_TRACKING_URI says."""

import os
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from airbench_var.errors import DeviceError
from airbench_var.store import Store
from airbench_var.tracking import parameters

EXPERIMENT = "airbench_var"
_MOST_TEXT = 500  #: characters of a parameter that every server takes
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

    def close(self) -> None:
        """See `Tracker`."""
        self._flush()
        self._client.set_terminated(self._id)

    def _log(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now_ms = int(1000 * time.time())
        self._waiting += [Metric(f"{kind}/{name}", value, now_ms, step) for name, value in values.items()]

    def _flush(self) -> None:
        for start in range(0, len(self._waiting), _MOST_METRICS):
            self._client.log_batch(self._id, metrics=self._waiting[start : start + _MOST_METRICS])
        self._waiting = []


def open_tracker(store: Store, folder: Path) -> MlflowTracker:
    """Return a tracker that has been told what the store is of; raises DeviceError without mlflow."""
    if find_spec("mlflow") is None:
        raise DeviceError(
            "mlflow is not installed: pip install 'airbench_var[mlflow]', or choose another tracker."
        )
    from mlflow.tracking import MlflowClient

    folder.mkdir(parents=True, exist_ok=True)
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.resolve()}/mlflow.db"
    client = MlflowClient(uri)
    there = client.get_experiment_by_name(EXPERIMENT)
    experiment = there.experiment_id if there else client.create_experiment(EXPERIMENT)
    run_id = client.create_run(experiment, run_name=store.path.name).info.run_id
    for key, text in parameters(store.manifest.identity):
        client.log_param(run_id, key, text[:_MOST_TEXT])
    return MlflowTracker(client, run_id, uri)
