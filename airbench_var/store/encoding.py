"""Check what an executor hands over and turn it into the bytes of one row."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from airbench_var.errors import StoreRefusedError
from airbench_var.store.manifest import SEEDS, Manifest, TestSet
from airbench_var.store.records import COMMITTED, FAILED, Bytes, Records, record_crcs, seal
from airbench_var.store.rows import Outcome, Predictions


class Row(NamedTuple):
    """One run as the store keeps it."""

    run_id: int
    record: Records  #: (), sealed
    payload: list[Bytes]  #: the run's row in every matrix, in manifest order


def encode_outcome(manifest: Manifest, labels: Mapping[str, Bytes], outcome: Outcome) -> Row:
    """Return the row of a run; one that failed for good has zeros for its payload.

    Raises: StoreRefusedError when the outcome does not fit the store, lacks classes that the store has a
    column for, or its bits contradict its classes.
    """
    spec, result = outcome.spec, outcome.result
    record = np.zeros((), manifest.record_dtype)
    record["state"] = FAILED if result is None else COMMITTED
    record["attempt"], record["worker"] = spec.attempt, outcome.worker
    record["run_id"], record["loss"], record["train_s"] = spec.run_id, np.nan, np.nan
    record[list(SEEDS)] = spec.seeds.init, spec.seeds.order, spec.seeds.aug
    if result is None:
        payload = [np.zeros(matrix.width, np.uint8) for matrix in manifest.matrices]
    else:
        record["diverged"], record["loss"], record["train_s"] = result.diverged, result.loss, result.train_s
        if set(result.predictions) != {test_set.name for test_set in manifest.test_sets}:
            raise _refused(spec.run_id, f"it has the test sets {', '.join(sorted(result.predictions))}")
        for matrix in manifest.matrices:
            if getattr(result.predictions[matrix.test_set], matrix.column) is None:
                raise _refused(spec.run_id, f"{matrix.test_set}: it has no {matrix.column}")
        record["correct"] = [
            _count_correct(spec.run_id, test_set, labels[test_set.name], result.predictions[test_set.name])
            for test_set in manifest.test_sets
        ]
        payload = [getattr(result.predictions[m.test_set], m.column) for m in manifest.matrices]
    seal(record, payload, manifest.uuid)
    return Row(spec.run_id, record, payload)


def carry_over(manifest: Manifest, records: Records, rows: Sequence[Bytes]) -> Iterator[Row]:
    """Yield the rows of runs as another store of the same campaign has them, sealed for this store.

    records: (R,) and rows: (R, width) of every matrix in manifest order, verified. Every byte stays as it is
    but the checksum of the record, which covers the uuid of its store.
    """
    records = records.copy()
    records["crc"] = record_crcs(records, manifest.uuid)
    for i, run_id in enumerate(records["run_id"].tolist()):
        yield Row(run_id, records[i, ...], [rows_Rb[i] for rows_Rb in rows])


def _count_correct(run_id: int, test_set: TestSet, labels_N: Bytes, predictions: Predictions) -> int:
    correct, predicted_N = predictions.correct, predictions.predicted
    if predicted_N is None:
        return _count_bits(run_id, test_set, correct)
    if predicted_N.dtype != np.uint8 or predicted_N.shape != (test_set.n,):
        raise _refused(run_id, f"{test_set.name}: predicted is {predicted_N.dtype} {predicted_N.shape}")
    if predicted_N.max() >= len(test_set.classes):
        raise _refused(run_id, f"{test_set.name}: it predicts class {predicted_N.max()}")
    right_N = predicted_N == labels_N
    bits: Any = np.packbits(right_N, bitorder="little")
    if correct.dtype != np.uint8 or not np.array_equal(correct, bits):
        raise _refused(run_id, f"{test_set.name}: its correctness bits are not `predicted == labels`, packed")
    return int(np.count_nonzero(right_N))


def _count_bits(run_id: int, test_set: TestSet, correct: Bytes) -> int:
    if correct.dtype != np.uint8 or correct.shape != ((test_set.n + 7) // 8,):
        raise _refused(run_id, f"{test_set.name}: its correctness bits are {correct.dtype} {correct.shape}")
    bits = np.unpackbits(correct, bitorder="little")
    if bits[test_set.n :].any():
        raise _refused(run_id, f"{test_set.name}: its correctness bits go on after the last example")
    return int(np.count_nonzero(bits))


def _refused(run_id: int, what: str) -> StoreRefusedError:
    return StoreRefusedError(
        f"run {run_id} does not fit the store: {what}. Nothing of its batch was written. "
        "This is a defect in the code that made the run; please report it."
    )
