"""Stores of made-up runs for the report: names that would break a page, diverged runs, several test sets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from airbench_var.seeds import Seeds, seeds_of_run
from airbench_var.store import Outcome, Predictions, RunResult, RunSpec, StoreWriter, describe_test_set

#: Ends a script, starts one, is a formula of matplotlib, has a sign that DejaVu lacks, is too long.
CLASSES = (
    "</script>",
    '<img src=x onerror="alert(1)">',
    "$x^$",
    "日本",
    "a & b",
    "'",
    "z" * 40,
    "cat",
    "]]>",
    "",
)
RECIPE = "</script><script>alert(1)</script>"


def correct_RN(runs: int, n: int = 300, seed: int = 0) -> npt.NDArray[np.bool_]:
    """Return runs on examples of different hardness, the last two right and wrong together."""
    rng = np.random.default_rng(seed)
    right_RN = rng.random((runs, n)) < rng.beta(2, 0.7, n)
    right_RN[:, -1] = right_RN[:, -2] = rng.random(runs) < 0.5
    return right_RN


def make_store(
    path: Path,
    right: Mapping[str, npt.NDArray[np.bool_]],
    *,
    classes: Sequence[str] = CLASSES,
    diverged: Sequence[int] = (),
    failed: int = 0,
    predicted: bool = True,
    imported: bool = False,
    identity: Mapping[str, Any] | None = None,
    more_provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Write runs that are right where `right` says, (R, N) by test set, and some that failed for good."""
    K = len(classes)
    labels = {name: (np.arange(rows.shape[1]) % K).astype(np.uint8) for name, rows in right.items()}
    runs = len(next(iter(right.values())))
    of: dict[str, Any] = {
        "test_sets": [describe_test_set(name, labels_N, tuple(classes)) for name, labels_N in labels.items()],
        "columns": ["correct", "predicted"] if predicted else ["correct"],
    }
    provenance: dict[str, Any] = {"imported_from": "<b>runs.npy</b>"}
    if imported:
        of["imported"] = {"kind": "classes", "dtype": "|u1", "shape": [runs, 300], "sha256": "0" * 64}
    else:
        of |= {
            "recipe": {"epochs": 8.0, "note": RECIPE},
            "recipe_sha256": "a" * 64,
            "seed": 1,
            "vary": ["init"],
        }
        provenance = {"recipe_name": RECIPE, "data_title": "<b>Data</b>", "device": "none"}
    with StoreWriter.open(
        path,
        identity=of | dict(identity or {}),
        labels=labels,
        provenance=provenance | dict(more_provenance or {}),
        capacity=max(1, runs + failed),
    ) as writer:
        writer.event("start", runs=runs, committed=0, workers=2, device="none")
        writer.commit(
            [_outcome(r, right, labels, K, r in diverged, predicted, imported) for r in range(runs)]
        )
        writer.commit([Outcome(spec=_spec(runs + i), worker=0, failure="killed") for i in range(failed)])
        writer.event("stop", committed=runs, signal=None)
    return path


def _spec(run_id: int) -> RunSpec:
    return RunSpec(run_id=run_id, seeds=seeds_of_run(1, run_id))


def _outcome(
    run_id: int,
    right: Mapping[str, npt.NDArray[np.bool_]],
    labels: Mapping[str, npt.NDArray[np.uint8]],
    K: int,
    diverged: bool,
    predicted: bool,
    imported: bool,
) -> Outcome:
    predictions = {}
    for name, rows in right.items():
        called_N = np.where(rows[run_id], labels[name], (labels[name] + 1 + run_id % (K - 1)) % K)
        predictions[name] = Predictions(
            correct=np.packbits(rows[run_id], bitorder="little"),
            predicted=called_N.astype(np.uint8) if predicted else None,
        )
    train_s = np.nan if imported else 1.0 + run_id % 7 / 10
    spec = RunSpec(run_id=run_id, seeds=Seeds(init=0, order=0, aug=0)) if imported else _spec(run_id)
    result = RunResult(predictions=predictions, loss=0.1, diverged=diverged, train_s=train_s)
    return Outcome(spec=spec, worker=run_id % 2, result=result)
