"""What `analyze --json` and `compare --json` print, and the HTML report holds."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airbench_var.analysis import Analysis, Comparison, PairAnalysis
from airbench_var.store import Store
from airbench_var.store.manifest import different_leaves

#: Values by which two recipes of one name are told apart, at most.
MOST_VALUES = 3


def made(store: Store) -> str:
    """Return what the runs are of: 'tiny on CIFAR-10, epochs = 1.0', or where they were imported from."""
    changes = store.manifest.provenance.get("recipe_changes", {})
    return _with_values(_named(store), [f"{key} = {json.dumps(value)}" for key, value in changes.items()])


def made_apart(a: Store, b: Store) -> tuple[str, str]:
    """Return what the runs of two stores are of, with the values in which two recipes of one name differ."""
    leaves = list(different_leaves(_settings(a), _settings(b)))
    if not leaves or _named(a) != _named(b):
        return made(a), made(b)
    of_a, of_b = ([f"{key} = {values[place]}" for key, *values in leaves] for place in (0, 1))
    return _with_values(_named(a), of_a), _with_values(_named(b), of_b)


def _named(store: Store) -> str:
    identity, created_by = store.manifest.identity, store.manifest.provenance
    if own := identity.get("function"):
        return str(own["name"])
    if identity.get("imported"):
        return f"imported from {created_by.get('imported_from', 'unknown')}"
    return f"{created_by.get('recipe_name', 'unknown')} on {created_by.get('data_title', 'unknown')}"


def _with_values(name: str, values: Sequence[str]) -> str:
    """Return the name with the first of the values, and how many more there are."""
    more = [f"and {len(values) - MOST_VALUES} more values"] if len(values) > MOST_VALUES else []
    return ", ".join([name, *values[:MOST_VALUES], *more])


def _settings(store: Store) -> Mapping[str, Any]:
    """Return the values of a recipe, or the settings of somebody's own function."""
    identity = store.manifest.identity
    own: Mapping[str, Any] = identity.get("function", {}).get("settings", {})
    return identity.get("recipe") or own


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
    for test_set in store.manifest.test_sets:
        for one in found["test_sets"][test_set.name]["by_class"]:
            one["class"] = test_set.classes[one["label"]]
    for name, of_pairs in (pairs or {}).items():
        found["test_sets"][name]["pairs"] = of_pairs.to_json()
    return found


def compared(a: Path, b: Path, found: Mapping[str, Comparison]) -> dict[str, Any]:
    """Return the comparison of two stores as one JSON document."""
    return {
        "a": str(a),
        "b": str(b),
        "test_sets": {name: comparison.to_json() for name, comparison in found.items()},
    }
