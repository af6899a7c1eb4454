"""The command that tells how fast this machine trains: bench."""

import argparse
import sys

from airbench_var.cli.arguments import positive
from airbench_var.cli.output import print_found
from airbench_var.cli.training import add_how, prepare
from airbench_var.errors import UsageError

SECONDS = 110  #: of training; ceilings and start come before
TOLD_EVERY_S = 15.0
FEW_NETWORKS = 10


def add_bench(parser: argparse.ArgumentParser) -> None:
    """Add what `bench` takes."""
    parser.add_argument(
        "--recipe", metavar="R", help="what is trained (default tiny on a CPU, airbench94 on a GPU)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one value of the recipe; repeatable",
    )
    parser.add_argument(
        "--seconds",
        type=positive,
        default=SECONDS,
        metavar="S",
        help=f"train so long, and until each worker has trained two networks (default {SECONDS})",
    )
    add_how(parser.add_argument_group("how"))
    parser.set_defaults(
        data="synthetic", data_dir=None, test_sets=[], skip_missing_test_sets=False, quiet=False
    )


def bench(options: argparse.Namespace) -> int:
    """Print how many networks an hour this machine trains, in about two minutes and without any data.

    Networks are trained as a campaign would, on synthetic images of the number and shape of CIFAR-10's, and
    not kept. With --json, what two machines print can be compared where schema and recipe_sha256 are equal.
    """
    if options.executor == "ray":
        raise UsageError("bench measures this machine, not a cluster: leave out --executor ray.")
    from airbench_var.hyperparameters import parse_assignments
    from airbench_var.recipes import images_recipe

    recipe = images_recipe(options.recipe) if options.recipe else None
    changes = parse_assignments(options.set)

    from airbench_var.benchmark.measure import benchmark, cifar_sized, recipe_for  # seconds: torch
    from airbench_var.report.benchmark import print_benchmark
    from airbench_var.training import choose_devices, refuse_misfit

    recipe = (recipe or recipe_for(choose_devices(options.devices)[0][0])).with_values(changes)
    prepared = prepare(options, [recipe])
    data = cifar_sized()
    refuse_misfit(recipe, data)
    if not options.json:
        told = {"recipe": recipe.title} | prepared.reasons
        del told["data"]
        for name, choice in told.items():
            print(f"{name:8} {choice}", file=sys.stderr)
        print(f"training for about {options.seconds} s ...", file=sys.stderr)
    found = benchmark(
        recipe,
        data,
        prepared.settings,
        placement=prepared.placement,
        limit_s=options.seconds,
        told=(lambda networks, seconds: None) if options.json else _Told(),
    )
    print_found(found, print_benchmark, as_json=options.json)
    counted = sum(map(len, found.seconds.values()))
    if counted < FEW_NETWORKS and not options.json:
        print(
            f"note: too few networks to quote a speed, {counted}: give it longer with --seconds",
            file=sys.stderr,
        )
    return 0


class _Told:
    """Says on stderr now and then how far it is."""

    def __init__(self) -> None:
        self._next_s = TOLD_EVERY_S

    def __call__(self, networks: int, seconds: float) -> None:
        if seconds >= self._next_s:
            self._next_s = seconds + TOLD_EVERY_S
            s = "" if networks == 1 else "s"
            print(f"  {networks} network{s} after {seconds:.0f} s", file=sys.stderr)
