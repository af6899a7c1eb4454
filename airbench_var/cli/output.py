"""Print what a command found: a table for people, or one JSON object."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TextIO, TypeVar

if TYPE_CHECKING:
    from airbench_var.analysis import Analysis, PairAnalysis
    from airbench_var.store import Store


class Printable(Protocol):
    """A result that can be given to a machine."""

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""


Found = TypeVar("Found", bound=Printable)


def print_found(found: Found, for_people: Callable[[Found], None], *, as_json: bool) -> None:
    """Print a result by its own `to_json`, or by the report for people."""
    with reader_may_leave():
        if as_json:
            print_json(found.to_json())
        else:
            for_people(found)


def print_analysis_of(
    store: "Store",
    analysis: "Analysis",
    *,
    as_json: bool,
    pairs: "Mapping[str, PairAnalysis] | None" = None,
    with_classes: bool = False,
) -> None:
    """Print the estimates with what they are of, and what classes and pairs of examples say, by test set."""
    from airbench_var.report.document import document, made

    with reader_may_leave():
        if as_json:
            print_json(document(store, analysis, pairs))
        else:
            from airbench_var.report.table import print_analysis

            device = store.manifest.provenance.get("device", "unknown")
            where = "" if store.manifest.identity.get("imported") else f", made on {device}"
            print(f"{made(store)}{where}, store {store.path}{unfinished(store)}")
            print_analysis(analysis)
            if with_classes:
                from airbench_var.report.by_class import print_by_class

                print_by_class(store, analysis)
            if pairs:
                from airbench_var.report.pairs import print_pairs

                print_pairs(pairs)


def unfinished(store: "Store") -> str:
    """Return how many runs are still to come, with a comma before it; nothing of a shard or a whole store."""
    missing = store.capacity - len(store.committed_ids()) - len(store.failed_ids())
    if missing <= 0 or "shard" in store.manifest.provenance:
        return ""
    return f", unfinished: {missing:,} of {store.capacity:,} runs are still to come"


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object; a value that is not finite is a defect, and raises."""
    print(json.dumps(values, indent=2, allow_nan=False))


def open_closed_streams() -> None:
    """Let standard streams that were closed for us, as by `>&-`, lead to nowhere.

    Otherwise the next file that is opened, one of the store say, would get what is written to them.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:  # the lowest that is free
        pass
    os.close(fd)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Print within this context; a reader of our output who left, as `| head` does, is no error."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        lead_nowhere(sys.stdout)


def lead_nowhere(stream: TextIO) -> None:
    """Let what is still to be written to a stream be lost, without an error when Python ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
