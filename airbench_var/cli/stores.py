"""The commands that look after one store: analyze, info, verify, repair."""

import argparse
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from airbench_var.cli.arguments import add_store
from airbench_var.cli.output import print_analysis_of, print_found
from airbench_var.errors import StoreDamagedError
from airbench_var.interrupt import exit_code_of

if TYPE_CHECKING:
    from airbench_var.analysis import LiveStatistics
    from airbench_var.report.display import Mode
    from airbench_var.store import Store


#: So long somebody who follows waits for a store to be made.
WAIT_FOR_STORE_S = 60.0


class Further(NamedTuple):
    """What is printed besides the estimates."""

    pairs: bool = False
    by_class: bool = False


ESTIMATES_ALONE = Further()


def add_analyze(parser: argparse.ArgumentParser) -> None:
    """Add what `analyze` takes."""
    add_store(parser)
    parser.add_argument(
        "--follow", action="store_true", help="show the estimates as they change until the store is complete"
    )
    parser.add_argument(
        "--pairs",
        action="store_true",
        help="also which pairs of examples go right and wrong together (seconds)",
    )
    parser.add_argument(
        "--by-class", action="store_true", help="also accuracy and spread on each class, the hardest first"
    )


def analyze(options: argparse.Namespace) -> int:
    """Print the estimates from all committed runs of a store, also while it is being written."""
    further = Further(pairs=options.pairs, by_class=options.by_class)
    if options.follow:
        return _follow(options.store, further, as_json=options.json)
    show_store(options.store, further, as_json=options.json)
    return 0


def show_store(path: Path, further: Further = ESTIMATES_ALONE, *, as_json: bool) -> None:
    """Read all committed runs, and print what they say."""
    from airbench_var.analysis import LiveStatistics
    from airbench_var.store import Store

    store = Store.open(path)
    show(store, LiveStatistics.of_store(store), further, as_json=as_json)


def show(
    store: "Store", statistics: "LiveStatistics", further: Further = ESTIMATES_ALONE, *, as_json: bool
) -> None:
    """Print what runs say that are counted already."""
    from airbench_var.analysis import analyze_pairs

    for note in (statistics.note, statistics.keep(store)):
        if note:
            print(f"note: {note}", file=sys.stderr)
    pairs = analyze_pairs(store) if further.pairs else None
    print_analysis_of(
        store, statistics.analysis(), as_json=as_json, pairs=pairs, with_classes=further.by_class
    )


def _wait_for(store: Path) -> None:
    """Wait until a store is made that is not there yet: its trainer needs seconds before it begins."""
    from airbench_var.store.create import has_manifest
    from airbench_var.store.disk import storage_errors

    deadline_s = time.monotonic() + WAIT_FOR_STORE_S
    with storage_errors(store, "opening"):
        is_there = store.exists()
    if not is_there:
        print(f"there is no store at {store} yet: waiting {WAIT_FOR_STORE_S:.0f} s for one", file=sys.stderr)
        while time.monotonic() < deadline_s and not has_manifest(store):
            time.sleep(0.2)


def _follow(path: Path, further: Further, *, as_json: bool) -> int:
    """Show a campaign from another process, then print what its runs say; Ctrl-C is one way to end it."""
    from airbench_var.analysis import LiveStatistics, follow
    from airbench_var.analysis.live import LOOK_EVERY_S
    from airbench_var.report.live import LiveView
    from airbench_var.store import Store
    from airbench_var.store.lock import lock_holder

    _wait_for(path)
    store = Store.open(path)
    statistics = LiveStatistics.of_store(store)
    title = f"following {store.path}"
    exit_code = 0
    mode: Mode = "json" if as_json else "auto"
    with LiveView(store.capacity, statistics.runs, mode, title, begun=True) as view:
        is_trained = True

        def tell_of_trainer() -> None:
            nonlocal is_trained
            was, is_trained = is_trained, lock_holder(store.path) is not None
            if was and not is_trained and statistics.expects_more(store):
                view.message(
                    f"nobody is training {store.path} now: waiting for its command to be given again. "
                    "Ctrl-C prints what its runs say so far."
                )

        def wait() -> None:
            time.sleep(LOOK_EVERY_S)
            tell_of_trainer()

        tell_of_trainer()
        try:
            for now in follow(store, statistics, wait):
                view.update(now.runs, partial(now.analysis, thorough=False))
        except KeyboardInterrupt as interrupt:
            exit_code = exit_code_of(interrupt)
    show(store, statistics, further, as_json=as_json)
    return exit_code


def verify(options: argparse.Namespace) -> int:
    """Read all of a store and name every fault by file and run; nothing is written. Exit code 4: damaged."""
    from airbench_var.report.store import print_verification
    from airbench_var.store import verify

    found = verify(options.store)
    print_found(found, print_verification, as_json=options.json)
    if found.faults:
        raise StoreDamagedError(
            f"{options.store} is damaged, {len(found.faults):,} fault{'s' if len(found.faults) > 1 else ''}. "
            "Bring the files back from a copy of the store; or set the damage aside and open its runs again: "
            f"`python -m airbench_var repair {options.store}`."
        )
    return 0


def add_repair(parser: argparse.ArgumentParser) -> None:
    """Add what `repair` takes: no --example, as it writes."""
    parser.add_argument("store", type=Path, metavar="STORE")


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
