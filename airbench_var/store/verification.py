"""Read a whole store and list every fault: what `verify` prints and `repair` starts from."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from airbench_var.errors import StorageError, StoreDamagedError, StoreRefusedError
from airbench_var.store.checked import CheckedRows
from airbench_var.store.damage import Fault, FaultError, damaged
from airbench_var.store.extent import measure
from airbench_var.store.manifest import MANIFEST, MANIFEST_COPY, Manifest
from airbench_var.store.reader import ROWS_PER_BLOCK, read_labels, refuse_what_is_no_store
from airbench_var.store.records import (
    COMMITTED,
    FAILED,
    OPEN,
    RECORDS_PER_BLOCK,
    RUNS,
    Records,
    RunIds,
    runs_layout,
)


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was found in a store; it is whole when there are no faults."""

    store: Path
    manifest: Manifest
    capacity: int  #: runs there is room for
    committed: int  #: records that vouch for a row; the row may be among the faults
    failed: int
    open: int
    bytes_read: int
    elapsed_s: float
    faults: tuple[Fault, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON values."""
        return {
            "store": str(self.store),
            "uuid": str(self.manifest.uuid),
            "whole": not self.faults,
            "capacity": self.capacity,
            "committed": self.committed,
            "failed": self.failed,
            "open": self.open,
            "bytes_read": self.bytes_read,
            "elapsed_s": self.elapsed_s,
            "faults": [fault._asdict() for fault in self.faults],
        }


def verify(path: str | os.PathLike[str]) -> Verification:
    """Compare every file, record and committed row of a store with its checksum; write nothing.

    It may run beside a writer. Where a file is damaged as a whole, what is left of it is read.

    Raises: UsageError when there is no store, StoreRefusedError for a newer format or another's folder,
    StoreDamagedError when neither the manifest nor its copy can be read.
    """
    store, start_s = Path(path), time.perf_counter()
    refuse_what_is_no_store(store)
    manifest, faults = load_manifest(store)
    faults += labels_faults(store, manifest)
    extent = measure(store, manifest)
    faults += extent.faults
    states = np.zeros(3, np.int64)
    for ids, records, found in look_at_rows(store, manifest, extent.capacity):
        sound = ~_with_fault(ids, found) & (records["state"] <= FAILED)
        states += np.bincount(records["state"][sound], minlength=3)
        faults += found
    record_bytes = runs_layout(manifest).row_bytes
    payload_bytes = sum(matrix.width for matrix in manifest.matrices)
    return Verification(
        store=store,
        manifest=manifest,
        capacity=extent.capacity,
        committed=int(states[COMMITTED]),
        failed=int(states[FAILED]),
        open=int(states[OPEN]),
        bytes_read=extent.capacity * record_bytes + int(states[COMMITTED]) * payload_bytes,
        elapsed_s=time.perf_counter() - start_s,
        faults=tuple(faults),
    )


def load_manifest(store: Path) -> tuple[Manifest, list[Fault]]:
    """Return the manifest, from its copy when it is damaged, and what is wrong with the two.

    Raises: StoreDamagedError or StoreRefusedError when neither can be read.
    """
    found: list[Manifest] = []
    faults: list[Fault] = []
    errors: list[StoreDamagedError | StoreRefusedError] = []
    for file in (MANIFEST, MANIFEST_COPY):
        try:
            found.append(Manifest.load(store, file))
        except FaultError as error:
            faults.append(error.fault)
            errors.append(error)
        except StoreRefusedError as error:  # a changed bit can make it another format's
            faults.append(Fault(file, None, "it is not what was written"))
            errors.append(error)
    if not found:
        raise errors[0]
    if found[0] != found[-1]:
        raise damaged(store, Fault(MANIFEST, None, f"it and {MANIFEST_COPY} are of different stores"))
    return found[0], faults


def labels_faults(store: Path, manifest: Manifest) -> list[Fault]:
    """Return what is wrong with the labels of the test sets."""
    faults = []
    for test_set in manifest.test_sets:
        try:
            read_labels(store, test_set)
        except FaultError as error:
            faults.append(error.fault)
        except StorageError as error:
            faults.append(Fault(test_set.labels_file, None, f"it cannot be read: {error.__cause__}"))
    return faults


def look_at_rows(
    store: Path, manifest: Manifest, capacity: int
) -> Iterator[tuple[RunIds, Records, list[Fault]]]:
    """Yield, block by block, run ids, their records, and the faults of these and of the committed rows.

    The files may be damaged as wholes: what is missing is read as zeros.
    """
    rows = CheckedRows(store, manifest, missing_as_zeros=True)
    for first in range(0, capacity, RECORDS_PER_BLOCK):
        ids = np.arange(first, min(first + RECORDS_PER_BLOCK, capacity))
        records, _, faults = rows.read(ids)
        committed = ids[(records["state"] == COMMITTED) & ~_with_fault(ids, faults)]
        for start in range(0, len(committed), ROWS_PER_BLOCK):
            faults += rows.read(committed[start : start + ROWS_PER_BLOCK], manifest.matrices)[2]
        yield ids, records, faults


def _with_fault(ids: RunIds, faults: list[Fault]) -> npt.NDArray[np.bool_]:
    """Return for each run whether its record is among the faults."""
    damaged_ids = [fault.run_id for fault in faults if fault.file == RUNS and fault.run_id is not None]
    return np.isin(ids, damaged_ids)
