"""`python -m bench [kernels | statistics | step | store] [--device D] [--threads N] [--json FILE] ...`."""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console

from bench import kernels, statistics, step, store
from bench.schema import Case, measure, print_table

GROUPS: dict[str, Callable[[torch.device], Iterator[Case]]] = {
    "kernels": kernels.cases,
    "step": step.cases,
    "store": store.cases,
    "statistics": statistics.cases,
}


def main() -> None:
    """Measure the cases of the groups asked for, print a table each, and append the rows to a file."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Print side-by-side timings.")
    parser.add_argument("group", nargs="?", choices=sorted(GROUPS), help="which cases (default: all)")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of PyTorch (default: 1)")
    parser.add_argument("--repeats", type=int, default=30, help="timed calls of each variant (default: 30)")
    parser.add_argument(
        "--limit", type=float, default=120, help="seconds a case, if that allows three repeats (default: 120)"
    )
    parser.add_argument("--json", type=Path, help="append one JSON object a row to this file")
    arguments = parser.parse_args()
    if arguments.repeats < 1 or arguments.threads < 1:
        parser.error("--repeats and --threads must be at least 1")

    torch.set_num_threads(arguments.threads)
    console = Console(width=None if sys.stdout.isatty() else 120)
    for group in [arguments.group] if arguments.group else sorted(GROUPS):
        for case in GROUPS[group](arguments.device):
            rows = measure(case, arguments.device, arguments.repeats, limit_s=arguments.limit)
            print_table(rows, console)
            if arguments.json:
                with arguments.json.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(asdict(row)) + "\n" for row in rows)
    console.print("The ratios are the result: variants took turns. Times alone depend on the machine.")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # folders of a store are removed on the way out
    if sys.argv[1:2] == ["gpu"]:  # a command of its own, see bench/gpu
        from bench.gpu.command import main as gpu

        sys.exit(gpu(sys.argv[2:]))
    main()
