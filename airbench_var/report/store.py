"""What `verify`, `repair` and `info` print."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from airbench_var.report.console import Console
from airbench_var.report.percent import size_text
from airbench_var.store import Fault, Repair, StoreInfo, Verification

#: Faults that are listed; --json lists all.
_MOST_FAULTS = 20
_MOST_RUNS = 10


def print_verification(found: Verification, console: Console | None = None) -> None:
    """Print what was read and every fault, or that there is none."""
    console = console or Console(highlight=False, markup=False)
    speed = found.bytes_read / found.elapsed_s / 1e6
    console.print(
        f"{found.store}: {_states(found)}; read {found.bytes_read / 1e6:,.1f} MB "
        f"in {found.elapsed_s:.2f} s ({speed:,.0f} MB/s)",
        soft_wrap=True,
    )
    if not found.faults:
        console.print("Whole: every file, record and row is what was written.")
        return
    _print_faults(found.faults, console)


def print_repair(done: Repair, console: Console | None = None) -> None:
    """Print what was damaged, what became of it, and what to do next."""
    console = console or Console(highlight=False, markup=False)
    if done.quarantine is None and not done.faults:
        console.print(f"{done.store} is whole: nothing to repair, nothing was written.", soft_wrap=True)
        return
    _print_faults(done.faults, console)
    if done.quarantine is not None:
        console.print(f"As it was found, the damage is kept in {done.quarantine}", soft_wrap=True)
    if done.reopened:
        console.print(
            f"{_runs(done.reopened)} open again; the command that made the store does what is open."
        )
    for file in done.labels_missing:
        console.print(f"{file} is missing until the command that made the store writes it again.")
    if not done.reopened and not done.labels_missing:
        console.print("Mended; no run is lost.")


def print_info(info: StoreInfo, console: Console | None = None) -> None:
    """Print what a store is of, how far it is, and where it came from."""
    console = console or Console(highlight=False, markup=False)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _lines(info):
        table.add_row(name, Text(value))
    console.print(table)


def _lines(info: StoreInfo) -> Iterator[tuple[str, str]]:
    yield from lines(info, str(info.store))
    yield "disk", f"{size_text(info.disk_bytes)} on {info.filesystem or 'an unknown filesystem'}"
    yield "writer", "none on this machine" if info.writer is None else f"process {info.writer}"
    if info.last_event:
        yield "last event", f"{info.last_event.get('kind')} at {info.last_event.get('time')}"


def lines(info: StoreInfo, store: str) -> Iterator[tuple[str, str]]:
    """Yield what a store is of, how far it is, and where it came from: equal for every copy of that name."""
    identity, origin = info.manifest.identity, info.manifest.provenance
    yield "store", f"{store} (format {info.manifest.format_version}, uuid {info.manifest.uuid})"
    yield "runs", _states(info)
    if shard := origin.get("shard"):
        yield "shard", f"{shard}; other jobs train the rest"
    if merged := origin.get("merged"):
        yield "merged", f"from {len(merged)} store{'s' if len(merged) > 1 else ''}"
    imported = identity.get("imported")
    if imported:
        yield "imported", f"{origin.get('imported_from', 'unknown')}: {_array(imported)}"
        for name, array in imported.get("further", {}).items():
            yield "", f"for {name}: {_array(array)}"
    elif own := identity.get("function"):
        yield "function", f"{own['name']}, settings {json.dumps(own['settings'])}"
    else:
        yield "recipe", _recipe(identity, origin)
        yield "data", str(origin.get("data_title", "unknown"))
    for test_set in info.manifest.test_sets:
        yield "test set", f"{test_set.name}: {test_set.n:,} examples, {len(test_set.classes)} classes"
    yield "columns", ", ".join(identity["columns"])
    if not imported:
        yield "seeds", f"campaign seed {identity.get('seed')}, vary {', '.join(identity.get('vary', ()))}"
        yield "device", _device(origin)
    if numerics := identity.get("numerics"):
        yield "numerics", ", ".join(f"{name} {value}" for name, value in numerics.items())
    versions = origin.get("versions")
    versions = versions if isinstance(versions, dict) else {}
    yield "versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    yield "commit", str(origin.get("commit") or "unknown")
    yield "made", str(origin.get("created", "unknown"))
    yield "command", str(origin.get("command", "unknown"))


def _recipe(identity: Mapping[str, Any], origin: Mapping[str, Any]) -> str:
    """Return its name and hash, and what was changed of the recipe of that name, as far as the store says."""
    title = f"{origin.get('recipe_name', 'unknown')} ({str(identity.get('recipe_sha256'))[:8]})"
    changes = origin.get("recipe_changes")
    changed = changes.items() if isinstance(changes, dict) else ()
    return ", ".join([title, *(f"{key} = {json.dumps(value)}" for key, value in changed)])


def _array(imported: Mapping[str, Any]) -> str:
    what = f"{imported['kind']} {imported['dtype']} {tuple(imported['shape'])}"
    return f"{what}, sha256 {imported['sha256'][:8]}"


def _device(origin: Mapping[str, Any]) -> str:
    driver = origin.get("driver")
    return str(origin.get("device", "unknown")) + (f", driver {driver}" if driver else "")


def _states(store: StoreInfo | Verification) -> str:
    return (
        f"{store.committed:,} committed, {store.failed:,} failed, {store.open:,} open, "
        f"of {store.capacity:,} runs"
    )


def _print_faults(faults: tuple[Fault, ...], console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("file")
    table.add_column("run", justify="right")
    table.add_column("what is wrong")
    for fault in faults[:_MOST_FAULTS]:
        table.add_row(fault.file, "all" if fault.run_id is None else f"{fault.run_id}", fault.what)
    console.print(table)
    if len(faults) > _MOST_FAULTS:
        console.print(f"... and {len(faults) - _MOST_FAULTS:,} more; --json lists all.")


def _runs(run_ids: tuple[int, ...]) -> str:
    if len(run_ids) == 1:
        return f"Run {run_ids[0]} is"
    shown = ", ".join(map(str, run_ids[:_MOST_RUNS])) + (", ..." if len(run_ids) > _MOST_RUNS else "")
    return f"{len(run_ids):,} runs ({shown}) are"
