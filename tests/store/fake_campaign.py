"""Stores with fake runs: a result is a function of the run id, as with real training, but costs nothing."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from airbench_var.errors import AirbenchVarError as AirbenchVarError
from airbench_var.seeds import Seeds, seeds_of_run
from airbench_var.store import (
    Outcome,
    Predictions,
    RunResult,
    RunSpec,
    StoreWriter,
    describe_test_set,
)

CLASSES = ("cat", "dog", "ship")
#: 13 examples leave three pad bits in the last byte, 600 leave none and make rows longer than a disk sector.
SIZES = {"alpha": 13, "beta-tta": 600}
LABELS = {
    name: np.random.default_rng(n).integers(0, len(CLASSES), n).astype(np.uint8) for name, n in SIZES.items()
}
IDENTITY: dict[str, Any] = {
    "recipe": {"name": "fake", "epochs": 8.0},
    "seed": 1,
    "vary": ("init", "order", "aug"),
    "test_sets": [describe_test_set(name, labels, CLASSES) for name, labels in LABELS.items()],
    "columns": ["correct", "predicted"],
}
PROVENANCE = {"airbench_var": "0.1.0", "device": "none"}
MATRICES = tuple(f"{name}/{column}.npy" for name in SIZES for column in ("correct", "predicted"))


def predictions_of(run_id: int) -> dict[str, Predictions]:
    rng = np.random.default_rng([run_id, 7])
    result = {}
    for name, labels in LABELS.items():
        wrong = rng.random(len(labels)) < 0.3
        predicted = np.where(wrong, (labels + 1) % len(CLASSES), labels).astype(np.uint8)
        result[name] = Predictions(
            correct=np.packbits(predicted == labels, bitorder="little"), predicted=predicted
        )
    return result


def outcome(run_id: int, *, attempt: int = 1, worker: int = 0) -> Outcome:
    return Outcome(
        spec=RunSpec(run_id=run_id, seeds=seeds_of_run(1, run_id), attempt=attempt),
        worker=worker,
        result=RunResult(
            predictions=predictions_of(run_id), loss=0.5 / (run_id + 1), diverged=run_id == 2, train_s=1.5
        ),
    )


def failure(run_id: int) -> Outcome:
    return Outcome(
        spec=RunSpec(run_id=run_id, seeds=seeds_of_run(1, run_id), attempt=3),
        worker=0,
        failure="killed 3 times",
    )


def with_other_predictions(run_id: int) -> Outcome:
    given = outcome(run_id)
    assert given.result is not None
    return replace(given, result=replace(given.result, predictions=predictions_of(run_id + 1)))


def with_other_seeds(run_id: int) -> Outcome:
    given = outcome(run_id)
    return replace(given, spec=replace(given.spec, seeds=Seeds(init=1, order=2, aug=3)))


def open_writer(path: Path, capacity: int, **changes: Any) -> StoreWriter:
    options = {"identity": IDENTITY, "labels": LABELS, "provenance": PROVENANCE, "capacity": capacity}
    return StoreWriter.open(path, **(options | changes))


def run_campaign(path: Path, n_runs: int, batch: int = 2) -> None:
    """What a campaign does: make or reopen the store, and commit what is open or has failed."""
    with open_writer(path, n_runs) as writer:
        work = [*writer.open_ids(n_runs), *writer.failed_ids(n_runs)]
        for start in range(0, len(work), batch):
            writer.commit([outcome(run_id) for run_id in work[start : start + batch]])


def matrix_bytes(path: Path, files: Iterable[str] = MATRICES) -> dict[str, bytes]:
    return {file: (path / file).read_bytes() for file in files}


def overwrite(path: Path, data: bytes) -> None:
    """Put other bytes of the same number into a file; some disks sync a file that is truncated first."""
    with path.open("r+b") as file:
        file.write(data)
