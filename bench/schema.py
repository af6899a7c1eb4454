"""The one row that every benchmark prints, and how it is measured: variants take turns in one process."""

import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

#: The variant that all are compared with, and the one that only copies as many bytes.
OURS, COPY = "ours", "copy"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One variant of one case; times are quantiles over n calls, bytes_moved is what a call must touch."""

    case: str
    variant: str
    device: str
    versions: str
    commit: str
    n: int
    min: float
    p20: float
    p50: float
    p80: float
    p95: float
    unit: str
    bytes_moved: int
    share_of_ceiling: float  #: median time of copying bytes_moved bytes, over the median time of this


@dataclass(frozen=True, kw_only=True)
class Case:
    """Variants that must agree before any of them is timed; "ours" is one of them."""

    name: str
    variants: Mapping[str, Callable[[], tuple[torch.Tensor, ...]]]
    bytes_moved: int


def measure(case: Case, device: torch.device, repeats: int, warm_up: int = 2) -> list[Row]:
    """Return a row a variant and one for a plain copy, in turns A B A B after two unmeasured rounds.

    Raises: ValueError when a variant's result differs from ours: then there is no number to print.
    """
    ours = case.variants[OURS]()
    for name, variant in case.variants.items():
        for mine, other in zip(ours, variant(), strict=True):
            if not torch.equal(mine, other):
                raise ValueError(f"{case.name}: {name} and {OURS} differ, so no time means anything.")
    source = torch.zeros(case.bytes_moved // 2, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    variants = {**case.variants, COPY: lambda: (target.copy_(source),)}
    times_ms: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(warm_up + repeats):
        for name, variant in variants.items():
            elapsed_ms = _time_ms(variant, device)
            if turn >= warm_up:
                times_ms[name].append(elapsed_ms)
    copy_ms = float(np.median(times_ms[COPY]))
    return [_row(case, name, device, np.array(times), copy_ms) for name, times in times_ms.items()]


def print_table(rows: list[Row], console: Console) -> None:
    """Print the rows of one case with their ratios to ours, which are the result."""
    ours = next(row for row in rows if row.variant == OURS)
    table = Table(title=f"{ours.case} (n = {ours.n})", title_justify="left")
    for heading in ("variant", "ratio", "p50 ms", "min", "p20", "p80", "p95", "of copy"):
        table.add_column(heading, justify="left" if heading == "variant" else "right", no_wrap=True)
    for row in rows:
        times = [f"{value:.3f}" for value in (row.p50, row.min, row.p20, row.p80, row.p95)]
        table.add_row(row.variant, f"{row.p50 / ours.p50:.2f}", *times, f"{row.share_of_ceiling:.0%}")
    console.print(table)
    console.print(f"{ours.device}; {ours.versions}; commit {ours.commit}\n", style="dim")


def _time_ms(variant: Callable[[], object], device: torch.device) -> float:
    """Return the milliseconds of one call, with the device idle before and after."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start_s = time.perf_counter()
    variant()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - start_s) * 1e3


def _row(case: Case, variant: str, device: torch.device, times_ms: np.ndarray, copy_ms: float) -> Row:
    low, p20, p50, p80, p95 = (float(q) for q in np.quantile(times_ms, [0, 0.2, 0.5, 0.8, 0.95]))
    return Row(
        case=case.name,
        variant=variant,
        device=_device_name(device),
        versions=f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}",
        commit=_commit(),
        n=len(times_ms),
        min=low,
        p20=p20,
        p50=p50,
        p80=p80,
        p95=p95,
        unit="ms",
        bytes_moved=case.bytes_moved,
        share_of_ceiling=copy_ms / p50,
    )


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU {platform.machine()}, {threads} thread{'s' if threads > 1 else ''}"


@cache
def _commit() -> str:
    """Return the commit of the checkout, with '+' when files differ from it, or 'unknown' outside git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
