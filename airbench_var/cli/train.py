"""`python -m airbench_var --runs N`, the main job: train what is missing, then print what the runs say."""

import argparse
import shutil
from pathlib import Path

from airbench_var import __version__
from airbench_var.cli.arguments import positive, shard
from airbench_var.cli.output import print_analysis_of
from airbench_var.cli.parser import Parser
from airbench_var.cli.stores import show_store
from airbench_var.cli.training import add_training, mode_of, prepare, tell
from airbench_var.errors import InterruptedCampaignError, RunsFailedError
from airbench_var.shard import WHOLE

WHAT = "Train the same network many times and measure how much the runs differ, and why."

#: Commands, without what all begin with, and what they do.
EXAMPLES = (
    ("--runs 10000", "airbench94 on CIFAR-10"),
    ("--runs 200 --recipe tiny --data-dir data --out runs/tiny --seed 1", "CIFAR-10 in ./data"),
    ("--runs 20 --recipe tiny --data synthetic", "needs no data"),
    ("analyze runs/tiny", "what its runs say"),
    ("analyze --example", "what 100 runs say that come with the package"),
    ("report runs/tiny --html tiny.html", "the same with figures, as a page to send on"),
    ("compare runs/a runs/b", "is recipe A better than B?"),
    (
        "compare --recipe tiny --b epochs=4 --detect 0.1% --out runs/ab",
        "the same, training until it is decided",
    ),
    ("plan --detect 0.02% --std 0.15%", "how many runs does it take?"),
    ("photos imagenet/train --out data/train.beton", "photographs, for resnet18-imagenet"),
    ("recipes", "what can be trained, and every value of it"),
    ("doctor", "does this machine have all that it takes?"),
    ("bench", "how fast is this machine? (two minutes, no data)"),
    ("import predictions.npy --labels labels.npy --out runs/own", "runs made elsewhere"),
    ("export runs/tiny --out runs.csv", "or .npy, .parquet, for the Hugging Face Hub"),
    ("track runs/tiny --to tensorboard", "or wandb, mlflow"),
    ("study durations --scale quick --out runs/durations", "the paper's experiments"),
    ("info runs/tiny", "what it is of, how far it is"),
    ("verify runs/tiny", "read all of it, name every fault"),
    ("repair runs/tiny", "set damage aside, open those runs again"),
    ("--runs 10000 --shard 3/100", "one of 100 jobs, each with its store"),
    ("merge runs/*.shard-* --out runs/all", "what they have trained, in one store"),
)

EPILOG = """\
Each command has its own --help, as `python -m airbench_var report --help`. `completion` is for your shell.

--runs N means that the store ends with exactly N committed runs: the same command again goes on where it
stopped, or does nothing.

Exit codes: 0 done, 2 wrong command or recipe, 3 data, 4 damaged store, 5 store of another campaign or
writer, 6 disk, 7 device, memory or missing package, 8 failed runs, 130/143 interrupted, 141 nobody reads its
messages. Whoever reads results may leave, as `head` does: that is no error.
"""

#: A narrower terminal has what a command does below it.
BESIDE_COLUMNS = 105


def description() -> str:
    """Return what there is, for a terminal as wide as this one."""
    is_wide = shutil.get_terminal_size().columns >= BESIDE_COLUMNS
    lines = [WHAT, ""]
    for command, about in EXAMPLES:
        start = f"  python -m airbench_var {command}"
        lines += [f"{start:57}   {about}"] if is_wide else [start, f"      {about}"]
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the main job."""
    parser = Parser(
        prog="python -m airbench_var",
        description=description(),
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"airbench_var {__version__}")
    parser.add_argument("--runs", type=positive, required=True, metavar="N", help="committed runs at the end")
    parser.add_argument(
        "--shard",
        type=shard,
        metavar="I/M",
        help="of the N train only runs I, I + M, I + 2 M, ...: one of M jobs, 0/M to (M-1)/M, whose stores "
        "`merge` joins",
    )
    add_training(
        parser,
        recipe="airbench94",
        out="the store (default runs/RECIPE-DATA, with --shard runs/RECIPE-DATA.shard-I-of-M)",
    )
    shown = parser.add_argument_group("what is shown").add_mutually_exclusive_group()
    shown.add_argument(
        "--json", action="store_true", help="progress as JSON lines on stderr, the estimates on stdout"
    )
    shown.add_argument("--quiet", action="store_true", help="only the final table")
    return parser


def run(options: argparse.Namespace) -> int:
    """Run a campaign to its end and print what its runs say."""
    from airbench_var.hyperparameters import parse_assignments
    from airbench_var.recipes import described, find_recipe
    from airbench_var.seeds import parse_vary
    from airbench_var.store.create import refuse_strangers

    recipe = find_recipe(options.recipe).with_values(parse_assignments(options.set))
    vary = parse_vary(options.vary)
    part = options.shard or WHOLE
    part.run_ids(options.runs)  # refused where there are none
    if options.out:
        refuse_strangers(options.out)

    prepared = prepare(options, [recipe])  # from here on it takes seconds: torch
    from airbench_var.campaign import Campaign, run_campaign
    from airbench_var.store import Store

    name = f"{recipe.name}-{prepared.data.name}{part.suffix if options.shard else ''}"
    out = options.out or Path("runs") / name
    tell(options, {"recipe": described(recipe)} | prepared.reasons | {"store": str(out)})
    campaign = Campaign(
        subject=prepared.subject(recipe),
        out=out,
        runs=options.runs,
        shard=part,
        seed=options.seed,
        vary=vary,
        placement=prepared.placement,
    )

    def begun(there: int) -> None:
        if there:
            what = "nothing to train" if there == len(campaign.run_ids) else "going on"
            tell(options, {"runs": f"{there:,} of {len(campaign.run_ids):,} are there: {what}"})

    try:
        analysis = run_campaign(campaign, mode_of(options), begun=begun)
    except (InterruptedCampaignError, RunsFailedError):
        show_store(out, as_json=options.json)  # what is there is worth showing
        raise
    print_analysis_of(Store.open(out), analysis, as_json=options.json)
    return 0
