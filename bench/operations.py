"""`python -m bench operations`: where the time of a training step on a CPU goes, for each engine.

The profiler's clock adds a little to every operation, so shares are the result. Of compiled steps inductor's
fused kernels are named by what is in them.
"""

import argparse
import sys
from collections.abc import Sequence

import torch
from rich.console import Console
from rich.table import Table

from airbench_var import machine
from airbench_var.hyperparameters import parse_assignments
from airbench_var.recipe import Recipe
from airbench_var.recipes import images_recipe
from airbench_var.training import Settings
from airbench_var.training.settings import Engine
from bench.schema import device_name
from bench.step import Step

WARM_UP, STEPS = 3, 5
#: Operations below this share of the step are added up in one line.
LEAST_SHARE = 0.015


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(prog="python -m bench operations", description=__doc__)
    parser.add_argument("--recipe", default="tiny")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument(
        "--engines",
        nargs="+",
        choices=("tiles", "native", "compiled", "eager"),
        default=["eager", "compiled"],
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Print a table an engine."""
    asked = parser().parse_args(arguments)
    torch.set_num_threads(1)
    recipe = images_recipe(asked.recipe).with_values(parse_assignments(asked.set))
    console = Console(width=None if sys.stdout.isatty() else 120)
    for engine in asked.engines:
        times_ms = profiled(recipe, engine)
        total_ms = sum(times_ms.values())
        title = f"step of {recipe.name}, {recipe.batch_size} images, {engine}: {total_ms:.1f} ms"
        table = Table("operation", title=title, title_justify="left")
        for heading in ("ms", "share"):
            table.add_column(heading, justify="right")
        for name, ms in condensed(times_ms).items():
            table.add_row(name, f"{ms:.2f}", f"{ms / total_ms:.1%}")
        console.print(table)
    device = device_name(torch.device("cpu"))
    console.print(f"{device}; torch {torch.__version__}; n = {STEPS} steps; commit {machine.short_commit()}")
    return 0


def profiled(recipe: Recipe, engine: Engine) -> dict[str, float]:
    """Return the milliseconds a step spends in each operation itself, the longest first."""
    if engine == "compiled":
        from torch._inductor import config

        config.cpp.enable_kernel_profile = True  # otherwise its kernels have no name
    step = Step(recipe, Settings(engine=engine))
    for _ in range(WARM_UP):
        step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(STEPS):
            step()
    times_ms = {event.key: event.self_cpu_time_total / STEPS / 1e3 for event in profile.key_averages()}
    return dict(sorted(times_ms.items(), key=lambda item: -item[1]))


def condensed(times_ms: dict[str, float]) -> dict[str, float]:
    """Return the operations that matter, and what all others take together."""
    total_ms = sum(times_ms.values())
    kept = {name: ms for name, ms in times_ms.items() if ms >= LEAST_SHARE * total_ms}
    return kept | {f"{len(times_ms) - len(kept)} others": total_ms - sum(kept.values())}
