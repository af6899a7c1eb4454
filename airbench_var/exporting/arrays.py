"""Write one array as .npy: predicted classes, what was right, or labels; some runs at a time."""

from pathlib import Path

import numpy as np

from airbench_var.exporting.appearing import new_file
from airbench_var.exporting.selected import Selected


def write_npy(path: Path, selected: Selected, test_set: str, column: str) -> None:
    """Write predicted (runs, examples) uint8, correct (runs, examples) bool, or labels (examples,) as kept.

    Raises: as `new_file` and `Store.blocks`.
    """
    n = selected.test_set(test_set).n
    kept = selected.store.labels(test_set).dtype if column == "labels" else np.dtype(np.uint8)
    dtype = np.dtype(np.bool_) if column == "correct" else kept
    shape = (n,) if column == "labels" else (selected.runs, n)
    with new_file(path) as file:
        descr = np.lib.format.dtype_to_descr(dtype)
        fields = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, fields)
        if column == "labels":
            file.write(selected.store.labels(test_set).tobytes())
            return
        for _, values_RN in selected.blocks(test_set, column):
            file.write(values_RN.tobytes())
