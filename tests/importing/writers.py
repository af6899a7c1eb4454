"""The same array in a file of every format, as the usual libraries write it."""

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch


def write_json(path: Path, array: np.ndarray) -> None:
    path.write_text(json.dumps(array.tolist(), indent=1))


def write_wide_csv(path: Path, array: np.ndarray) -> None:
    names = ",".join(f"example{i}" for i in range(array.shape[1]))
    lines = [",".join(str(value) for value in row) for row in array.tolist()]
    path.write_text("\n".join([names, *lines]) + "\n")


def long_table(array: np.ndarray) -> dict[str, np.ndarray]:
    runs, n = array.shape
    values = array.ravel()
    return {
        "run": np.repeat(np.arange(runs), n),
        "example": np.tile(np.arange(n), runs),
        "correct" if values.dtype == bool else "predicted": values,
    }


def write_long_csv(path: Path, array: np.ndarray) -> None:
    table = long_table(array)
    rows = zip(*(column.tolist() for column in table.values()), strict=True)
    lines = [",".join(str(value) for value in row) for row in rows]
    path.write_text("\n".join([",".join(table), *lines]) + "\n")


def write_lists(path: Path, array: np.ndarray) -> None:
    name = {"b": "correct", "i": "predicted", "f": "logits"}[array.dtype.kind]
    pq.write_table(pa.table({name: array.tolist()}), path, row_group_size=4)


def write_wide_parquet(path: Path, array: np.ndarray) -> None:
    pq.write_table(pa.table({f"e{i}": column for i, column in enumerate(array.T)}), path, row_group_size=4)


def write_long_parquet(path: Path, array: np.ndarray) -> None:
    pq.write_table(pa.table(long_table(array)), path, row_group_size=300)


def save_pickle(path: Path, value: Any, protocol: int = 4) -> None:
    path.write_bytes(pickle.dumps(value, protocol))


#: By name of the case: the end of the file's name, the kinds that it can hold, and what writes it.
WRITERS: Mapping[str, tuple[str, str, Callable[[Path, np.ndarray], object]]] = {
    "npy": (".npy", "bif", np.save),
    "npz": (".npz", "bif", lambda path, array: np.savez(path, some=array)),
    "npz, compressed": (".npz", "bif", lambda path, array: np.savez_compressed(path, some=array)),
    "pt": (".pt", "bif", lambda path, array: torch.save(torch.from_numpy(array), path)),
    "pt, dict": (
        ".pt",
        "bif",
        lambda path, array: torch.save({"code": "x", "a": torch.from_numpy(array)}, path),
    ),
    "pkl": (".pkl", "bif", save_pickle),
    "json": (".json", "bif", write_json),
    "csv, wide": (".csv", "bi", write_wide_csv),
    "csv, long": (".csv", "bi", write_long_csv),
    "parquet, lists": (".parquet", "bif", write_lists),
    "parquet, wide": (".parquet", "bi", write_wide_parquet),
    "parquet, long": (".parquet", "bi", write_long_parquet),
}

#: Every format with every kind that it can hold.
CASES = [
    (case, kind)
    for case, (_, kinds, _) in WRITERS.items()
    for kind in ("classes", "correctness", "logits")
    if {"classes": "i", "correctness": "b", "logits": "f"}[kind] in kinds
]


def write_as(case: str, folder: Path, array: np.ndarray) -> Path:
    suffix, _, write = WRITERS[case]
    path = folder / f"predictions{suffix}"
    write(path, array)
    return path


def write_labels(path: Path, labels_N: np.ndarray) -> None:
    """Save labels in the format that the end of the name says."""
    write: Mapping[str, Callable[[], object]] = {
        ".npy": lambda: np.save(path, labels_N),
        ".npz": lambda: np.savez(path, labels=labels_N, images=np.zeros((3, 2))),
        ".pt": lambda: torch.save({"labels": torch.from_numpy(labels_N), "classes": ["cat"]}, path),
        ".pth": lambda: torch.save(torch.from_numpy(labels_N), path),
        ".pkl": lambda: save_pickle(path, {"labels": labels_N}),
        ".pickle": lambda: save_pickle(path, labels_N),
        ".json": lambda: path.write_text(json.dumps({"labels": labels_N.tolist(), "of": "cifar10"})),
        ".csv": lambda: path.write_text(
            "\n".join(["example,label", *map("%d,%d".__mod__, enumerate(labels_N))])
        ),
        ".parquet": lambda: pq.write_table(pa.table({"label": labels_N}), path),
    }
    write[path.suffix]()
