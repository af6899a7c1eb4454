"""Write a folder as data sets lie on the Hugging Face Hub: tables, and a card that says what they are.

`datasets.load_dataset` reads it by the configurations in the head of the card, and `import` by the files.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from airbench_var import machine
from airbench_var.exporting.appearing import new_file, new_folder
from airbench_var.exporting.parquet import write_labels, write_runs
from airbench_var.exporting.selected import Selected
from airbench_var.importing.formats import LABELS_FILE, RUNS_FILE
from airbench_var.importing.parquet_file import require_pyarrow

CARD = "README.md"


def write_folder(path: Path, selected: Selected, test_sets: Sequence[str]) -> None:
    """Write NAME/runs.parquet and NAME/labels.parquet for each test set, and README.md.

    Of each run the predicted classes are written, or, where the store has none, what was right.

    Raises: as `new_folder` and `parquet.write_runs`.
    """
    require_pyarrow()
    column = selected.columns()[0]
    with new_folder(path) as folder:
        for name in test_sets:
            write_runs(folder / name / RUNS_FILE, selected, name, [column])
            write_labels(folder / name / LABELS_FILE, selected, name)
        with new_file(folder / CARD) as file:
            file.write(_card(path, selected, test_sets, column).encode())


def _card(path: Path, selected: Selected, test_sets: Sequence[str], column: str) -> str:
    manifest = selected.store.manifest
    configs = [
        line
        for name in test_sets
        for config, split, file in ((name, "runs", RUNS_FILE), (f"{name}-labels", "examples", LABELS_FILE))
        for line in (
            f"- config_name: {config}",
            "  data_files:",
            f"  - split: {split}",
            f"    path: {name}/{file}",
        )
    ]
    table = [
        f"| `{name}` | {selected.test_set(name).n:,} | {', '.join(selected.test_set(name).classes)} |"
        for name in test_sets
    ]
    is_of = "the predicted class" if column == "predicted" else "whether the run was right"
    origin = {
        "exported_by": f"airbench_var {machine.version('airbench_var')}",
        "store": str(manifest.uuid),
        "identity": manifest.identity,
        "provenance": manifest.provenance,
    }
    return "\n".join(
        [
            "---",
            "configs:",
            *configs,
            "---",
            "",
            f"# {selected.runs:,} runs of one recipe",
            "",
            f"The same network was trained {selected.runs:,} times. `{RUNS_FILE}` has a row for each run: "
            f"its id, {'its seeds, ' if selected.has_seeds else ''}its accuracy, and in `{column}` {is_of} "
            f"for every example, in the order of `{LABELS_FILE}`.",
            "",
            "| test set | examples | classes, from 0 |",
            "|---|---|---|",
            *table,
            "",
            "```python",
            "from datasets import load_dataset",
            "",
            "# beside this folder; from the Hub, its name there",
            f'runs = load_dataset("{path.name}", "{test_sets[0]}", split="runs")',
            f'labels = load_dataset("{path.name}", "{test_sets[0]}-labels", split="examples")',
            "```",
            "",
            "How much the runs differ, and why: `pip install 'airbench_var[parquet]'`, then",
            "",
            f"    python -m airbench_var import {path.name} --labels {path.name} --out STORE",
            "",
            "Where they come from:",
            "",
            "```json",
            json.dumps(origin, indent=2),
            "```",
            "",
        ]
    )
