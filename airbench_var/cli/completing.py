"""The command that prints a shell's completion script, by shtab: completion."""

import argparse
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from airbench_var.cli.output import reader_may_leave
from airbench_var.errors import DeviceError, UsageError

SHELLS = ("bash", "zsh", "fish")


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Add what `completion` takes."""
    parser.add_argument("shell", choices=SHELLS, help="of which the script is printed")


def completion(options: argparse.Namespace) -> int:
    """Print a script that completes commands, options and files of `airbench_var` in a shell.

    bash: source <(airbench_var completion bash); fish: airbench_var completion fish | source; zsh: write it
    to a file _airbench_var in a folder of $fpath.
    """
    if options.json:
        raise UsageError("completion prints a script, which is no JSON: leave out --json.")
    if find_spec("shtab") is None:
        raise DeviceError(
            "completion is written by shtab, which is not installed: pip install 'airbench_var[completion]'."
        )
    import shtab

    with reader_may_leave():
        print(shtab.complete(whole_parser(), shell=options.shell))
    return 0


def whole_parser() -> argparse.ArgumentParser:
    """Return one parser of all commands: what `main` parses one by one."""
    import shtab

    from airbench_var.cli import COMMANDS, parser_of, train

    main = train.parser()
    main.prog = "airbench_var"
    commands = main.add_subparsers()
    for name, own in [("train", train.parser()), *((name, parser_of(name)) for name in COMMANDS)]:
        line = (own.description or "").lstrip().partition("\n")[0]
        commands.add_parser(name, parents=[own], add_help=False, description=line, help=line)
    for action in _actions(main):
        if action.type is Path or str(action.metavar).endswith("]FILE"):  # of several, by its key
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return main


def _actions(parser: argparse.ArgumentParser) -> Iterable[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _actions(one)
