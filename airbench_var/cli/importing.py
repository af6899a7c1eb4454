"""The command that brings runs of somebody else's training into a store: import."""

import argparse
import sys
from pathlib import Path

from airbench_var.cli.arguments import positive
from airbench_var.cli.bars import bars
from airbench_var.cli.stores import show_store


def add_import(parser: argparse.ArgumentParser) -> None:
    """Add what `import` takes."""
    parser.add_argument(
        "predictions",
        type=Path,
        metavar="PREDICTIONS.npy",
        help="integer classes (runs, examples); or booleans (runs, examples), true where right; "
        "or floating-point logits (runs, examples, classes), of which the first largest counts",
    )
    parser.add_argument(
        "--labels", type=Path, required=True, metavar="LABELS.npy", help="integer classes (examples,)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="STORE", help="the store")
    parser.add_argument(
        "--test-set", default="test", metavar="NAME", help="what the examples are called (default test)"
    )
    parser.add_argument(
        "--classes",
        type=positive,
        metavar="K",
        help="how many there are (default: those of the logits, or 1 + the largest in the files)",
    )


def import_(options: argparse.Namespace) -> int:
    """Bring the predictions of finished runs into a store, to be analysed, compared and planned with."""
    from airbench_var.importing import Import, import_runs
    from airbench_var.store import network_warning

    wanted = Import(
        predictions=options.predictions,
        labels=options.labels,
        out=options.out,
        test_set=options.test_set,
        classes=options.classes,
    )
    with bars(hidden=options.json) as track:
        done = import_runs(wanted, track)
    if not options.json:
        if warning := network_warning(options.out):
            print(f"warning: {warning}", file=sys.stderr)
        size = " x ".join(f"{length:,}" for length in done.shape)
        print(
            f"{options.predictions}: {done.kind}, {done.dtype} {size}, {done.classes} classes; "
            f"{done.added:,} of {done.shape[0]:,} runs imported now",
            file=sys.stderr,
        )
    show_store(options.out, as_json=options.json)
    return 0
