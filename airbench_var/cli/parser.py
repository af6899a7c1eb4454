"""argparse with our way of telling mistakes: one message with what was likely meant, not the whole usage."""

import argparse
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

from airbench_var.cli.output import reader_may_leave
from airbench_var.errors import UsageError, nearest


class Formatter(argparse.HelpFormatter):
    """Help that keeps paragraphs, lines that are indented, and names with a hyphen."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = (
            one if one.startswith("  ") else "\n".join(self._split_lines(one, width))
            for one in text.strip("\n").split("\n\n")
        )
        return textwrap.indent("\n\n".join(paragraphs), indent)


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are UsageErrors; options are never abbreviated."""

    def __init__(self, **how: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=Formatter, **how)

    def parse_args(  # type: ignore[override]  # of argparse's overloads the one that is used
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Return the options; raises UsageError, and for --help and --version SystemExit."""
        for argument in args or ():  # before argparse asks for what is required, which it may have meant
            if meant := self._meant(argument):
                self.error(f"unrecognized arguments: {argument}{meant}")
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help or version, of which a reader may want the beginning alone."""
        with reader_may_leave():
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        """Raise UsageError, with where to read on."""
        raise UsageError(f"{message}. See `{self.prog} --help`.")

    def _meant(self, argument: str) -> str:
        """Return ' (did you mean ...?)' for a long option that is none and nearly is one."""
        name, known = argument.partition("=")[0], self._option_string_actions
        return nearest(name, list(known), 0.7) if name.startswith("--") and name not in known else ""
