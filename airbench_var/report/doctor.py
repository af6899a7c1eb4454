"""What `doctor` prints: one line a thing, and below it what mends it."""

from rich.table import Table
from rich.text import Text

from airbench_var.doctor import Finding
from airbench_var.report.console import Console

_STYLES = {"ok": "green", "missing": "yellow", "broken": "red"}
_NAMES = 16  #: columns for the longest name


def print_finding(finding: Finding, console: Console) -> None:
    """Print one thing as soon as it is found."""
    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_column(width=7)
    row.add_column(width=_NAMES)
    row.add_column(overflow="fold")
    style = "red" if finding.needed and finding.state != "ok" else _STYLES[finding.state]
    row.add_row(Text(finding.state, style), finding.name, finding.what)
    if finding.remedy:
        row.add_row("", "", Text(f"-> {finding.remedy}", "bold"))
    console.print(row)
