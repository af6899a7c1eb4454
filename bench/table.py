"""Rows for people: a table a case, whose ratios are the result."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.schema import OURS, Row, slower_by


def print_table(rows: Sequence[Row], console: Console) -> None:
    """Print the rows of one case with their ratios to ours: how many times as long they take."""
    ours = next(row for row in rows if row.variant == OURS)
    rated = any(row.rate for row in rows) and len({row.items for row in rows}) > 1
    table = Table(title=f"{ours.case} (n = {ours.n})", title_justify="left")
    headings = ["variant", "ratio", f"p50 {ours.unit}", "min", "p20", "p80", "p95", f"of {ours.ceiling}"]
    for heading in headings + [ours.rate_unit] * rated:
        table.add_column(heading, justify="left" if heading == "variant" else "right", no_wrap=True)
    for row in rows:
        times = [
            f"{time:.{3 if time < 10 else 1 if time < 100 else 0}f}"
            for time in (row.p50, row.min, row.p20, row.p80, row.p95)
        ]
        rate = [f"{row.rate:,.1f}"] if rated else []
        share = f"{row.share_of_ceiling:.0%}"
        table.add_row(row.variant, f"{slower_by(row, ours):.2f}", *times, share, *rate)
    console.print(table)
    scale = {"ms": 1e3, "s": 1}[ours.unit]
    first = ", ".join(
        f"{row.variant} {row.first / scale:.2f} s" for row in rows if row.variant != row.ceiling
    )
    console.print(f"first call, with any compiling: {first}", highlight=False)
    if ours.items and not rated:
        peers = [f"{row.variant} {_amount(row)}" for row in rows if row.variant not in (OURS, row.ceiling)]
        unit = ours.rate_unit.removeprefix("bytes ")
        console.print("; ".join([f"{OURS}: {_amount(ours)} {unit} (p50)", *peers]), highlight=False)
    for row in rows:
        if row.note:
            console.print(f"{row.variant}: {row.note}", highlight=False)
    console.print(f"{ours.device}; {ours.versions}; commit {ours.commit}\n", style="dim")


def _amount(row: Row) -> str:
    """Return how much a variant handles in the time of its rate."""
    return f"{row.rate / 1e6:,.0f} MB" if row.item == "bytes" else f"{row.rate:,.0f}"
