"""What `doctor` prints: one line a thing, and below it what mends it."""

from rich.table import Table
from rich.text import Text

from airbench_var.doctor import Finding
from airbench_var.report.console import Console, wrapped

_STYLES = {"ok": "green", "missing": "yellow", "broken": "red", "cannot": "dim"}
_NAMES = 16  #: columns for the longest name
_STATES, _GAP = 7, 2


def print_finding(finding: Finding, console: Console) -> None:
    """Print one thing as soon as it is found."""
    row = Table.grid(padding=(0, _GAP, 0, 0))
    row.add_column(width=_STATES)
    row.add_column(width=_NAMES)
    row.add_column(overflow="fold")
    width = console.width - _STATES - _NAMES - 3 * _GAP
    style = "red" if finding.needed and finding.state != "ok" else _STYLES[finding.state]
    row.add_row(Text(finding.state, style), finding.name, wrapped(finding.what, width))
    if finding.remedy:
        row.add_row("", "", Text(wrapped(f"-> {finding.remedy}", width), "bold"))
    console.print(row)
