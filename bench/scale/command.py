"""`python -m bench scale [--out FILE] [--json]`: what one driver sustains, and what bounds a million runs.

All runs are fake; the store, the statistics, the live view and the disk are real. Nothing else should run on
the machine: with other work beside it, syncs take many times as long.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from airbench_var import machine
from airbench_var.report.display import Mode
from airbench_var.store import filesystem_of
from bench.scale.driver import Stretch, spread, sustained
from bench.scale.million import Cost, of_making, of_records, of_rows
from bench.scale.runs import DistinctRuns
from bench.scale.slots import Simulation, simulate
from bench.scale.transports import Transport, carried, transports
from bench.schema import device_name
from bench.store import folder_on_disk


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large all of it is."""

    examples: int = 10_000
    runs: int = 120_000  #: one campaign, whose rate is taken stretch by stretch
    stretch: int = 10_000
    shown_runs: int = 30_000  #: for each way to show progress
    slots: tuple[tuple[int, float], ...] = (
        (1000, 60),
        (2000, 20),
        (5000, 20),
        (10_000, 20),
    )  #: seconds of each
    run_s: float = 1.0
    waves: int = 15  #: of runs, one a slot, through real executors
    few_examples: int = 100
    many: int = 1_000_000


FULL = Sizes()
SMALL = Sizes(
    examples=120,
    runs=400,
    stretch=100,
    shown_runs=100,
    slots=((20, 0.2), (40, 0.2)),
    run_s=0.05,
    waves=6,
    few_examples=40,
    many=1500,
)

#: Ways to show progress: the mode, and whether stderr is a terminal.
SHOWN: dict[str, tuple[Mode, bool]] = {
    "quiet": ("quiet", False),
    "lines": ("plain", False),
    "JSON lines": ("json", False),
    "terminal": ("auto", True),
}


