"""argparse with our way of telling mistakes: one message with what was likely meant, not the whole usage."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from airbench_var.errors import UsageError, nearest


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are UsageErrors; options are never abbreviated."""

    def __init__(self, **how: Any) -> None:
        super().__init__(allow_abbrev=False, **how)

    def parse_args(  # type: ignore[override]  # of argparse's overloads the one that is used
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Return the options; raises UsageError, and for --help and --version SystemExit."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._meant(unknown[0])}")
        return options

    def error(self, message: str) -> NoReturn:
        """Raise UsageError, with where to read on."""
        raise UsageError(f"{message}. See `{self.prog} --help`.")

    def _meant(self, argument: str) -> str:
        name = argument.partition("=")[0]
        return nearest(name, list(self._option_string_actions)) if name.startswith("--") else ""
