"""Numbers on the page of statistics are those that the code gives."""

import io
import re
from pathlib import Path

from rich.console import Console

from airbench_var import analyze, plan
from airbench_var.example import TINY
from airbench_var.report.table import print_analysis

PAGE = (Path(__file__).parents[2] / "docs" / "statistics.md").read_text()


def percents(text: str) -> list[str]:
    return re.findall(r"[\d.]+(?= %)", text)


def test_runs_of_the_table_are_those_of_plan() -> None:
    table = PAGE[PAGE.index("| std of the runs") :]
    head, _, *rows = table[: table.index("\n\n")].splitlines()
    differences = [float(percent) for percent in percents(head)]
    assert (len(differences), len(rows)) == (5, 3)
    for row in rows:
        std, *runs = row.strip("| ").split(" | ")
        planned = [plan(d / 100, float(std.rstrip(" %")) / 100).runs for d in differences]
        assert [int(count.replace(",", "")) for count in runs] == planned


def test_what_to_write_is_what_the_example_says() -> None:
    quoted = " ".join(line[1:].strip() for line in PAGE.splitlines() if line.startswith(">"))
    console = Console(file=io.StringIO(), width=100)
    print_analysis(analyze(TINY), console)
    printed = set(re.findall(r"[\d.]+", console.file.getvalue()))  # type: ignore[attr-defined]
    numbers = re.findall(r"\d+\.\d+", quoted)
    assert len(numbers) == 11
    assert printed.issuperset(numbers)
