"""The commands that look after one store: analyze, info, verify, repair."""

import argparse
from pathlib import Path

from airbench_var.cli.output import print_analysis_of, print_found
from airbench_var.errors import StoreDamagedError


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add what these commands take."""
    parser.add_argument("store", type=Path, metavar="STORE")


def add_analyze(parser: argparse.ArgumentParser) -> None:
    """Add what `analyze` takes."""
    add_store(parser)
    parser.add_argument(
        "--pairs",
        action="store_true",
        help="also which pairs of examples go right and wrong together (seconds)",
    )


def analyze(options: argparse.Namespace) -> int:
    """Print the estimates from all committed runs of a store, also while it is being written."""
    show_store(options.store, as_json=options.json, with_pairs=options.pairs)
    return 0


def show_store(path: Path, *, as_json: bool, with_pairs: bool = False) -> None:
    """Read all committed runs, and print what they say."""
    from airbench_var.analysis import analyze, analyze_pairs
    from airbench_var.store import Store

    store = Store.open(path)
    pairs = analyze_pairs(store) if with_pairs else None
    print_analysis_of(store, analyze(store), as_json=as_json, pairs=pairs)


def verify(options: argparse.Namespace) -> int:
    """Read all of a store and name every fault by file and run; nothing is written. Exit code 4: damaged."""
    from airbench_var.report.store import print_verification
    from airbench_var.store import verify

    found = verify(options.store)
    print_found(found, print_verification, as_json=options.json)
    if found.faults:
        raise StoreDamagedError(
            f"{options.store} is damaged, {len(found.faults):,} fault{'s' if len(found.faults) > 1 else ''}. "
            "Bring the files back from a copy of the store; or let the damaged runs be trained again: "
            f"`python -m airbench_var repair {options.store}`."
        )
    return 0


def repair(options: argparse.Namespace) -> int:
    """Copy what is damaged to STORE/quarantine and open the damaged runs again; nothing else is changed."""
    from airbench_var.report.store import print_repair
    from airbench_var.store import repair

    print_found(repair(options.store), print_repair, as_json=options.json)
    return 0


def info(options: argparse.Namespace) -> int:
    """Print what a store is of, how far it is, and where it came from; no predictions are read."""
    from airbench_var.report.store import print_info
    from airbench_var.store import info

    print_found(info(options.store), print_info, as_json=options.json)
    return 0
