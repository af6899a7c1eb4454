"""TensorBoard: an event file; a run is the step of its scalars."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airbench_var.store import Store


class TensorBoardTracker:
    """Scalars over run ids, and estimates over the number of runs."""

    def __init__(self, writer: Any, folder: Path) -> None:
        self._writer, self.where = writer, f"tensorboard --logdir {folder}"

    def run(self, run_id: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        for name, value in values.items():
            self._writer.add_scalar(f"run/{name}", value, run_id)

    def estimates(self, runs: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        for name, value in values.items():
            self._writer.add_scalar(f"estimate/{name}", value, runs)
        self._writer.flush()

    def close(self, *, failed: bool = False) -> None:
        """See `Tracker`; an event file does not say how it ended."""
        self._writer.close()


def open_tracker(store: Store, folder: Path) -> TensorBoardTracker:
    """Return a tracker with a folder of the store's name."""
    from torch.utils.tensorboard import SummaryWriter  # seconds: torch

    # What was told of this store before is told anew, so TensorBoard is to forget it.
    writer = SummaryWriter(str(folder / store.path.name), purge_step=0)
    writer.add_text("store", f"```\n{json.dumps(store.manifest.identity, indent=1)}\n```")
    return TensorBoardTracker(writer, folder)
