"""Whatever arrays a file has, under whatever names: it is imported as it is meant, or refused in words."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from airbench_var.errors import AirbenchVarError
from airbench_var.importing import Import, import_runs
from airbench_var.store import Store

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")

N, K, FILES = 12, 4, 500
NAMES = ("predicted", "correct", "label", "labels", "y_true", "y_pred", "logits", "outputs", "index", "a")
Arrays = dict[str, npt.NDArray[Any]]


def some_arrays(rng: np.random.Generator, labels_N: npt.NDArray[np.int64]) -> Arrays:
    """One to three arrays of shapes and types that people save; as many runs as examples among them."""
    runs = int(rng.choice([1, 3, N]))

    def one() -> npt.NDArray[Any]:
        n = N - int(rng.random() < 0.05)
        made: list[npt.NDArray[Any]] = [
            labels_N[:n],
            np.tile(labels_N[:n], (runs, 1)),
            rng.integers(0, K, n),
            rng.integers(0, K, (runs, n)),
            rng.random(n) < 0.5,
            rng.random((runs, n)) < 0.5,
            rng.normal(size=(n, K)).astype(np.float32),
            rng.normal(size=(runs, n, K)).astype(np.float32),
            np.arange(n),
        ]
        return made[rng.integers(len(made))]

    return {str(name): one() for name in rng.choice(NAMES, rng.integers(1, 4), replace=False)}


def right_by(arrays: Arrays, labels_N: npt.NDArray[np.int64]) -> list[npt.NDArray[np.bool_]]:
    """Return what each array may say was right, (runs, examples)."""
    found = []
    for values in arrays.values():
        is_logits = values.dtype.kind == "f"
        said = values.argmax(axis=-1) if is_logits else values
        said_RN = np.atleast_2d(said)
        if said_RN.shape[1] == len(labels_N):
            found += [said_RN == labels_N, said_RN.astype(np.bool_)]
    return found


def test_any_arrays_are_imported_or_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    imported = 0
    for case in range(FILES):
        labels_N = rng.integers(0, K, N)
        arrays = some_arrays(rng, labels_N)
        np.savez(tmp_path / "runs.npz", **arrays)
        np.save(tmp_path / "labels.npy", labels_N)
        labels = tmp_path / "labels.npy" if case % 2 else None
        out = tmp_path / str(case)
        try:
            import_runs(Import(predictions=tmp_path / "runs.npz", labels=labels, out=out))
        except AirbenchVarError:
            assert not out.exists()
            continue
        imported += 1
        store = Store.open(out)
        [name] = store.test_sets
        correct_RN = store.correct_RN(name)
        judged_by = labels_N if labels is not None else store.labels(name)
        assert any(np.array_equal(correct_RN, may_be) for may_be in right_by(arrays, judged_by)), arrays
        assert any(np.array_equal(store.labels(name), v.ravel()[:N]) for v in [*arrays.values(), labels_N])
    assert imported > FILES / 10