@dataclass(kw_only=True)
class Findings:
    """All numbers of one call."""

    device: str
    filesystem: str | None
    commit: str
    examples: int
    rates: list[Stretch] = field(default_factory=list)
    making_us: float = 0.0  #: of each result's time, what went to making it
    shown: dict[str, list[Stretch]] = field(default_factory=dict)
    simulations: list[Simulation] = field(default_factory=list)
    transports: list[Transport] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)
    many: int

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return asdict(self)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(prog="python -m bench scale", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object; tables go to stderr")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON object to this file")
    parser.add_argument(
        "--small", action="store_true", help="tiny sizes, to see that all of it runs: the times mean nothing"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table each, and write the numbers."""
    asked = parser().parse_args(arguments)
    torch.set_num_threads(1)
    tables = sys.stderr if asked.json else sys.stdout
    console = Console(file=tables, width=None if tables.isatty() else 120)
    with redirect_stdout(tables):
        for found, table in measured(SMALL if asked.small else FULL):
            console.print(table)
            document = json.dumps(found.to_json(), allow_nan=False)
    console.print(
        f"{found.device}, {found.filesystem}; fake runs, n = {found.examples:,} examples with predictions; "
        f"commit {found.commit}",
        style="dim",
    )
    if asked.out:
        asked.out.write_text(document + "\n", encoding="utf-8")
    if asked.json:
        print(document)
    return 0


def measured(sizes: Sizes, *, with_ray: bool = True) -> Iterator[tuple[Findings, Table]]:
    """Yield all that was found so far, and the table of what was found last."""
    runs, few = DistinctRuns(sizes.examples), DistinctRuns(sizes.few_examples)
    with folder_on_disk() as folder:
        found = Findings(
            device=device_name(torch.device("cpu")),
            filesystem=filesystem_of(folder),
            commit=machine.short_commit(),
            examples=sizes.examples,
            many=sizes.many,
        )
        store = folder / "rates"
        ready = sustained(runs, store, sizes.runs, sizes.stretch)
        found.rates, found.making_us = ready.stretches, 1e6 * ready.making_s / sizes.runs
        yield found, rates_table(found)

        for name, (mode, drawn) in SHOWN.items():
            shown = sustained(runs, folder / name, sizes.shown_runs, sizes.shown_runs // 3, mode, drawn=drawn)
            found.shown[name] = shown.stretches
            rmtree(folder / name)
        yield found, shown_table(found)

        for slots, seconds in sizes.slots:
            found.simulations.append(simulate(runs, folder / "slots", slots, seconds, sizes.run_s))
            rmtree(folder / "slots")
        yield found, slots_table(found)

        slots = sizes.slots[0][0]
        for name, execute in transports(slots, with_ray=with_ray):
            found.transports.append(
                carried(name, execute, runs, folder / "slots", slots, sizes.waves, sizes.run_s)
            )
            rmtree(folder / "slots")
        yield found, transports_table(found)

        found.costs += of_rows(runs, store, sizes.runs, sizes.many, found.rates)
        rmtree(store)
        found.costs += of_making(runs, folder, sizes.many)
        stretches = sustained(few, store, sizes.many, sizes.many // 10).stretches
        found.costs += of_records(few, store, sizes.many, stretches)
        yield found, costs_table(found)


def rates_table(found: Findings) -> Table:
    """Return the rate as the store grows."""
    median, least, most = spread([stretch.rate for stretch in found.rates])
    table = Table(
        "runs in the store",
        title=f"Results a second, always ready: median {median:,.0f}, {least:,.0f} to {most:,.0f} in "
        f"{len(found.rates)} stretches ({found.making_us:.0f} us of each for making it)",
        title_justify="left",
    )
    for heading in ("results/s", "CPU us a result", "driver's memory, MB"):
        table.add_column(heading, justify="right")
    for stretch in found.rates:
        table.add_row(
            f"{stretch.runs:,}",
            f"{stretch.rate:,.0f}",
            f"{stretch.cpu_us:.0f}",
            f"{stretch.memory_bytes / 1e6:,.0f}",
        )
    return table


def shown_table(found: Findings) -> Table:
    """Return the rate for every way to show progress."""
    table = Table("progress is shown as", title="Results a second by live view", title_justify="left")
    for heading in ("median", "least", "most"):
        table.add_column(heading, justify="right")
    for name, stretches in found.shown.items():
        rates = spread([stretch.rate for stretch in stretches])
        table.add_row(name, *(f"{rate:,.0f}" for rate in rates))
    return table


def slots_table(found: Findings) -> Table:
    """Return a row for each number of simulated slots."""
    table = Table(
        "slots",
        title="Simulated slots, runs of about 1 s: median / 95 % / most",
        title_justify="left",
    )
    for heading in (
        "results/s",
        "of ideal",
        "CPU",
        "finish to commit, ms",
        "slot waits, ms",
        "rows a batch",
        "lines",
        "memory, MB",
    ):
        table.add_column(heading, justify="right")
    for one in found.simulations:
        table.add_row(
            f"{one.slots:,}",
            f"{one.rate:,.0f}",
            f"{one.share_of_ideal:.1%}",
            f"{one.cpu_share:.0%}",
            " / ".join(f"{ms:,.0f}" for ms in one.latency_ms),
            " / ".join(f"{ms:,.0f}" for ms in one.waited_ms),
            f"{one.batch[0]:.0f} ({one.batch[1]} to {one.batch[2]})",
            str(one.updates),
            " to ".join(f"{size / 1e6:,.0f}" for size in one.memory_bytes),
        )
    return table


def transports_table(found: Findings) -> Table:
    """Return a row for each real executor."""
    table = Table(
        "executor",
        title="The same slots as lanes of two processes, with results that are pickled, sent and read",
        title_justify="left",
    )
    for heading in ("slots", "runs", "results/s", "of ideal", "CPU of the driver"):
        table.add_column(heading, justify="right")
    for one in found.transports:
        table.add_row(
            one.name,
            f"{one.slots:,}",
            f"{one.runs:,}",
            f"{one.rate:,.0f}",
            f"{one.share_of_ideal:.1%}",
            f"{one.cpu_share:.0%}",
        )
    return table


def costs_table(found: Findings) -> Table:
    """Return what a million runs cost, each measured as near as fits."""
    table = Table(
        "cost",
        title=f"What bounds {found.many:,} runs of {found.examples:,} examples",
        title_justify="left",
    )
    for heading in ("measured", "runs", "examples", "extrapolated", "bound by"):
        table.add_column(heading, justify="right")
    for cost in found.costs:
        linear = f"{cost.extrapolated:,.1f} {cost.unit}" if cost.factor != 1 else "-"
        table.add_row(
            cost.what,
            f"{cost.value:,.2f} {cost.unit}",
            f"{cost.runs:,}",
            f"{cost.examples:,}",
            linear,
            cost.bound,
        )
    return table
