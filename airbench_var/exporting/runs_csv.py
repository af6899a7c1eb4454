"""Write a table of the runs as .csv: what is known of each, but for its single predictions."""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from airbench_var.exporting.appearing import new_file
from airbench_var.exporting.selected import Selected
from airbench_var.store.manifest import SEEDS
from airbench_var.store.records import Records

_RUNS_AT_A_TIME = 4096


def write_runs(path: Path, selected: Selected, test_sets: Sequence[str]) -> None:
    """Write a line a run: run id, seeds, accuracy on each test set, loss, seconds, diverged.

    Accuracies are fractions, and exact: the number read back is examples right divided by examples. What is
    not known is empty; where the store has no seeds, so are their columns.

    Raises: as `new_file` and `Store.records`.
    """
    names = [f"{name}_accuracy" for name in test_sets]
    with new_file(path) as file:
        text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["run_id", *SEEDS, *names, "loss", "train_s", "diverged"])
        for start in range(0, selected.runs, _RUNS_AT_A_TIME):
            records = selected.store.records(selected.run_ids[start : start + _RUNS_AT_A_TIME])
            writer.writerows(_lines(records, selected, test_sets))
        text.detach()


def _lines(records: Records, selected: Selected, test_sets: Sequence[str]) -> Iterator[list[object]]:
    places = [(selected.store.test_sets.index(name), selected.test_set(name).n) for name in test_sets]
    for record in records:
        yield [
            int(record["run_id"]),
            *(int(record[seed]) if selected.has_seeds else "" for seed in SEEDS),
            *(int(record["correct"][at]) / n for at, n in places),
            _known(float(record["loss"])),
            _known(float(record["train_s"])),
            int(record["diverged"]),
        ]


def _known(value: float) -> object:
    return "" if math.isnan(value) else value
