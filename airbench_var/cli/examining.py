"""The command that says what this machine has of what runs need: doctor."""

import argparse
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from airbench_var.cli.output import print_json, reader_may_leave
from airbench_var.errors import DeviceError

if TYPE_CHECKING:
    from airbench_var.doctor import Finding


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Add what `doctor` takes."""
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where CIFAR-10 lies; otherwise it is looked up"
    )


def _first_command(findings: "Sequence[Finding]") -> str:
    """Return what this machine may well begin with: airbench94 takes minutes a network without a GPU."""
    on_cpu = any(one.name == "device" and one.what.startswith("cpu") for one in findings)
    recipe = "--runs 200 --recipe tiny" if on_cpu else "--runs 10000"
    lacks_data = any(one.name == "data" and one.state != "ok" for one in findings)
    data = " --data synthetic" if lacks_data else ""
    return f"python -m airbench_var {recipe}{data}"


def doctor(options: argparse.Namespace) -> int:
    """Try what runs need on this machine, and say what is missing and how to get it; half a minute.

    Device, C and Triton kernels against their reference, every engine by a network of a few steps, FFCV, the
    packages of every extra, the data and the disk. Exit code 7 when the main job could not run.
    """
    from airbench_var.doctor import examine
    from airbench_var.report.console import Console
    from airbench_var.report.doctor import print_finding

    console = Console(highlight=False, markup=False)
    findings: list[Finding] = []
    lacking: list[str] = []
    with reader_may_leave():
        with nullcontext() if options.json else console.status("trying the next; compilers take longest"):
            for finding in examine(options.data_dir):
                findings.append(finding)
                if finding.needed and finding.state != "ok":
                    lacking.append(finding.name)
                if not options.json:
                    print_finding(finding, console)
        if options.json:
            print_json({"findings": [finding.to_json() for finding in findings]})
        else:
            console.print()
            console.print(
                f"Not ready: {', '.join(lacking)}." if lacking else f"Ready: {_first_command(findings)}",
                soft_wrap=True,  # to be copied
            )
    return DeviceError.exit_code if lacking else 0
