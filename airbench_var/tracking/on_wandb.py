"""Weights & Biases, offline unless $WANDB_MODE says otherwise: nothing leaves the machine unasked."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airbench_var.store import Store


class WandbTracker:
    """One W&B run for the store; its charts are over run ids, as runs come in any order."""

    def __init__(self, run: Any, folder: Path) -> None:
        self._run = run
        self.where = (
            f"wandb sync {folder}/wandb/offline-*" if run.settings.mode == "offline" else str(run.url)
        )
        for axis in ("run_id", "runs"):
            run.define_metric(axis)
        run.define_metric("run/*", step_metric="run_id")
        run.define_metric("estimate/*", step_metric="runs")

    def run(self, run_id: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._run.log({"run_id": run_id} | {f"run/{name}": value for name, value in values.items()})

    def estimates(self, runs: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._run.log({"runs": runs} | {f"estimate/{name}": value for name, value in values.items()})

    def close(self, *, failed: bool = False) -> None:
        """See `Tracker`."""
        self._run.finish(exit_code=int(failed))


def open_tracker(store: Store, folder: Path) -> WandbTracker:
    """Return a tracker whose project is airbench_var."""
    import wandb

    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", "airbench_var"),
        name=store.path.name,
        dir=folder,
        mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type]
        config={key: value for key, value in store.manifest.identity.items() if key != "test_sets"},
        settings=wandb.Settings(silent=True),
    )
    return WandbTracker(run, folder)
