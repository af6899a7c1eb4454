"""`python -m tests.faults [--short] [--only TEXT] [--out DIR]`: try every fault on the store, print a table.

Exit code 1 when anything went wrong. `make faults` runs the long campaign and then `python -m bench store`.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from rich import box
from rich.console import Console
from rich.table import Table

from airbench_var import machine
from tests.faults import failing, harm, inject, killed_workers, kills, power, together
from tests.faults.tally import OUTCOMES, Tally
from tests.store.machine import StoreMachine

Campaign = Callable[[Path], Tally | None]


def campaigns(*, short: bool) -> Iterator[Campaign]:
    """Yield every campaign, small enough for a minute in all, or in full."""
    yield kills.kill_in_process
    if not short:  # a second each
        yield kills.kill_by_strace
    yield partial(kills.kill_at_random, campaigns=8 if short else 400)
    yield partial(power.cut_anywhere, mixtures=0 if short else 60, every=5 if short else 1)
    yield partial(power.cut_in_a_repair, mixtures=0 if short else 60, every=3 if short else 1)
    every, step, mixtures = (17, 19, 0) if short else (2, 1, 1)
    yield partial(power.cut_after_a_failed_sync, mixtures=mixtures, every=every, step=step)
    yield partial(
        power.cut_after_a_kill,
        mixtures=0 if short else 1,
        every=41 if short else 4,
        step=29 if short else 1,
    )
    yield partial(failing.fail_calls, name="ENOSPC", fault=inject.no_space, step=5 if short else 1)
    yield partial(failing.fail_calls, name="EIO", fault=inject.input_output_error, step=5 if short else 1)
    yield failing.fill_a_disk
    yield failing.write_in_pieces
    yield partial(failing.interrupt_calls, times=3 if short else 50)
    yield partial(harm.flip_bits, bits_of=_some_bits if short else range)
    yield partial(harm.cut_files, every_byte=not short)
    yield partial(harm.lose_to_zeros, step=512 if short else 64)
    yield harm.add_garbage
    yield harm.exchange_rows
    yield partial(harm.repair_harm, times=40 if short else 2000)
    yield partial(together.race, writers=3, n_runs=60 if short else 1500)
    yield partial(together.read_beside_a_writer, readers=2, n_runs=200 if short else 6000)
    yield partial(
        killed_workers.kill_workers,
        kills=10 if short else 1000,
        runs_at_a_time=60 if short else 1000,
        examples=1_000 if short else 10_000,
        mean_s=0.02,
    )
    if not short:  # the tests of executors on Ray kill some too
        yield partial(killed_workers.kill_actors, kills=200, runs_at_a_time=500, examples=10_000, mean_s=0.02)
    yield partial(histories, times=15 if short else 1500)


def _some_bits(size: int) -> Iterator[int]:
    return iter(random.Random(size).sample(range(size), size // 150))


def histories(folder: Path, times: int) -> Tally:
    """Random sequences of operations, kills, damage and repairs, compared with the store in memory."""
    tally = Tally("random histories: duplicates, conflicts, late and unknown runs, kills, damage, repair")
    with power.no_syncs():
        try:
            run_state_machine_as_test(
                StoreMachine, settings=settings(max_examples=times, stateful_step_count=25, deadline=None,
                                                derandomize=True, database=None),
            )  # fmt: skip
        except AssertionError as error:
            tally.wrong("other_bytes", str(error)[:300])
    tally.tries = times
    return tally


def main() -> int:
    """Run the campaigns and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Try to break the store.")
    parser.add_argument("--short", action="store_true", help="the campaign of `make test`")
    parser.add_argument("--only", default="", help="campaigns whose name contains this")
    parser.add_argument("--out", type=Path, help="write table.txt and numbers.json into this folder")
    options = parser.parse_args()
    rows: list[Tally] = []
    start_s = time.monotonic()
    for campaign in campaigns(short=options.short):
        if options.only not in str(campaign):
            continue
        began_s = time.monotonic()
        tally = in_a_folder(campaign)
        if tally is None:
            print(f"not possible here: {campaign}", file=sys.stderr)
            continue
        rows.append(tally)
        elapsed_s = time.monotonic() - began_s
        print(f"{elapsed_s:7.1f} s  {tally.fault}: {tally.tries:,} tries", file=sys.stderr, flush=True)
        for note in tally.notes:
            print(f"           {note}", file=sys.stderr)
    head = {
        "command": "python -m tests.faults" + " --short" * options.short,
        "commit": machine.short_commit(),
        "device": machine.cpu_name(),
        "elapsed_s": round(time.monotonic() - start_s),
    }
    print_table(rows, head, Console(width=110, highlight=False))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        with (options.out / "table.txt").open("w") as file:
            print_table(rows, head, Console(file=file, width=110))
        numbers = head | {"faults": [row.to_json() for row in rows]}
        (options.out / "numbers.json").write_text(json.dumps(numbers, indent=2) + "\n")
    return 0 if rows and all(row.harmless for row in rows) else 1


def in_a_folder(campaign: Campaign) -> Tally | None:
    """Run a campaign in a folder of its own: real processes on a disk, what is simulated in memory."""
    memory, inner = Path("/dev/shm"), campaign.func if isinstance(campaign, partial) else campaign
    in_processes = inner.__module__ in (kills.__name__, killed_workers.__name__, together.__name__)
    place = None if in_processes or not os.access(memory, os.W_OK) else memory
    with tempfile.TemporaryDirectory(prefix="faults-", dir=place) as folder:
        return campaign(Path(folder))


def print_table(rows: list[Tally], head: dict[str, object], console: Console) -> None:
    """Print fault, tries and outcomes; all outcomes should be 0."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("fault")
    for name in ("tries", *OUTCOMES):
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(row.fault, f"{row.tries:,}", *(f"{getattr(row, name):,}" for name in OUTCOMES))
    total = [sum(getattr(row, name) for row in rows) for name in ("tries", *OUTCOMES)]
    table.add_section()
    table.add_row("all", *(f"{number:,}" for number in total))
    console.print(table)
    console.print(
        "lost: acknowledged runs gone or changed. torn: damage that a kill or a power cut left, or a reader "
        "met. undetected: damage that verify took for whole. other bytes: finished stores that differ from "
        "an undisturbed one. stuck: the same command could not finish, or a named error did not come."
    )
    console.print(" | ".join(f"{key} {value}" for key, value in head.items()), style="dim")


if __name__ == "__main__":
    sys.exit(main())
