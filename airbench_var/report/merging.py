"""What `merge` prints."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from airbench_var.report.console import Console
from airbench_var.store import Merged

#: Ranges of open runs that are shown; --json lists all.
_MOST_RANGES = 8


def print_merged(done: Merged, console: Console | None = None) -> None:
    """Print what came from which store, and what the store at the end holds and lacks."""
    console = console or Console(highlight=False, markup=False)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("store", overflow="fold")
    for name in ("shard", "committed", "failed", "new here"):
        table.add_column(name, justify="right", no_wrap=True)
    for source in done.sources:
        numbers = (f"{n:,}" for n in (source.committed, source.failed, source.added))
        table.add_row(str(source.path), source.shard or "", *numbers)
    console.print(table)
    console.print(
        f"{done.out}: {done.committed:,} committed, {done.failed:,} failed, {done.open_count:,} open, "
        f"of {done.runs:,} runs",
        soft_wrap=True,
    )
    if done.open:
        console.print(
            f"Open: {ranges_text(done.open)}. When they have been trained, the same command adds them.",
            soft_wrap=True,
        )


def ranges_text(ranges: Sequence[range]) -> str:
    """Return run ids in few words: '3, 10-19, 21-97 every 4'."""
    shown = []
    for ids in ranges[:_MOST_RANGES]:
        every = f" every {ids.step}" if ids.step > 1 else ""
        shown.append(f"{ids[0]}-{ids[-1]}{every}" if len(ids) > 1 else f"{ids[0]}")
    rest = sum(map(len, ranges[_MOST_RANGES:]))
    return ", ".join(shown) + (f", and {rest:,} more" if rest else "")
