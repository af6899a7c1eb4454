"""Write .parquet with pyarrow, the one module that writes with it: a row a run, its examples as a list."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from airbench_var.exporting.appearing import new_file
from airbench_var.exporting.selected import Selected
from airbench_var.importing.parquet_file import DIVERGED, ORIGIN, require_pyarrow
from airbench_var.importing.tables import LABEL
from airbench_var.store.manifest import SEEDS
from airbench_var.store.records import Bytes, Records


def write_runs(path: Path, selected: Selected, test_set: str, columns: Sequence[str]) -> None:
    """Write a row for each run: its id, seeds if there are any, accuracy, loss, seconds, and the columns.

    `predicted` is a list of uint8 and `correct` a list of bool, both of fixed size, an element an example.
    The metadata of the schema hold identity and origin of the store as JSON under `airbench_var`.

    Raises: DeviceError without pyarrow; otherwise as `new_file` and `Store.blocks`.
    """
    require_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    n = selected.test_set(test_set).n
    at = selected.store.test_sets.index(test_set)
    element = {"predicted": pa.uint8(), "correct": pa.bool_()}
    seeds = SEEDS if selected.has_seeds else ()
    fields = [
        pa.field("run_id", pa.int64()),
        *(pa.field(seed, pa.uint64()) for seed in seeds),
        pa.field("accuracy", pa.float64()),
        pa.field("loss", pa.float64()),
        pa.field("train_s", pa.float64()),
        pa.field(DIVERGED, pa.bool_()),
        *(pa.field(column, pa.list_(element[column], n)) for column in columns),
    ]
    schema = pa.schema(fields, metadata={ORIGIN: json.dumps(_origin(selected, test_set))})
    with new_file(path) as file, pq.ParquetWriter(file, schema) as writer:
        for records, blocks in _blocks(selected, test_set, columns):
            values: dict[str, Any] = {
                "run_id": records["run_id"].astype(np.int64),
                **{seed: records[seed] for seed in seeds},
                "accuracy": records["correct"][:, at] / n,
                "loss": records["loss"],
                "train_s": records["train_s"],
                DIVERGED: records["diverged"].astype(np.bool_),
            }
            arrays = [pa.array(np.ascontiguousarray(value)) for value in values.values()]
            for column, values_RN in zip(columns, blocks, strict=True):
                flat = pa.array(values_RN.ravel().view(np.bool_ if column == "correct" else np.uint8))
                arrays.append(pa.FixedSizeListArray.from_arrays(flat, n))
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def write_labels(path: Path, selected: Selected, test_set: str) -> None:
    """Write a row for each example: its label, as kept; raises as `write_runs`."""
    require_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    with new_file(path) as file:
        pq.write_table(pa.table({LABEL: pa.array(np.array(selected.store.labels(test_set)))}), file)


def _blocks(
    selected: Selected, test_set: str, columns: Sequence[str]
) -> Iterator[tuple[Records, list[Bytes]]]:
    """Yield some runs after others, with their values in every column."""
    for of_columns in zip(*(selected.blocks(test_set, column) for column in columns), strict=True):
        yield of_columns[0][0], [values_RN for _, values_RN in of_columns]


def _origin(selected: Selected, test_set: str) -> dict[str, Any]:
    manifest = selected.store.manifest
    return {
        "store": str(manifest.uuid),
        "test_set": test_set,
        "identity": manifest.identity,
        "provenance": manifest.provenance,
    }
