"""What `analyze --json` and `compare --json` print, and the HTML report holds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airbench_var.analysis import Analysis, Comparison, PairAnalysis
from airbench_var.store import Store


def made(store: Store) -> str:
    """Return what the runs are of, 'tiny on CIFAR-10', or where they were imported from."""
    identity, created_by = store.manifest.identity, store.manifest.provenance
    if own := identity.get("function"):
        return str(own["name"])
    if identity.get("imported"):
        return f"imported from {created_by.get('imported_from', 'unknown')}"
    return f"{created_by.get('recipe_name', 'unknown')} on {created_by.get('data_title', 'unknown')}"


def document(
    store: Store, analysis: Analysis, pairs: Mapping[str, PairAnalysis] | None = None
) -> dict[str, Any]:
    """Return the estimates with what they are of, and what pairs of examples say, by test set.

    As `analysis.schema.json` describes it.
    """
    identity, created_by = store.manifest.identity, store.manifest.provenance
    imported = identity.get("imported")  # of runs that we did not train
    own = identity.get("function")  # somebody else's, that made them
    unknown = None if imported or own else "unknown"
    found = {
        "store": str(store.path),
        "recipe": created_by.get("recipe_name", unknown),
        "recipe_sha256": identity.get("recipe_sha256"),
        "data": created_by.get("data_title", unknown),
        "seed": identity.get("seed"),
        "vary": identity.get("vary"),
        "imported": imported,
        "function": own,
        "created_by": created_by,  # of the session that made the store; events.jsonl has the others
        **analysis.to_json(),
    }
    for test_set, of_pairs in (pairs or {}).items():
        found["test_sets"][test_set]["pairs"] = of_pairs.to_json()
    return found


def compared(a: Path, b: Path, found: Mapping[str, Comparison]) -> dict[str, Any]:
    """Return the comparison of two stores as one JSON document."""
    return {
        "a": str(a),
        "b": str(b),
        "test_sets": {name: comparison.to_json() for name, comparison in found.items()},
    }
