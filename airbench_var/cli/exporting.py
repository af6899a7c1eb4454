"""The command that writes what a store holds in the formats of others: export."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from airbench_var.cli.arguments import add_store
from airbench_var.cli.bars import bars
from airbench_var.cli.output import print_found

if TYPE_CHECKING:
    from airbench_var.exporting import Exported

FORMATS, COLUMNS = ("npy", "parquet", "csv", "hf"), ("predicted", "correct", "labels")


def add_export(parser: argparse.ArgumentParser) -> None:
    """Add what `export` takes."""
    add_store(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE|FOLDER", help="what must not be there yet"
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="npy: one array; parquet: a row a run, with its examples as a list; csv: a line a run, "
        "without its examples; hf: a folder for the Hugging Face Hub (default: as the name ends)",
    )
    parser.add_argument(
        "--test-set",
        action="append",
        default=[],
        metavar="NAME",
        help="which (default: all; of a store with several, npy and parquet take one)",
    )
    parser.add_argument(
        "--column",
        choices=COLUMNS,
        help="what npy holds (default: predicted, or correct where the store has no classes), and parquet "
        "(default: both)",
    )


def export(options: argparse.Namespace) -> int:
    """Write the committed runs of a store as an array, a table, or a folder for the Hugging Face Hub."""
    from airbench_var.exporting import Export, export

    wanted = Export(
        store=options.store,
        out=options.out,
        format=options.format,
        test_sets=options.test_set,
        column=options.column,
    )
    with bars(hidden=options.json) as track:
        done = export(wanted, track)
    print_found(done, _print, as_json=options.json)
    return 0


def _print(done: "Exported") -> None:
    from airbench_var.report.percent import size_text

    size = sum(path.stat().st_size for path in done.files)
    what = ", ".join(done.columns) or "accuracies"
    of_runs = "" if what == "labels" else f" of {done.runs:,} run{'' if done.runs == 1 else 's'}"
    print(f"{done.out}: {what}{of_runs} on {', '.join(done.test_sets)}, {size_text(size)}")
