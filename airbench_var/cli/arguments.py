"""What an argument of the command line may be, with a message for what it may not be."""

import argparse
import re
from pathlib import Path

from airbench_var.example import TINY
from airbench_var.shard import Shard


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add STORE, and --example, which stands in its place."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "store", type=Path, nargs="?", metavar="STORE", action=_IfGiven, help="a folder of runs, as runs/tiny"
    )
    add_example(which)


class _IfGiven(argparse.Action):
    """Keep what --example has set: argparse gives an absent STORE its default at the end."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        options: argparse.Namespace,
        value: object,
        option: str | None = None,
    ) -> None:
        if value is not None:
            setattr(options, self.dest, value)


def add_example(group: argparse._MutuallyExclusiveGroup) -> None:
    """Add --example to what else may say which store."""
    group.add_argument(
        "--example",
        dest="store",
        action="store_const",
        const=TINY,
        help="the store that comes with airbench_var: 100 runs of `tiny` on CIFAR-10",
    )


def positive(text: str) -> int:
    """Return a whole number of 1 or more."""
    return _at_least(1, text)


def natural(text: str) -> int:
    """Return a whole number of 0 or more."""
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
    return value


def portion(text: str) -> float:
    """Return a number above 0 and up to 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and up to 1")
    return value


#: From here on a difference or std without the sign of percent is as likely meant in percent.
PLAIN_BELOW = 0.01


def of_accuracy(text: str) -> float:
    """Return 0.0002 for '0.02%', a difference or std of accuracies, and for '0.0002', as JSON has it."""
    value = _fraction(text)
    if PLAIN_BELOW <= value < 100 and not text.endswith("%"):
        could_be = f"{text}% or {100 * value:g}%" if value < 1 else f"{text}%"
        raise argparse.ArgumentTypeError(
            f"{text!r} has no sign of percent, and is no fraction below {PLAIN_BELOW}: write {could_be}"
        )
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage above 0 % and below 100 %, as 0.02%")
    return value


def chance(text: str) -> float:
    """Return 0.8 for '80%' and for '0.8'."""
    value = _fraction(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a percentage as 80% nor a fraction as 0.8")
    return value


def _fraction(text: str) -> float:
    """Return the number, or a hundredth of it before a sign of percent; 0 for what is no number."""
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return 0.0


def shard(text: str) -> Shard:
    """Return shard 3 of the shards 0 ... 99 for '3/100'."""
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
    index, count = map(int, match.groups()) if match else (0, 0)
    if index >= count:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not I/M with I from 0 to M - 1, as 0/4, 1/4, 2/4 and 3/4 for four jobs"
        )
    return Shard(index, count)
