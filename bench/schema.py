"""The one row that every benchmark prints, and how it is measured: variants take turns in one process."""

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from math import inf
from typing import TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from airbench_var import machine
from airbench_var.training import Settings

#: The variant that all are compared with.
OURS = "ours"

#: What a call returns; parts that are tuples are compared as one vector.
Part = Tensor | tuple[Tensor, ...]
Result = tuple[Part, ...]

#: A variant returns its result, or a function that fetches it: what that function does is not timed.
Variant = Callable[[], Result | Callable[[], Result]]

T = TypeVar("T")

LEAST_REPEATS, MULTIPLE, LARGEST_SIDE = 3, 64, 4096


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
    first: float  #: the very first call, which also compiles
    unit: str
    bytes_moved: int
    ceiling: str  #: what the machine could do at best: the name of the variant that does only that
    share_of_ceiling: float  #: median time of the ceiling's work, over the median time of this
    items: int = 0  #: what one call handles, where a rate means something
    item: str = ""  #: what is counted, in the plural: "runs"; "bytes" are printed as MB


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The least that a machine could do in place of a case: its time is that of `run`, times `scale`."""

    name: str
    run: Callable[[], object]
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """Variants that must agree before any of them is timed; "ours" is one of them."""

    name: str
    variants: Mapping[str, Variant]
    bytes_moved: int
    ceiling: Ceiling
    #: by the name of a variant or of the ceiling: what comes before every call of it, untimed
    prepare: Mapping[str, Callable[[], object]] = field(default_factory=dict)
    #: for each part of the result, the largest norm of a difference, over the norm of ours; () for equal bits
    tolerances: tuple[float, ...] = ()
    items: int = 0
    item: str = ""


def copying(bytes_moved: int, device: torch.device) -> Ceiling:
    """Return the ceiling of a case that waits for memory: half of the bytes read, half written."""
    source = torch.zeros(bytes_moved // 2, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return Ceiling(name="copy", run=lambda: target.copy_(source))


def multiplying(operations: int, dtype: torch.dtype, device: torch.device) -> Ceiling:
    """Return the ceiling of a case that waits for arithmetic: a product of square matrices.

    The matrices have as many floating point operations as the case, as near as a side that is a multiple of
    64, up to 4096, comes; the scale makes up for the rest.
    """
    side = MULTIPLE * round((operations / 2) ** (1 / 3) / MULTIPLE)
    side = min(max(side, MULTIPLE), LARGEST_SIDE)
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(side, side, generator=generator).to(device, dtype) for _ in range(2))
    product = torch.empty_like(left)
    return Ceiling(
        name="product",
        run=lambda: torch.mm(left, right, out=product),
        scale=operations / (2 * side**3),
    )


def measure(
    case: Case, device: torch.device, repeats: int, warm_up: int = 2, limit_s: float = inf
) -> list[Row]:
    """Return a row a variant and one for the ceiling, timed in turns A B A B after some unmeasured rounds.

    After limit_s seconds there are fewer repeats, but at least three.
    Raises: ValueError when a variant's result differs from ours: then there is no number to print.
    """
    variants: dict[str, Callable[[], object]] = {**case.variants, case.ceiling.name: case.ceiling.run}
    first_ms = _check(case, device)
    first_ms[case.ceiling.name], _ = _time_ms(case, case.ceiling.name, case.ceiling.run, device)
    times_ms: dict[str, list[float]] = {name: [] for name in variants}
    end_s = time.perf_counter() + limit_s
    for turn in count(-warm_up):
        if turn >= repeats or (turn >= LEAST_REPEATS and time.perf_counter() > end_s):
            break
        for name, variant in variants.items():
            elapsed_ms, _ = _time_ms(case, name, variant, device)
            if turn >= 0:
                times_ms[name].append(elapsed_ms)
    times_ms[case.ceiling.name] = [case.ceiling.scale * t for t in times_ms[case.ceiling.name]]
    best_ms = float(np.median(times_ms[case.ceiling.name]))
    return [
        _row(case, name, device, np.array(times), first_ms[name], best_ms) for name, times in times_ms.items()
    ]


def print_table(rows: list[Row], console: Console) -> None:
    """Print the rows of one case with their ratios to ours, which are the result."""
    ours = next(row for row in rows if row.variant == OURS)
    table = Table(title=f"{ours.case} (n = {ours.n})", title_justify="left")
    for heading in ("variant", "ratio", "p50 ms", "min", "p20", "p80", "p95", f"of {ours.ceiling}"):
        table.add_column(heading, justify="left" if heading == "variant" else "right", no_wrap=True)
    for row in rows:
        times = [
            f"{ms:.{3 if ms < 10 else 1 if ms < 100 else 0}f}"
            for ms in (row.p50, row.min, row.p20, row.p80, row.p95)
        ]
        table.add_row(row.variant, f"{row.p50 / ours.p50:.2f}", *times, f"{row.share_of_ceiling:.0%}")
    console.print(table)
    first = ", ".join(f"{row.variant} {row.first / 1e3:.2f} s" for row in rows if row.variant != row.ceiling)
    console.print(f"first call, with any compiling: {first}", highlight=False)
    if ours.items:
        console.print(f"{OURS}: {_rate(ours)} (p50)", highlight=False)
    console.print(f"{ours.device}; {ours.versions}; commit {ours.commit}\n", style="dim")


def _check(case: Case, device: torch.device) -> dict[str, float]:
    """Return the milliseconds of the first call of each variant, once all results agree with ours."""
    first_ms: dict[str, float] = {}
    results: dict[str, Result] = {}
    for name, variant in case.variants.items():
        first_ms[name], returned = _time_ms(case, name, variant, device)
        results[name] = returned() if callable(returned) else returned
    ours = results.pop(OURS)
    tolerances = case.tolerances or (0.0,) * len(ours)
    for name in sorted(results):
        for mine, other, tolerance in zip(ours, results[name], tolerances, strict=True):
            if not _agree(mine, other, tolerance):
                raise ValueError(f"{case.name}: {name} and {OURS} differ, so no time means anything.")
    return first_ms


def _agree(mine: Part, other: Part, tolerance: float) -> bool:
    """Whether the parts are equal up to the tolerance; NaN and infinity agree with nothing."""
    mine, other = (part if isinstance(part, tuple) else (part,) for part in (mine, other))
    if [(t.shape, t.dtype) for t in mine] != [(t.shape, t.dtype) for t in other]:
        return False
    ours, theirs = (torch.cat([t.flatten().double() for t in part]) for part in (mine, other))
    return bool((ours - theirs).norm() <= tolerance * ours.norm() < inf)


def _time_ms(case: Case, name: str, variant: Callable[[], T], device: torch.device) -> tuple[float, T]:
    """Return the milliseconds of one prepared call, with the device idle before and after, and its result."""
    if name in case.prepare:
        case.prepare[name]()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start_s = time.perf_counter()
    result = variant()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - start_s) * 1e3, result


def _row(
    case: Case, variant: str, device: torch.device, times_ms: np.ndarray, first_ms: float, best_ms: float
) -> Row:
    low, p20, p50, p80, p95 = (float(q) for q in np.quantile(times_ms, [0, 0.2, 0.5, 0.8, 0.95]))
    return Row(
        case=case.name,
        variant=variant,
        device=_device_name(device),
        versions=f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}",
        commit=machine.short_commit(),
        n=len(times_ms),
        min=low,
        p20=p20,
        p50=p50,
        p80=p80,
        p95=p95,
        first=first_ms,
        unit="ms",
        bytes_moved=case.bytes_moved,
        ceiling=case.ceiling.name,
        share_of_ceiling=best_ms / p50,
        items=case.items,
        item=case.item,
    )


def _rate(row: Row) -> str:
    """Return what a variant handles in a second, in words."""
    scale, item = (1e-6, "MB") if row.item == "bytes" else (1.0, row.item)
    return f"{scale * row.items / row.p50 * 1e3:,.0f} {item} per second"


def _device_name(device: torch.device) -> str:
    name, threads = Settings(device=str(device)).device_name(), torch.get_num_threads()
    return name if device.type == "cuda" else f"{name}, {threads} thread{'s' if threads > 1 else ''}"
