"""What a section found: rows, figures and checks, as JSON values; and the tables of them, for people."""

import io
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.table import Table

from airbench_var import machine
from airbench_var.training import Settings
from bench.gpu.timing import Timed
from bench.schema import CheckFailedError, Row, plain_name, row

NEEDS_CUDA = "needs CUDA"
WIDTH = 120

#: A figure: a number, words, an interval, or a few of them by name.
Value = float | int | str | bool | list[float] | dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The device, and the software that every number depends on."""

    name: str
    driver: str | None  #: of the GPU
    libraries: Mapping[str, str | None]  #: torch, triton, numpy, cuda, cudnn
    python: str
    commit: str | None

    @classmethod
    def of(cls, device: torch.device) -> "Machine":
        """Return the machine of this process."""
        settings, origin = Settings(device=str(device)), machine.origin("torch", "triton", "numpy")
        return cls(
            name=settings.device_name(),
            driver=settings.driver(),
            libraries=origin["versions"] | settings.gpu_libraries(),
            python=origin["python"],
            commit=origin["commit"],
        )

    @property
    def versions(self) -> str:
        """The versions in one line, as a row has them."""
        named = {"Python": self.python, **self.libraries, "driver": self.driver}
        return ", ".join(f"{name} {version}" for name, version in named.items() if version)


class Report:
    """The findings of one section, kept as they come: a section that fails keeps what it had."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.rows: list[Row] = []
        self.figures: dict[str, Value] = {}

    def add(
        self,
        case: str,
        variant: str,
        timed: Timed,
        *,
        best_ms: float,
        ceiling: str,
        bytes_moved: int = 0,
        items: int = 0,
        item: str = "",
        per: Literal["second", "hour"] = "second",
    ) -> Row:
        """Keep and return the row of some timed calls; best_ms is what one takes at the ceiling's rate."""
        found = row(
            case=case,
            key=plain_name(case.split(",")[0]),
            variant=variant,
            device=self.machine.name,
            times=timed.ms.tolist(),
            first=timed.first_ms,
            bytes_moved=bytes_moved,
            ceiling=ceiling,
            best=best_ms,
            items=items,
            item=item,
            per=per,
        )
        found = replace(found, versions=self.machine.versions, commit=self.machine.commit or "unknown")
        self.rows.append(found)
        return found

    def figure(self, name: str, value: Value) -> None:
        """Keep a number that is no time; its name says the unit."""
        self.figures[name] = value

    def needs_cuda(self, *names: str) -> None:
        """Say of some figures that this device cannot give them."""
        self.figures.update(dict.fromkeys(names, NEEDS_CUDA))

    def check(self, name: str, passed: bool, otherwise: str) -> None:
        """Keep that something holds; raise CheckFailedError, saying what was seen, where it does not."""
        self.figures[name] = passed
        if not passed:
            raise CheckFailedError(f"{name}: {otherwise}")

    def to_json(self) -> dict[str, Any]:
        """Return rows and figures as JSON values."""
        return {"rows": [asdict(row) for row in self.rows], "figures": dict(self.figures)}


def write_json(path: Path, numbers: Mapping[str, Any]) -> None:
    """Write a JSON file, complete or not at all."""
    _write(path, json.dumps(numbers, indent=2, allow_nan=False) + "\n")


def write_table(path: Path, numbers: Mapping[str, Any]) -> None:
    """Write all sections as people read them, complete or not at all."""
    text = io.StringIO()
    console = Console(width=WIDTH, file=text, color_system=None)
    print_origin(numbers, console)
    for section in numbers["sections"].values():
        print_section(section, console)
    _write(path, "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n")


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def print_origin(numbers: Mapping[str, Any], console: Console) -> None:
    """Print where the numbers come from."""
    about = numbers["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in about["libraries"].items())
    lines = (
        f"{about['name']}, driver {about['driver']}, {libraries}, Python {about['python']}",
        f"commit {about['commit']}, {numbers['created']}, {numbers['command']}",
        f"data: {numbers['data']}; recipe: {numbers['recipe']}",
    )
    console.print("\n".join(lines) + "\n", highlight=False, markup=False)


def print_section(section: Mapping[str, Any], console: Console) -> None:
    """Print what one section found."""
    took = f"{section['seconds']:.0f} s, predicted {section['predicted_s']:.0f} s"
    console.print(f"{section['title']}: {section['status']} ({took})", highlight=False, markup=False)
    if section["rows"]:
        console.print(_table(section["rows"]))
    for name, value in section["figures"].items():
        console.print(f"  {name}: {_shown(value)}", highlight=False, markup=False)
    if section["error"]:
        console.print(f"  {section['error']}", highlight=False, markup=False)
    console.print()


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table()
    for heading in ("case", "variant", "n", "min", "p50", "p95", "unit", "of its ceiling"):
        left = heading in ("case", "variant", "unit")
        table.add_column(heading, justify="left" if left else "right", no_wrap=heading != "case")
    for found in rows:
        times = [f"{found[name]:.4g}" for name in ("min", "p50", "p95")]
        share = f"{found['share_of_ceiling']:.0%} {found['ceiling']}"
        table.add_row(found["case"], found["variant"], str(found["n"]), *times, found["unit"], share)
    return table


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
    if isinstance(value, list):
        return ", ".join(_shown(part) for part in value)
    if isinstance(value, dict):
        if any(isinstance(part, dict) for part in value.values()) or len(value) > 6:
            return "".join(f"\n    {name}: {_shown(part)}" for name, part in value.items())
        return ", ".join(f"{name} {_shown(part)}" for name, part in value.items())
    return str(value)
