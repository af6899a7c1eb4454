"""Print what a command found: a table for people, or one JSON object."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

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
    store: "Store", analysis: "Analysis", *, as_json: bool, pairs: "Mapping[str, PairAnalysis] | None" = None
) -> None:
    """Print the estimates with what they are of, and what pairs of examples say, by test set."""
    identity, created_by = store.manifest.identity, store.manifest.provenance
    imported = identity.get("imported")  # of runs that we did not train
    own = identity.get("function")  # somebody else's, that made them
    unknown = None if imported or own else "unknown"
    name, data, device = (created_by.get(key, unknown) for key in ("recipe_name", "data_title", "device"))
    with reader_may_leave():
        if as_json:
            head = {
                "store": str(store.path),
                "recipe": name,
                "recipe_sha256": identity.get("recipe_sha256"),
                "data": data,
                "seed": identity.get("seed"),
                "vary": identity.get("vary"),
                "imported": imported,
                "function": own,
                "created_by": created_by,  # of the session that made the store; events.jsonl has the others
            }
            document = head | analysis.to_json()
            for test_set, found in (pairs or {}).items():
                document["test_sets"][test_set]["pairs"] = found.to_json()
            print_json(document)
        else:
            from airbench_var.report.table import print_analysis

            made = f"{own['name'] if own else f'{name} on {data}'}, made on {device}"
            if imported:
                made = f"imported from {created_by.get('imported_from', 'unknown')}"
            print(f"{made}, store {store.path}")
            print_analysis(analysis)
            if pairs:
                from airbench_var.report.pairs import print_pairs

                print_pairs(pairs)


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
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
