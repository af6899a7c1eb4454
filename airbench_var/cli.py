"""The command line: thin, and without torch until a network is to be trained."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airbench_var import __version__
from airbench_var.errors import (
    AirbenchVarError,
    InterruptedCampaignError,
    RunsFailedError,
    StoreDamagedError,
    UsageError,
    nearest,
)

if TYPE_CHECKING:
    from airbench_var.analysis import Analysis, Plan
    from airbench_var.report.live import Mode
    from airbench_var.stats import CorrectnessCounts
    from airbench_var.store import Repair, Store, StoreInfo, Verification

DESCRIPTION = """\
Train the same network many times and measure how much the runs differ, and why.

  python -m airbench_var --runs 10000                       airbench94 on CIFAR-10
  python -m airbench_var --runs 200 --recipe tiny --data-dir data --out runs/tiny --seed 1
  python -m airbench_var --runs 20 --recipe tiny --data synthetic   needs no data
  python -m airbench_var analyze runs/tiny                  what its runs say
  python -m airbench_var compare runs/a runs/b              is recipe A better than B?
  python -m airbench_var plan --detect 0.02% --std 0.15%    how many runs does it take?
  python -m airbench_var info runs/tiny                     what it is of, how far it is
  python -m airbench_var verify runs/tiny                   read all of it, name every fault
  python -m airbench_var repair runs/tiny                   set damage aside, open those runs again
"""

EPILOG = """\
--runs N means that the store ends with exactly N committed runs: the same command again goes on where it
stopped, or does nothing. Exit codes: 0 done, 2 wrong command or recipe, 3 data, 4 damaged store, 5 store of
another campaign or writer, 6 disk, 7 device, memory or missing package, 8 failed runs, 130/143 interrupted.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a known error is one message on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        command = "train"
        if given and not given[0].startswith("-"):
            command = given.pop(0)
        if command == "train":
            return train(train_parser().parse_args(given))
        if command not in COMMANDS:
            raise UsageError(
                f"unknown command {command!r}{nearest(command, [*COMMANDS])}. Commands: train, "
                f"{', '.join(COMMANDS)}; "
                "without one, `python -m airbench_var --runs N` trains."
            )
        return COMMANDS[command](command_parser(command).parse_args(given))
    except AirbenchVarError as error:
        print(f"airbench_var: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(
            "airbench_var: stopped at once. What was committed is kept; the same command goes on.",
            file=sys.stderr,
        )
        return InterruptedCampaignError.exit_code


def train_parser() -> argparse.ArgumentParser:
    """Return the parser of the main job."""
    parser = argparse.ArgumentParser(
        prog="python -m airbench_var",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"airbench_var {__version__}")
    parser.add_argument(
        "--runs", type=_positive, required=True, metavar="N", help="committed runs at the end"
    )
    what = parser.add_argument_group("what is trained")
    what.add_argument(
        "--recipe",
        default="airbench94",
        metavar="R",
        help="airbench94, resnet9, tiny, linear, or a .toml file",
    )
    what.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one value of the recipe; repeatable",
    )
    what.add_argument("--data", default="cifar10", metavar="D", help="cifar10 (default) or synthetic")
    what.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where CIFAR-10 lies; otherwise it is looked up"
    )
    what.add_argument("--seed", type=_natural, default=0, metavar="S", help="campaign seed (default 0)")
    what.add_argument(
        "--vary",
        default="init,order,aug",
        metavar="LIST",
        help="what differs between runs (default init,order,aug)",
    )
    how = parser.add_argument_group("how")
    how.add_argument("--out", type=Path, metavar="STORE", help="the store (default runs/RECIPE-DATA)")
    how.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:INDEX")
    how.add_argument(
        "--workers", type=_positive, metavar="K", help="processes (default: as many as fit the cores)"
    )
    how.add_argument(
        "--threads",
        type=_positive,
        default=1,
        metavar="T",
        help="CPU threads of one run; part of the store (default 1)",
    )
    how.add_argument(
        "--compile", choices=("auto", "on", "off"), default="auto", help="torch.compile of the step"
    )
    how.add_argument(
        "--loader", choices=("resident", "ffcv"), default="resident", help="both give the same bits"
    )
    shown = parser.add_argument_group("what is shown").add_mutually_exclusive_group()
    shown.add_argument(
        "--json", action="store_true", help="progress as JSON lines on stderr, the estimates on stdout"
    )
    shown.add_argument("--quiet", action="store_true", help="only the final table")
    return parser


