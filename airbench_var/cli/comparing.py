"""The commands about two recipes: compare, whose runs are there or still to be trained, and plan."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from airbench_var.cli.arguments import add_example, chance, of_accuracy, positive
from airbench_var.cli.output import print_found, print_json, reader_may_leave, unfinished
from airbench_var.cli.parser import Parser
from airbench_var.cli.training import add_training, mode_of, prepare, tell
from airbench_var.errors import InterruptedCampaignError, RunsFailedError, UsageError
from airbench_var.example import TINY, TINY_TRANSLATE_2

if TYPE_CHECKING:
    from airbench_var.analysis.sequential import Rule
    from airbench_var.analysis.standing import Standing
    from airbench_var.contest import Contest
    from airbench_var.stats import CorrectnessCounts

#: Runs of each recipe where --max-runs says nothing: the folder takes their room on the disk.
MAX_RUNS = 10_000


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Add what `compare` takes: two stores, or what two recipes are trained from."""
    parser.add_argument("store_a", type=Path, nargs="?", metavar="STORE_A")
    parser.add_argument("store_b", type=Path, nargs="?", metavar="STORE_B")
    parser.add_argument(
        "--example", action="store_true", help="the two stores that come with airbench_var, of `tiny`"
    )
    rule = parser.add_argument_group("without stores: train both recipes until it is decided")
    for arm in ("a", "b"):
        rule.add_argument(
            f"--{arm}",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help=f"a value of the recipe in {arm.upper()} alone; repeatable",
        )
    rule.add_argument(
        "--detect",
        type=of_accuracy,
        metavar="D",
        help="difference in mean accuracy that matters, as 0.02%%; one that is surely smaller counts as none",
    )
    rule.add_argument(
        "--std",
        type=of_accuracy,
        metavar="S",
        help="std over runs of one recipe, as 0.15%%: D is then found sooner",
    )
    rule.add_argument(
        "--max-runs", type=positive, metavar="N", help=f"runs of each, at most (default {MAX_RUNS:,})"
    )
    rule.add_argument(
        "--looks",
        type=positive,
        metavar="K",
        help="look K times only (O'Brien-Fleming), not after every pair",
    )
    rule.add_argument("--test-set", metavar="NAME", help="default: the first of the recipe")
    add_training(
        parser,
        recipe=None,
        out="the folder of both stores (default runs/compare-RECIPE-DATA-A-B, with hashes of A and B)",
    )
    parser.add_argument("--quiet", action="store_true", help="only the decision")


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Add what `plan` takes."""
    parser.add_argument(
        "--detect",
        type=of_accuracy,
        required=True,
        metavar="D",
        help="difference in mean accuracy, as 0.02%%",
    )
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--std", type=of_accuracy, metavar="S", help="std over runs, as 0.15%%")
    given.add_argument("--store", type=Path, metavar="STORE", help="take the std from these runs")
    add_example(given)
    parser.add_argument("--against", type=Path, metavar="STORE", help="runs of the other recipe")
    parser.add_argument(
        "--power",
        type=chance,
        default=0.8,
        metavar="P",
        help="chance to see it, as 90%% or 0.9 (default 80%%)",
    )
    parser.add_argument("--test-set", metavar="NAME", help="default: the first of the store")


def compare(options: argparse.Namespace) -> int:
    """Print whether recipe A is better than B, on this test set and on its distribution.

    Given two stores, from their runs. Given --recipe and --detect, train runs of both until it is decided
    that one is better, or that they differ by less than --detect. The same command again goes on where it
    stopped. A has the campaign seed 2 S, B has 2 S + 1.
    """
    if options.store_a and options.recipe:
        raise UsageError(
            "compare takes two stores, or --recipe to train both; not both. Leave out one of the two."
        )
    if options.example:
        if options.store_a or options.recipe:
            raise UsageError("--example is two stores: leave out it, or the stores and --recipe.")
        options.store_a, options.store_b, options.example = TINY, TINY_TRANSLATE_2, False
    if options.recipe:
        return _compare_until_decided(options)
    if not options.store_b:
        pair = [options.store_a / arm for arm in "ab"] if options.store_a else []
        hint = f" There are two here: {pair[0]} {pair[1]}." if pair and all(map(Path.is_dir, pair)) else ""
        raise UsageError(
            "compare takes two stores, STORE_A STORE_B, or --recipe and --detect to train both recipes until "
            f"it is decided.{hint}"
        )
    if unused := _changed_options(options):
        raise UsageError(f"{', '.join(unused)}: two stores are compared as they are. Leave it out.")
    from airbench_var.analysis import compare
    from airbench_var.report.comparison import print_comparison
    from airbench_var.report.document import compared, made_apart
    from airbench_var.store import Store

    stores = Store.open(options.store_a), Store.open(options.store_b)
    found = compare(*stores)
    with reader_may_leave():
        if options.json:
            print_json(compared(options.store_a, options.store_b, found))
        else:
            for name, what, store in zip("AB", made_apart(*stores), stores, strict=True):
                print(f"{name}: {what}, store {store.path}{unfinished(store)}")
            print_comparison(found)
    return 0


def _changed_options(options: argparse.Namespace) -> list[str]:
    """Return the options of training that were given."""
    parser = Parser()
    add_compare(parser)
    defaults = vars(parser.parse_args([]))
    return [
        f"--{name.replace('_', '-')}"
        for name, default in defaults.items()
        if not name.startswith("store_") and getattr(options, name) != default
    ]


def _compare_until_decided(options: argparse.Namespace) -> int:
    if options.detect is None:
        raise UsageError(f"compare --recipe {options.recipe} needs --detect. See compare --help.")
    if options.json and options.quiet:
        raise UsageError("argument --quiet: not allowed with argument --json")
    from airbench_var.hyperparameters import parse_assignments
    from airbench_var.recipes import described, find_recipe
    from airbench_var.seeds import parse_vary
    from airbench_var.store.create import names_in

    both = find_recipe(options.recipe).with_values(parse_assignments(options.set))
    a = both.with_values(parse_assignments(options.a, "--a"))
    b = both.with_values(parse_assignments(options.b, "--b"))
    vary, rule = parse_vary(options.vary), _rule(options)
    if a.sha256 == b.sha256:
        raise UsageError("A and B are the same recipe: say with --a or --b what differs.")

    if options.out:
        names_in(options.out)  # refused where there can be no folder
    prepared = prepare(options, [a, b])  # from here on it takes seconds: torch
    own_folder = f"compare-{both.name}-{prepared.data.name}-{a.sha256[:6]}-{b.sha256[:6]}"
    out = options.out or Path("runs") / own_folder
    from airbench_var.contest import Contest, run_contest, standing_of

    contest = Contest(
        subjects=(prepared.subject(a), prepared.subject(b)),
        out=out,
        rule=rule,
        test_set=options.test_set or "",
        seed=options.seed,
        vary=vary,
        placement=prepared.placement,
    )
    tell(
        options, {"recipe A": described(a), "recipe B": described(b)} | prepared.reasons | {"store": str(out)}
    )
    try:
        standing = run_contest(contest, mode_of(options))
    except (InterruptedCampaignError, RunsFailedError):
        _print_contest(contest, standing_of(contest), as_json=options.json)  # what is there is worth showing
        raise
    _print_contest(contest, standing, as_json=options.json)
    return 0


def _rule(options: argparse.Namespace) -> "Rule":
    """Return when to look and what must be seen, from --detect, --std, --max-runs and --looks."""
    from airbench_var.analysis.obrien_fleming import OBrienFleming, max_runs_for
    from airbench_var.analysis.sequential import TMixture, g_for

    if options.looks is None:
        return TMixture(
            margin=options.detect,
            max_runs=options.max_runs or MAX_RUNS,
            g=g_for(options.detect, options.std),
        )
    if not (options.max_runs or options.std):
        raise UsageError(
            "--looks plans with the number of runs: give it with --max-runs, or give --std, "
            "from which it follows for a power of 80 %."
        )
    max_runs = options.max_runs or max_runs_for(options.detect, options.std, options.looks)
    return OBrienFleming(margin=options.detect, max_runs=max_runs, looks=options.looks)


def _print_contest(contest: "Contest", standing: "Standing", *, as_json: bool) -> None:
    with reader_may_leave():
        if as_json:
            arms = {
                name: {
                    "store": str(arm.out),
                    "recipe_sha256": arm.identity().get("recipe_sha256"),
                    "seed": arm.seed,
                }
                for name, arm in zip(("a", "b"), contest.arms, strict=True)
            }
            print_json(arms | standing.to_json())
        else:
            from airbench_var.report.contest import print_standing

            for name, arm in zip("AB", contest.arms, strict=True):
                print(f"{name}: {arm.out}")
            print_standing(standing)


def plan(options: argparse.Namespace) -> int:
    """Print how many runs of each recipe it takes to see a difference, and when more runs stop helping."""
    from airbench_var.analysis import count_store, plan, refuse_same_store, std_interval_of, std_of
    from airbench_var.report.comparison import print_plan
    from airbench_var.store import Store

    if options.against and not options.store:
        raise UsageError("--against is the store of the other recipe; give the first one with --store.")
    stores = [Store.open(path) for path in (options.store, options.against) if path]
    if options.against:
        refuse_same_store(*stores)
    pilots = [_choose(store.path, count_store(store), options.test_set) for store in stores]
    planned = plan(
        options.detect,
        std_of(*pilots) if pilots else options.std,
        power=options.power,
        std_interval=std_interval_of(*pilots) if pilots else None,
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
        raise UsageError(f"{path} has {counts[chosen].R} of the two runs or more that a std needs.")
    return counts[chosen]
