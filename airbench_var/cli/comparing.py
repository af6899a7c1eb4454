"""The commands about two recipes: compare, plan."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from airbench_var.cli.arguments import share
from airbench_var.cli.output import print_found, print_json, reader_may_leave
from airbench_var.errors import UsageError

if TYPE_CHECKING:
    from airbench_var.stats import CorrectnessCounts


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Add what `compare` takes."""
    parser.add_argument("a", type=Path, metavar="STORE_A")
    parser.add_argument("b", type=Path, metavar="STORE_B")


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Add what `plan` takes."""
    parser.add_argument(
        "--detect", type=share, required=True, metavar="D", help="difference in mean accuracy, as 0.02%%"
    )
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--std", type=share, metavar="S", help="std over runs, as 0.15%%")
    given.add_argument("--store", type=Path, metavar="STORE", help="take the std from these runs")
    parser.add_argument("--against", type=Path, metavar="STORE", help="runs of the other recipe")
    parser.add_argument("--power", type=share, default=0.8, metavar="P", help="default 80%%")
    parser.add_argument("--test-set", metavar="NAME", help="default: the first of the store")


def compare(options: argparse.Namespace) -> int:
    """Print whether recipe A is better than B, on this test set and on its distribution."""
    from airbench_var.analysis import compare
    from airbench_var.report.comparison import print_comparison

    found = compare(options.a, options.b)
    with reader_may_leave():
        if options.json:
            head = {"a": str(options.a), "b": str(options.b)}
            print_json(head | {"test_sets": {name: one.to_json() for name, one in found.items()}})
        else:
            print(f"A: {options.a}\nB: {options.b}")
            print_comparison(found)
    return 0


def plan(options: argparse.Namespace) -> int:
    """Print how many runs of each recipe it takes to see a difference, and when more runs stop helping."""
    from airbench_var.analysis import count_store, plan, std_of
    from airbench_var.report.comparison import print_plan

    if options.against and not options.store:
        raise UsageError("--against is the store of the other recipe; give the first one with --store.")
    paths = [path for path in (options.store, options.against) if path]
    pilots = [_choose(path, count_store(path), options.test_set) for path in paths]
    planned = plan(
        options.detect,
        std_of(*pilots) if pilots else options.std,
        power=options.power,
        pilots=(pilots[0], pilots[1]) if len(pilots) == 2 else None,
    )
    print_found(planned, print_plan, as_json=options.json)
    return 0


def _choose(path: Path, counts: "Mapping[str, CorrectnessCounts]", name: str | None) -> "CorrectnessCounts":
    """Return the counts of a test set, by default the first, with at least two runs."""
    chosen = name or next(iter(counts))
    if chosen not in counts:
        raise UsageError(f"{path} has no test set {chosen!r}; it has {', '.join(counts)}.")
    if counts[chosen].R < 2:
        raise UsageError(f"{path} has {counts[chosen].R} committed runs; a std needs two at least.")
    return counts[chosen]
