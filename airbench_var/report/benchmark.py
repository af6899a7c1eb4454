"""What `bench` prints for people."""

from rich import box
from rich.table import Table
from rich.text import Text

from airbench_var import machine
from airbench_var.benchmark.result import RUNS, Benchmark
from airbench_var.report.console import Console, indented
from airbench_var.report.percent import percent


def print_benchmark(found: Benchmark, console: Console | None = None) -> None:
    """Print the numbers of a machine, and in which way they were found."""
    console = console or Console(highlight=False)
    document = found.to_json()
    seconds, ceilings = document["seconds_per_network"], found.ceilings
    where = f"{found.workers} worker{'s' if found.workers > 1 else ''}"
    if found.runs_per_device > 1:
        where = f"{found.runs_per_device} runs at a time"
    title = f" {found.recipe}, {where}, {found.train_examples:,} {found.data.lower()} images"
    table = Table(title=Text(title, "bold"), title_justify="left", box=box.SIMPLE_HEAD, show_header=False)
    table.add_column("")
    table.add_column("", justify="right", no_wrap=True)
    for name, value in (
        ("Networks per hour", f"{found.networks_per_hour:,.1f}"),
        ("Seconds a network, median", f"{seconds['median']:.3g}"),
        ("  95th percentile", f"{seconds['p95']:.3g}"),
        ("  networks that count", f"{seconds['n']:,}"),
        (f"{RUNS:,} runs would take", duration(document["hours_for_10000_runs"])),
        ("First network, with start and compiling", f"{found.first_s:.1f} s"),
        ("Mean accuracy", percent(found.accuracy, 1)),
        (
            f"Matrix product, {ceilings.gemm_side} x {ceilings.gemm_side}",
            f"{ceilings.gemm_tflops:.3g} TFLOP/s",
        ),
        ("Copy, read and written", f"{ceilings.copy_gb_s:.3g} GB/s"),
    ):
        table.add_row(indented(name), value)
    console.print(table)
    numerics = ", ".join(f"{key} {value}" for key, value in found.numerics.items() if value is not None)
    versions = ", ".join(f"{name} {value}" for name, value in found.origin["versions"].items() if value)
    console.print(f"{found.device}; {numerics}", style="dim", soft_wrap=True)
    commit = machine.shortened(found.origin["commit"])
    console.print(
        f"{versions}, Python {found.origin['python']}; commit {commit}", style="dim", soft_wrap=True
    )


def duration(hours: float) -> str:
    """Return '3.2 days', '5.1 hours' or '12 minutes'."""
    if hours >= 48:
        return f"{hours / 24:,.1f} days"
    return f"{hours:.1f} hours" if hours >= 2 else f"{60 * hours:.0f} minutes"
