"""The command that tells other tools of a store's runs: track."""

import argparse
import sys
from pathlib import Path

from airbench_var.cli.arguments import add_store
from airbench_var.cli.output import print_json, reader_may_leave


def add_track(parser: argparse.ArgumentParser) -> None:
    """Add what `track` takes."""
    add_store(parser)
    parser.add_argument("--to", required=True, metavar="KIND", help="tensorboard, wandb (offline) or mlflow")
    parser.add_argument("--dir", type=Path, metavar="DIR", help="where its files go (default tracked/KIND)")
    parser.add_argument(
        "--follow", action="store_true", help="go on as runs come, until the store is complete"
    )


def track(options: argparse.Namespace) -> int:
    """Tell TensorBoard, Weights & Biases or MLflow of every run of a store and of the estimates.

    It reads the store, also while it is being written, and writes nothing to it. Weights & Biases stays
    offline unless WANDB_MODE says otherwise; MLflow writes to a local file unless MLFLOW_TRACKING_URI does.
    In keys that MLflow refuses, what is no letter, digit, _, -, . or space becomes _; of keys that are then
    the same the second gets -2. What fails on the way ends the run there as failed.
    """
    from airbench_var.analysis import LiveStatistics
    from airbench_var.store import Store
    from airbench_var.tracking import open_tracker, package_errors, require
    from airbench_var.tracking import track as tell

    require(options.to)
    folder = options.dir or Path("tracked") / options.to
    store = Store.open(options.store)
    statistics = LiveStatistics.of_store(store)
    with package_errors(options.to, folder):
        tracker = open_tracker(options.to, store, folder)
        runs = tell(store, statistics, tracker, following=options.follow, told=_say)
    with reader_may_leave():
        if options.json:
            print_json({"store": str(store.path), "runs": runs, "where": tracker.where})
        else:
            print(f"{_runs(runs)} told; look at them with: {tracker.where}")
    return 0


def _say(runs: int) -> None:
    print(f"{_runs(runs)} told", file=sys.stderr)


def _runs(number: int) -> str:
    return f"{number:,} run{'' if number == 1 else 's'}"
