"""`python -m airbench_var --runs N`, the main job: train what is missing, then print what the runs say."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airbench_var import __version__
from airbench_var.cli.arguments import natural, positive
from airbench_var.cli.output import print_analysis_of
from airbench_var.cli.stores import show_store
from airbench_var.errors import InterruptedCampaignError, RunsFailedError

if TYPE_CHECKING:
    from airbench_var.report.live import Mode

DESCRIPTION = """\
Train the same network many times and measure how much the runs differ, and why.

  python -m airbench_var --runs 10000                       airbench94 on CIFAR-10
  python -m airbench_var --runs 200 --recipe tiny --data-dir data --out runs/tiny --seed 1
  python -m airbench_var --runs 20 --recipe tiny --data synthetic   needs no data
  python -m airbench_var analyze runs/tiny                  what its runs say
  python -m airbench_var compare runs/a runs/b              is recipe A better than B?
  python -m airbench_var plan --detect 0.02% --std 0.15%    how many runs does it take?
  python -m airbench_var import predictions.npy --labels labels.npy --out runs/own   runs made elsewhere
  python -m airbench_var info runs/tiny                     what it is of, how far it is
  python -m airbench_var verify runs/tiny                   read all of it, name every fault
  python -m airbench_var repair runs/tiny                   set damage aside, open those runs again
"""

EPILOG = """\
--runs N means that the store ends with exactly N committed runs: the same command again goes on where it
stopped, or does nothing. Exit codes: 0 done, 2 wrong command or recipe, 3 data, 4 damaged store, 5 store of
another campaign or writer, 6 disk, 7 device, memory or missing package, 8 failed runs, 130/143 interrupted.
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the main job."""
    parser = argparse.ArgumentParser(
        prog="python -m airbench_var",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"airbench_var {__version__}")
    parser.add_argument("--runs", type=positive, required=True, metavar="N", help="committed runs at the end")
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
    what.add_argument("--seed", type=natural, default=0, metavar="S", help="campaign seed (default 0)")
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
        "--workers", type=positive, metavar="K", help="processes (default: as many as fit the cores)"
    )
    how.add_argument(
        "--threads",
        type=positive,
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


def run(options: argparse.Namespace) -> int:
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
        show_store(out, as_json=options.json)  # what is there is worth showing
        raise
    print_analysis_of(Store.open(out), analysis, as_json=options.json)
    return 0
