"""The command that joins the stores of one campaign's shards: merge."""

import argparse
import sys
from pathlib import Path

from airbench_var.cli.bars import bars
from airbench_var.cli.output import print_found


def add_merge(parser: argparse.ArgumentParser) -> None:
    """Add what `merge` takes."""
    parser.add_argument(
        "stores", type=Path, nargs="+", metavar="STORE", help="of one campaign, as --shard makes them"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="STORE", help="new, or of an earlier merge that goes on"
    )


def merge(options: argparse.Namespace) -> int:
    """Join stores of one campaign into one, byte for byte; again after more runs, it adds those."""
    from airbench_var.report.merging import print_merged
    from airbench_var.store import merge, network_warning

    with bars(hidden=options.json) as track:
        done = merge(options.stores, options.out, track)
    if not options.json:
        if warning := network_warning(options.out):
            print(f"warning: {warning}", file=sys.stderr)
        for note in done.notes:
            print(f"note: {note}", file=sys.stderr)
    print_found(done, print_merged, as_json=options.json)
    return 0
