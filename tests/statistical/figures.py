"""What the statistical tests measure, kept for a table: `pytest tests/statistical --figures DIR` writes it.

A bound on a share of so many simulated sets is widened by three standard errors of such a share. The seeds
are fixed, so that a test that passes passes always.
"""

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from airbench_var import machine


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number and the bounds that it was asked to keep."""

    test: str
    what: str
    value: float
    low: float | None
    high: float | None
    sets: int
    kept: bool


FIGURES: list[Figure] = []


def share(what: str, value: float, low: float, high: float, sets: int) -> bool:
    """Whether a share of so many sets lies within the bounds, which are widened for that number."""
    slack_low, slack_high = (3 * np.sqrt(bound * (1 - bound) / sets) for bound in (low, high))
    return _keep(what, value, low, high, sets, low - slack_low <= value <= high + slack_high)


def number(what: str, value: float, low: float | None, high: float | None, sets: int) -> bool:
    """Whether a number from so many sets lies within the bounds; None for no bound."""
    kept = (low is None or value >= low) and (high is None or value <= high)
    return _keep(what, value, low, high, sets, kept)


def _keep(what: str, value: float, low: float | None, high: float | None, sets: int, kept: bool) -> bool:
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("/")[2].partition(" ")[0]
    FIGURES.append(
        Figure(test=test, what=what, value=float(value), low=low, high=high, sets=sets, kept=bool(kept))
    )
    return bool(kept)


def write(folder: Path, command: str, elapsed_s: float) -> None:
    """Write numbers.json and table.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    head = {
        "command": command,
        "commit": machine.short_commit(),
        "device": machine.cpu_name(),
        "elapsed_s": round(elapsed_s),
    }
    rows = [asdict(figure) for figure in FIGURES]
    (folder / "numbers.json").write_text(json.dumps(head | {"figures": rows}, indent=1) + "\n")
    with (folder / "table.txt").open("w", encoding="utf-8") as file:
        console = Console(file=file, width=124, highlight=False)
        table = Table(box=box.SIMPLE_HEAD)
        for heading in ("test", "what", "value", "asked for", "sets"):
            justify = "left" if heading in ("test", "what") else "right"
            table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
        last = ""
        for figure in FIGURES:
            test = re.sub(r"^test_|\.py::test_", " ", figure.test).strip().replace("_", " ")
            asked = f"{_text(figure.low)} to {_text(figure.high)}{'' if figure.kept else ' MISSED'}"
            table.add_row(
                test if test != last else "", figure.what, f"{figure.value:.4g}", asked, f"{figure.sets:,}"
            )
            last = test
        console.print(table)
        console.print(" | ".join(f"{key} {value}" for key, value in head.items()))


def _text(bound: float | None) -> str:
    return "…" if bound is None else f"{bound:g}"
