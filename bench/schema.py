"""The one row that every benchmark prints, and how it is measured: variants take turns in one process."""

import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from math import inf
from typing import Literal, TypeVar

import numpy as np
import torch
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

    group: str = ""  #: the name under which the command knows the case
    case: str
    key: str  #: of the case in names of ratios
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
    item: str = ""  #: what is counted, in the plural: "runs"
    rate: float = 0.0  #: items in the time of `rate_unit`, at the median; 0 where a rate means nothing
    rate_unit: str = ""  #: "runs per second"
    note: str = ""  #: what else a reader must know of this variant


class CheckFailedError(ValueError):
    """What is compared does not agree, so that no time of it means anything."""


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
    key: str = ""  #: in names of ratios; by default the name up to its first comma or bracket
    variants: Mapping[str, Variant]
    bytes_moved: int
    ceiling: Ceiling
    #: by the name of a variant or of the ceiling: what comes before every call of it, untimed
    prepare: Mapping[str, Callable[[], object]] = field(default_factory=dict)
    #: for each part of the result, the largest norm of a difference, over the norm of ours; () for equal bits
    tolerances: tuple[float, ...] = ()
    #: by the name of a variant that draws for itself, so that no tolerance fits: whether, given the result of
    #: ours and its own, they can be of the same images
    agree: Mapping[str, Callable[[Result, Result], bool]] = field(default_factory=dict)
    #: by the name of a variant
    notes: Mapping[str, str] = field(default_factory=dict)
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
        name="gemm",
        run=lambda: torch.mm(left, right, out=product),
        scale=operations / (2 * side**3),
    )


def measure(
    case: Case, device: torch.device, repeats: int, warm_up: int = 2, limit_s: float = inf
) -> list[Row]:
    """Return a row a variant and one for the ceiling, timed in turns A B A B after some unmeasured rounds.

    After limit_s seconds there are fewer repeats, but at least three.
    Raises: CheckFailedError when a variant's result differs from ours: then there is no number to print.
    """
    first_ms = _check(case, device)
    first_ms[case.ceiling.name], _ = _time_ms(case, case.ceiling.name, case.ceiling.run, device)

    def time_ms(name: str, run: Callable[[], object]) -> float:
        return _time_ms(case, name, run, device)[0]

    variants: dict[str, Callable[[], object]] = {**case.variants, case.ceiling.name: case.ceiling.run}
    timers = {name: lambda name=name, run=run: time_ms(name, run) for name, run in variants.items()}
    times_ms = take_turns(timers, repeats, warm_up, limit_s)
    times_ms[case.ceiling.name] = [case.ceiling.scale * t for t in times_ms[case.ceiling.name]]
    best_ms = float(np.median(times_ms[case.ceiling.name]))
    return [
        row(
            case=case.name,
            key=case.key or plain_name(re.split("[,(]", case.name)[0]),
            variant=name,
            device=device_name(device),
            times=times,
            first=first_ms[name],
            bytes_moved=case.bytes_moved,
            ceiling=case.ceiling.name,
            best=best_ms,
            items=case.items,
            item=case.item,
            note=case.notes.get(name, ""),
        )
        for name, times in times_ms.items()
    ]


def take_turns(
    timers: Mapping[str, Callable[[], float]], repeats: int, warm_up: int, limit_s: float
) -> dict[str, list[float]]:
    """Return what each timer returned, called in turns A B A B, without those of the first rounds.

    After limit_s seconds there are fewer rounds, but at least three that count.
    """
    times: dict[str, list[float]] = {name: [] for name in timers}
    end_s = time.perf_counter() + limit_s
    for turn in count(-warm_up):
        if turn >= repeats or (turn >= LEAST_REPEATS and time.perf_counter() > end_s):
            return times
        for name, timer in timers.items():
            elapsed = timer()
            if turn >= 0:
                times[name].append(elapsed)
    raise AssertionError("count() has no end")


def row(
    *,
    case: str,
    key: str,
    variant: str,
    device: str,
    times: Sequence[float],
    first: float,
    bytes_moved: int,
    ceiling: str,
    best: float,
    unit: Literal["ms", "s"] = "ms",
    items: int = 0,
    item: str = "",
    per: Literal["second", "hour"] = "second",
    note: str = "",
) -> Row:
    """Return the row of a variant from its times in `unit`; `best` is the median time of the ceiling."""
    low, p20, p50, p80, p95 = (float(q) for q in np.quantile(times, [0, 0.2, 0.5, 0.8, 0.95]))
    a_second = {"ms": 1e3, "s": 1.0}[unit] * {"second": 1, "hour": 3600}[per]
    return Row(
        case=case,
        key=key,
        variant=variant,
        device=device,
        versions=f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}",
        commit=machine.short_commit(),
        n=len(times),
        min=low,
        p20=p20,
        p50=p50,
        p80=p80,
        p95=p95,
        first=first,
        unit=unit,
        bytes_moved=bytes_moved,
        ceiling=ceiling,
        share_of_ceiling=best / p50,
        items=items,
        item=item,
        rate=items / p50 * a_second,
        rate_unit=f"{item} per {per}" if items else "",
        note=note,
    )


def ratios(rows: Iterable[Row]) -> dict[str, float]:
    """Return what the rows of one case say, by name.

    KEY_vs_PEER is the time of the peer over ours, for as many items: above 1 ours is the faster.
    KEY_share_of_CEILING is the time of the ceiling over ours.
    """
    rows = list(rows)
    ours = next(row for row in rows if row.variant == OURS)
    found = {f"{ours.key}_share_of_{plain_name(ours.ceiling)}": ours.share_of_ceiling}
    for peer in rows:
        if peer.variant not in (OURS, peer.ceiling):
            found[f"{ours.key}_vs_{plain_name(peer.variant)}"] = slower_by(peer, ours)
    return found


def slower_by(row: Row, ours: Row) -> float:
    """Return the time of a row over that of ours, for as many items."""
    return (row.p50 / (row.items or 1)) / (ours.p50 / (ours.items or 1))


def plain_name(text: str) -> str:
    """Return words for a machine: 'Eq 3, 20 resamples' becomes 'eq_3_20_resamples'."""
    return re.sub(r"\W+", "_", text).strip("_").lower()


def device_name(device: torch.device, threads: int | None = None) -> str:
    """Return the name of the device, of a CPU with the threads that are at work, by default PyTorch's."""
    name, threads = Settings(device=str(device)).device_name(), threads or torch.get_num_threads()
    return name if device.type == "cuda" else f"{name}, {threads} thread{'s' if threads > 1 else ''}"


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _check(case: Case, device: torch.device) -> dict[str, float]:
    """Return the milliseconds of the first call of each variant, once all results agree with ours."""
    first_ms: dict[str, float] = {}
    results: dict[str, Result] = {}
    for name, variant in case.variants.items():
        first_ms[name], returned = _time_ms(case, name, variant, device)
        results[name] = returned() if callable(returned) else returned
    ours = results.pop(OURS)
    tolerances = case.tolerances or (0.0,) * len(ours)

    def near(ours: Result, other: Result) -> bool:
        return all(_agree(*parts) for parts in zip(ours, other, tolerances, strict=True))

    for name in sorted(results):
        if not case.agree.get(name, near)(ours, results[name]):
            raise CheckFailedError(f"{case.name}: {name} and {OURS} differ, so no time means anything.")
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
    synchronize(device)
    start_s = time.perf_counter()
    result = variant()
    synchronize(device)
    return (time.perf_counter() - start_s) * 1e3, result
