"""Rows that come with a verdict: copies of records and payload, each compared with its checksum."""

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import numpy as np
import numpy.typing as npt

from airbench_var.store.damage import Fault, before_another_look
from airbench_var.store.layout import RowLayout
from airbench_var.store.manifest import Manifest, Matrix
from airbench_var.store.records import (
    COMMITTED,
    RUNS,
    Bytes,
    Records,
    RunIds,
    damaged_records,
    payload_crcs,
    runs_layout,
)
from airbench_var.store.row_reader import RowReader

DIFFERS = "is not what was committed: its checksum differs"


class CheckedRows:
    """The rows of a store; what is handed out is what was checked."""

    def __init__(self, store: Path, manifest: Manifest, *, missing_as_zeros: bool = False) -> None:
        def reader(layout: RowLayout) -> RowReader:
            return RowReader(store, layout, missing_as_zeros=missing_as_zeros)

        self._uuid: UUID = manifest.uuid
        self._order = manifest.matrices
        self._runs = reader(runs_layout(manifest))
        self._matrices = {matrix: reader(matrix.layout) for matrix in manifest.matrices}

    def read(self, ids: RunIds, matrices: Sequence[Matrix] = ()) -> tuple[Records, list[Bytes], list[Fault]]:
        """Return records (R,), the rows (R, width) of each matrix, and what is wrong with them.

        A fault is what is found at two looks: beside a writer, a row may be half there at the first.
        """
        before: set[Fault] = set()
        while True:
            records = self._runs.read(ids)
            rows = [self._matrices[matrix].read(ids) for matrix in matrices]
            faults = self._faults(ids, records, matrices, rows)
            if before.issuperset(faults):
                return records, rows, faults
            before = set(faults)
            before_another_look()

    def _faults(
        self, ids: RunIds, records: Records, matrices: Sequence[Matrix], rows: Sequence[Bytes]
    ) -> list[Fault]:
        damaged = damaged_records(ids, records, self._uuid)
        faults = [Fault(RUNS, int(run_id), DIFFERS) for run_id in ids[damaged]]
        vouched = (records["state"] == COMMITTED) & ~damaged
        if not vouched.any():
            return faults
        promised = dict(zip(self._order, _columns_of(records["payload_crc"]), strict=True))
        for matrix, rows_Rb in zip(matrices, rows, strict=True):
            differs = vouched & (payload_crcs(rows_Rb) != promised[matrix])
            faults += [Fault(matrix.file, int(run_id), DIFFERS) for run_id in ids[differs]]
        return faults


def _columns_of(crcs_RTM: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Return one row per matrix, in manifest order, from (R, T, M)."""
    return crcs_RTM.reshape(len(crcs_RTM), -1).T
