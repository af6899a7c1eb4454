"""`python -m bench gpu --out DIR`: parse, choose the sections, run them, and say by the exit code."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from airbench_var.errors import AirbenchVarError
from airbench_var.training import choose_devices
from bench.gpu import ceilings, equivalence, kernels, peer, profiled, runs, suite
from bench.gpu.report import print_origin
from bench.gpu.sections import Section, Sections
from bench.gpu.session import FULL, QUICK, Session, load_data

#: In order. The seconds are predictions for an H200 by arithmetic, see the package; nobody has measured them.
SECTIONS = (
    Section(name="tests", title="Tests marked gpu", predicted_s=80, run=suite.section),
    Section(name="kernels", title="Kernels: bits and times", predicted_s=35, run=kernels.section),
    Section(name="ceilings", title="Ceilings", predicted_s=1, run=ceilings.section),
    Section(name="per_run", title="One network after the other", predicted_s=100, run=runs.per_run),
    Section(name="at_a_time", title="Several networks at a time", predicted_s=60, run=runs.at_a_time),
    Section(name="profile", title="Profile of a run", predicted_s=10, run=profiled.section),
    Section(name="equivalence", title="Fast path against reference", predicted_s=55, run=equivalence.section),
    Section(name="peer", title="airbench94_muon.py in turns with ours", predicted_s=110, run=peer.section),
    Section(
        name="compiled_tests",
        title="Tests of compiled steps",
        predicted_s=180,
        run=suite.compiled,
        by_name=True,
    ),
)
BUDGET_S = 460


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code: 0, 1 when a section failed, or that of a named error."""
    try:
        return run(_parser().parse_args(arguments))
    except AirbenchVarError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def run(options: argparse.Namespace) -> int:
    """Run the sections that were asked for; raises UsageError, DataError or DeviceError before the first."""
    device = torch.device(choose_devices(options.device)[0][0])
    if device.type == "cuda":
        torch.cuda.set_device(device)
    sizes = QUICK if options.quick else FULL
    peer_file = peer.find(options.peer) if options.peer else None
    chosen = [
        section
        for section in SECTIONS
        if (section.name in options.only if options.only else not section.by_name)
        and (peer_file or section.name != "peer")
    ]
    session = Session(
        device=device,
        sizes=sizes,
        data=load_data(options.data_dir, sizes),
        out=options.out,
        peer=peer_file,
        options=_again(options),
    )
    options.out.mkdir(parents=True, exist_ok=True)
    console = Console(width=None if sys.stdout.isatty() else 120)
    sections = Sections(session, options.budget, console, quick=options.quick)
    if options.only:
        sections.keep_earlier()
    print_origin(sections.numbers, console)
    failed = sections.run(chosen)
    if failed:
        print(f"error: failed sections: {', '.join(failed)}; tracebacks in {options.out}", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench gpu",
        description="Everything that a machine with a GPU can say, in one call of less than eight minutes.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="for numbers.json and table.txt"
    )
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where CIFAR-10 lies; else it is looked up"
    )
    parser.add_argument(
        "--peer", type=Path, metavar="PATH", help=f"a checkout of cifar10-airbench, or {peer.FILE}"
    )
    parser.add_argument(
        "--budget", type=float, default=BUDGET_S, metavar="S", help=f"seconds in all (default {BUDGET_S})"
    )
    parser.add_argument("--device", default="cuda", help="cuda (default), cuda:INDEX, or cpu")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether it works, not how fast")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[section.name for section in SECTIONS],
        metavar="SECTION",
        help="these sections alone, added to what DIR has: "
        + ", ".join(section.name for section in SECTIONS),
    )
    return parser


def _again(options: argparse.Namespace) -> list[str]:
    """Return the options of this call that one for some of its sections takes too."""
    found = ["--out", str(options.out), "--device", options.device]
    found += ["--data-dir", str(options.data_dir)] if options.data_dir else []
    found += ["--peer", str(options.peer)] if options.peer else []
    return found + ["--quick"] * options.quick
