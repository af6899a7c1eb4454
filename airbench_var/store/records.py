"""One fixed-width record per run id: what runs.npy holds, and the checksum that vouches for a row.

The record's checksum covers the store's uuid, the run id, and the checksums of the run's row in every
matrix, so a row of another store or of another run fails, and a fault is named by the file it is in.
"""

import zlib
from collections.abc import Sequence
from uuid import UUID

import numpy as np
import numpy.typing as npt

from airbench_var.store.layout import RowLayout
from airbench_var.store.manifest import Manifest

RUNS = "runs.npy"
OPEN, COMMITTED, FAILED = 0, 1, 2

#: Records that are read, checked or written at a time.
RECORDS_PER_BLOCK = 1 << 16

Records = npt.NDArray[np.void]
Bytes = npt.NDArray[np.uint8]
RunIds = npt.NDArray[np.int64]


def runs_layout(manifest: Manifest) -> RowLayout:
    """Return where the records lie."""
    return RowLayout(RUNS, manifest.record_dtype)


def row_layouts(manifest: Manifest) -> tuple[RowLayout, ...]:
    """Return where the rows of every file lie that has one a run: the records, then the matrices."""
    return (runs_layout(manifest), *(matrix.layout for matrix in manifest.matrices))


def seal(record: Records, payload: Sequence[Bytes], uuid: UUID) -> None:
    """Set the checksums of one record () from the run's row in every matrix, in manifest order."""
    crcs = np.array([zlib.crc32(row.data) for row in payload], np.uint32)
    record["payload_crc"] = crcs.reshape(record["payload_crc"].shape)
    record["crc"] = 0
    record["crc"] = zlib.crc32(
        record.tobytes(), zlib.crc32(uuid.bytes)
    )  # as `record_crcs`, which is for many


def open_records(manifest: Manifest, run_ids: RunIds) -> Records:
    """Return the sealed records (R,) of runs that are still to be done.

    They are not all zeros, so that a part of the file that was lost to zeros is not taken for work undone.
    """
    records = np.zeros(len(run_ids), manifest.record_dtype)
    records["run_id"] = run_ids
    records["crc"] = record_crcs(records, manifest.uuid)
    return records


def record_crcs(records: Records, uuid: UUID) -> npt.NDArray[np.uint32]:
    """Return the CRC32, for records (R,), of uuid bytes followed by the record with its crc set to 0."""
    blank = records.copy()
    blank["crc"] = 0
    rows = blank.view(np.uint8).reshape(len(blank), blank.itemsize)
    start = zlib.crc32(uuid.bytes)
    return np.fromiter((zlib.crc32(row.data, start) for row in rows), np.uint32, len(blank))


def damaged_records(run_ids: RunIds, records: Records, uuid: UUID) -> npt.NDArray[np.bool_]:
    """Return for records (R,) whether each is not one that was sealed for its run id in this store."""
    sound = (records["run_id"] == run_ids) & (records["crc"] == record_crcs(records, uuid))
    damaged: npt.NDArray[np.bool_] = ~sound | (records["state"] > FAILED)
    return damaged


def payload_crcs(rows_Rb: Bytes) -> npt.NDArray[np.uint32]:
    """Return the CRC32 of every row of uint8 (R, width)."""
    return np.fromiter((zlib.crc32(row.data) for row in rows_Rb), np.uint32, len(rows_Rb))