def command_parser(command: str) -> argparse.ArgumentParser:
    """Return the parser of a command that reads stores."""
    parser = argparse.ArgumentParser(
        prog=f"python -m airbench_var {command}",
        description=(COMMANDS[command].__doc__ or "").replace("%", "%%"),
        allow_abbrev=False,
    )
    if command == "compare":
        parser.add_argument("a", type=Path, metavar="STORE_A")
        parser.add_argument("b", type=Path, metavar="STORE_B")
    elif command == "plan":
        parser.add_argument(
            "--detect", type=_share, required=True, metavar="D", help="difference in mean accuracy, as 0.02%%"
        )
        given = parser.add_mutually_exclusive_group(required=True)
        given.add_argument("--std", type=_share, metavar="S", help="std over runs, as 0.15%%")
        given.add_argument("--store", type=Path, metavar="STORE", help="take the std from these runs")
        parser.add_argument("--against", type=Path, metavar="STORE", help="runs of the other recipe")
        parser.add_argument("--power", type=_share, default=0.8, metavar="P", help="default 80%%")
        parser.add_argument("--test-set", metavar="NAME", help="default: the first of the store")
    else:
        parser.add_argument("store", type=Path, metavar="STORE")
    parser.add_argument("--json", action="store_true", help="for machines; fractions, not percent")
    return parser


def train(options: argparse.Namespace) -> int:
    """Run a campaign to its end and print what its runs say."""
    from airbench_var.recipe import parse_assignments
    from airbench_var.recipes import find_recipe
    from airbench_var.seeds import parse_vary

    recipe = find_recipe(options.recipe).with_values(parse_assignments(options.set))
    vary = parse_vary(options.vary)

    from airbench_var import data  # from here on it takes seconds: torch
    from airbench_var.campaign import Campaign, default_workers, run_campaign
    from airbench_var.store import Store
    from airbench_var.training import Settings, choose_compile, choose_device

    device, why_device = choose_device(options.device)
    compiled, why_compiled = choose_compile(options.compile, device)
    if options.loader == "ffcv":
        import airbench_var.data.ffcv_loader  # noqa: F401 (a missing package is named before a store is made)
    settings = Settings(device=device, threads=options.threads, compile=compiled, loader=options.loader)
    workers, why_workers = (options.workers, "asked for") if options.workers else default_workers(settings)
    dataset = data.load(options.data, options.data_dir)
    out = options.out or Path("runs") / f"{recipe.name}-{dataset.name}"
    if not (options.quiet or options.json):
        choices = {
            "recipe": f"{recipe.name} ({recipe.sha256[:8]})",
            "data": f"{dataset.title}, {dataset.source}",
            "device": f"{device}: {why_device}",
            "compile": f"{'on' if compiled else 'off'}: {why_compiled}",
            "workers": f"{workers}: {why_workers}",
            "store": str(out),
        }
        for name, choice in choices.items():
            print(f"{name:8} {choice}", file=sys.stderr)
    campaign = Campaign(
        recipe=recipe,
        data=dataset,
        out=out,
        runs=options.runs,
        seed=options.seed,
        vary=vary,
        settings=settings,
        workers=workers,
    )
    mode: Mode = "json" if options.json else "quiet" if options.quiet else "auto"
    try:
        analysis = run_campaign(campaign, mode)
    except (InterruptedCampaignError, RunsFailedError):
        _show_store(out, as_json=options.json)  # what is there is worth showing
        raise
    _show(Store.open(out), analysis, as_json=options.json)
    return 0


