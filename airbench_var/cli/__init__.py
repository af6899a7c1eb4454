"""The command line: thin, and without torch until a network is to be trained."""

import argparse
import inspect
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from airbench_var.cli import (
    arguments,
    benchmarking,
    comparing,
    completing,
    examining,
    exporting,
    importing,
    listing,
    merging,
    photographing,
    reporting,
    stores,
    studying,
    tracking,
    train,
)
from airbench_var.cli.output import lead_nowhere
from airbench_var.cli.parser import Parser
from airbench_var.errors import (
    AirbenchVarError,
    DeviceError,
    UsageError,
    nearest,
)
from airbench_var.interrupt import exit_code_of, terminable

#: What every command may need; a Python that lacks one is most likely not the one that was installed into.
NEEDED = ("numpy", "rich", "scipy", "torch", "triton")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a known error is one message on stderr."""
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except BrokenPipeError:  # of messages: who reads results may leave, see `reader_may_leave`
        lead_nowhere(sys.stderr)
        return 128 + signal.SIGPIPE


def _run(given: list[str]) -> int:
    try:
        with terminable():
            return _dispatch(given)
    except AirbenchVarError as error:
        print(f"airbench_var: {error}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        if error.name not in NEEDED:
            raise
        print(
            f"airbench_var: {error.name} is not installed in this Python, {sys.executable}. Activate the "
            "environment that airbench_var was installed into (source .venv/bin/activate after `make demo`), "
            "or install it into this one, from its folder: pip install -e .",
            file=sys.stderr,
        )
        return DeviceError.exit_code
    except KeyboardInterrupt as interrupt:
        print(
            "\nairbench_var: stopped at once. What was done is kept, nothing is half-written; give the same "
            "command again.",
            file=sys.stderr,
        )
        return exit_code_of(interrupt)


def _dispatch(given: list[str]) -> int:
    command = "train"
    if given and not given[0].startswith("-"):
        command = given.pop(0)
    if command == "help":  # as git has it: `help analyze` is `analyze --help`
        command, given = (given or ["train"])[0], ["--help"]
        command = "train" if command == "help" else command
    if not given and command == "train":
        print(train.description(), file=sys.stderr)  # who types nothing does not know what there is
    if command == "train":
        return train.run(train.parser().parse_args(given))
    if command not in COMMANDS:
        raise UsageError(
            f"unknown command {command!r}{nearest(command, ['train', *COMMANDS])}. Commands: train, "
            f"{', '.join(COMMANDS)}; "
            "without one, `python -m airbench_var --runs N` trains."
        )
    return COMMANDS[command].run(parser_of(command).parse_args(given))


class Command(NamedTuple):
    """One command besides `train`; the docstring of `run` is its description."""

    run: Callable[[argparse.Namespace], int]
    add_arguments: Callable[[argparse.ArgumentParser], None]


COMMANDS: Mapping[str, Command] = {
    "analyze": Command(stores.analyze, stores.add_analyze),
    "compare": Command(comparing.compare, comparing.add_compare),
    "report": Command(reporting.report, reporting.add_report),
    "plan": Command(comparing.plan, comparing.add_plan),
    "bench": Command(benchmarking.bench, benchmarking.add_bench),
    "import": Command(importing.import_, importing.add_import),
    "export": Command(exporting.export, exporting.add_export),
    "photos": Command(photographing.photos, photographing.add_photos),
    "recipes": Command(listing.recipes, listing.add_recipes),
    "study": Command(studying.study, studying.add_study),
    "merge": Command(merging.merge, merging.add_merge),
    "info": Command(stores.info, arguments.add_store),
    "verify": Command(stores.verify, arguments.add_store),
    "repair": Command(stores.repair, stores.add_repair),
    "track": Command(tracking.track, tracking.add_track),
    "doctor": Command(examining.doctor, examining.add_doctor),
    "completion": Command(completing.completion, completing.add_completion),
}


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return the parser of a command besides `train`."""
    command = COMMANDS[name]
    parser = Parser(
        prog=f"python -m airbench_var {name}",
        description=(inspect.getdoc(command.run) or "").replace("%", "%%"),
    )
    command.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="for machines; fractions, not percent")
    return parser
