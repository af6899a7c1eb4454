"""`python -m bench [CASE ...] [--device D] [--threads N] [--json] [--out FILE] ...`."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console

from airbench_var.errors import nearest
from bench.cases import CASES, Options, run_cases
from bench.schema import Row
from bench.table import print_table


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Print side-by-side timings.",
        epilog="python -m bench gpu --help: all that a machine with a GPU can say, in one call. "
        "python -m bench operations --help: where the time of a step goes. "
        "python -m bench scale --help: what one driver sustains.",
    )
    known = ", ".join(CASES)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"any of {known} (default: all)")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        help="CPU threads of PyTorch, where a case sets no others (default: 1)",
    )
    parser.add_argument("--repeats", type=int, default=30, help="timed calls of each variant (default: 30)")
    parser.add_argument(
        "--limit", type=float, default=120, help="seconds a case, if that allows three repeats (default: 120)"
    )
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where CIFAR-10 lies; otherwise it is looked up"
    )
    parser.add_argument(
        "--json", action="store_true", help="print rows and ratios as one JSON object; tables go to stderr"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="append one JSON object a row to this file")
    parser.add_argument(
        "--small", action="store_true", help="tiny sizes, to see that all of it runs: the times mean nothing"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the cases asked for, print a table each; return 1 when a check failed."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["gpu"]:  # a command of its own
        from bench.gpu.command import main as gpu

        return gpu(arguments[1:])
    if arguments[:1] == ["operations"]:
        from bench.operations import main as operations

        return operations(arguments[1:])
    if arguments[:1] == ["scale"]:
        from bench.scale.command import main as scale

        return scale(arguments[1:])
    own = parser()
    asked = own.parse_args(arguments)
    for name in asked.cases:
        if name not in CASES:
            own.error(f"unknown case {name!r}{nearest(name, [*CASES])}. Cases: {', '.join(CASES)}.")
    if asked.repeats < 1 or asked.threads < 1:
        own.error("--repeats and --threads must be at least 1")
    options = Options(
        device=asked.device,
        repeats=asked.repeats,
        limit_s=asked.limit,
        data_dir=asked.data_dir,
        small=asked.small,
    )

    torch.set_num_threads(asked.threads)
    tables = sys.stderr if asked.json else sys.stdout
    console = Console(file=tables, width=None if tables.isatty() else 120)

    def show(rows: list[Row]) -> None:
        print_table(rows, console)
        if asked.out:
            with asked.out.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(asdict(row)) + "\n" for row in rows)

    with redirect_stdout(tables):  # a case may say something too
        found = run_cases(asked.cases or list(CASES), options, show, CASES)
    console.print("The ratios are the result: variants took turns. Times alone depend on the machine.")
    if asked.json:
        print(json.dumps(found.to_json(), allow_nan=False))
    for failure in found.failures:
        print(f"bench: no number of this: {failure}", file=sys.stderr)
    return 1 if found.failures else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # folders of a store are removed on the way out
    sys.exit(main())