def analyze(options: argparse.Namespace) -> int:
    """Print the estimates from all committed runs of a store, also while it is being written."""
    _show_store(options.store, as_json=options.json)
    return 0


def verify(options: argparse.Namespace) -> int:
    """Read all of a store and name every fault by file and run; nothing is written. Exit code 4: damaged."""
    from airbench_var.report.store import print_verification
    from airbench_var.store import verify

    found = verify(options.store)
    _print(found, print_verification, as_json=options.json)
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

    _print(repair(options.store), print_repair, as_json=options.json)
    return 0


def info(options: argparse.Namespace) -> int:
    """Print what a store is of, how far it is, and where it came from; no predictions are read."""
    from airbench_var.report.store import print_info
    from airbench_var.store import info

    _print(info(options.store), print_info, as_json=options.json)
    return 0


def compare(options: argparse.Namespace) -> int:
    """Print whether recipe A is better than B, on this test set and on its distribution."""
    from airbench_var.analysis import compare
    from airbench_var.report.comparison import print_comparison

    found = compare(options.a, options.b)
    with _reader_may_leave():
        if options.json:
            head = {"a": str(options.a), "b": str(options.b)}
            _print_json(head | {"test_sets": {name: one.to_json() for name, one in found.items()}})
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
    _print(planned, print_plan, as_json=options.json)
    return 0


def _choose(path: Path, counts: "Mapping[str, CorrectnessCounts]", name: str | None) -> "CorrectnessCounts":
    """Return the counts of a test set, by default the first, with at least two runs."""
    chosen = name or next(iter(counts))
    if chosen not in counts:
        raise UsageError(f"{path} has no test set {chosen!r}; it has {', '.join(counts)}.")
    if counts[chosen].R < 2:
        raise UsageError(f"{path} has {counts[chosen].R} committed runs; a std needs two at least.")
    return counts[chosen]


#: Commands that read stores; `train` is the one that makes them.
COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "analyze": analyze,
    "compare": compare,
    "plan": plan,
    "info": info,
    "verify": verify,
    "repair": repair,
}


def _show_store(path: Path, *, as_json: bool) -> None:
    """Read all committed runs, and print what they say."""
    from airbench_var.analysis import analyze
    from airbench_var.store import Store

    store = Store.open(path)
    _show(store, analyze(store), as_json=as_json)


def _show(store: "Store", analysis: "Analysis", *, as_json: bool) -> None:
    """Print the estimates with what they are of: a table for people, or one JSON object."""
    identity, created_by = store.manifest.identity, store.manifest.provenance
    name, data, device = (created_by.get(key, "unknown") for key in ("recipe_name", "data_title", "device"))
    with _reader_may_leave():
        if as_json:
            head = {
                "store": str(store.path),
                "recipe": name,
                "recipe_sha256": identity.get("recipe_sha256"),
                "data": data,
                "seed": identity.get("seed"),
                "vary": identity.get("vary"),
                "created_by": created_by,  # of the session that made the store; events.jsonl has the others
            }
            _print_json(head | analysis.to_json())
        else:
            from airbench_var.report.table import print_analysis

            print(f"{name} on {data}, made on {device}, store {store.path}")
            print_analysis(analysis)


def _print(
    found: "Plan | Repair | StoreInfo | Verification", for_people: Callable[[Any], None], *, as_json: bool
) -> None:
    with _reader_may_leave():
        if as_json:
            _print_json(found.to_json())
        else:
            for_people(found)


def _print_json(values: Mapping[str, Any]) -> None:
    print(json.dumps(values, indent=2, allow_nan=False))


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """Print within this context; a reader of our output who left, as `| head` does, is no error."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _positive(text: str) -> int:
    return _at_least(1, text)


def _natural(text: str) -> int:
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
    return value


def _share(text: str) -> float:
    """Return 0.0002 for '0.02%' and for '0.0002'."""
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a percentage as 0.02% nor a fraction of 1")
    return value
