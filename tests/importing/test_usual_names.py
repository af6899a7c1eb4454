"""Arrays whose keys say what they are, and those of one run: found without being named, and only so."""

from pathlib import Path

import numpy as np
import pytest

from airbench_var.errors import DataError, UsageError
from airbench_var.importing import Import, import_runs
from airbench_var.store import Store
from tests.importing.inputs import K, N, R, some_runs
from tests.importing.test_own_labels import write_arrays

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")

RUNS = some_runs()
SUFFIXES = pytest.mark.parametrize("suffix", [".npz", ".pt", ".json", ".pkl"])


def imported(folder: Path, predictions: str, labels: str | None = None, key: str | None = None) -> Store:
    import_runs(
        Import(
            predictions=folder / predictions,
            labels=None if labels is None else folder / labels,
            keys=[] if key is None else [key],
            out=folder / "store",
        )
    )
    return Store.open(folder / "store")


def assert_is_whole(store: Store, runs: int = R) -> None:
    np.testing.assert_array_equal(store.predicted("test")[:], RUNS.classes_RN[:runs])
    np.testing.assert_array_equal(store.labels("test"), RUNS.labels_N)


@pytest.mark.parametrize("suffix", [".npz", ".pt", ".pkl"])
@pytest.mark.parametrize("has_labels", [False, True])
@pytest.mark.parametrize("key", [None, "logits"])
def test_logits_of_one_run_beside_what_else_is_known_of_it(
    key: str | None, has_labels: bool, suffix: str, tmp_path: Path
) -> None:
    """As a training script saves them: a dict a run, in a file of its own."""
    (tmp_path / "runs").mkdir()
    for run, logits_NK in enumerate(RUNS.logits_RNK):
        values = {"epoch": np.array(3), "seed": np.array(run), "logits": logits_NK, "acc": np.array(0.7)}
        if has_labels:
            values["labels"] = RUNS.labels_N
        write_arrays(tmp_path / "runs" / f"{run}{suffix}", **values)
    np.save(tmp_path / "labels.npy", RUNS.labels_N)
    assert_is_whole(imported(tmp_path, "runs", None if has_labels else "labels.npy", key))


@SUFFIXES
@pytest.mark.parametrize("names", [("labels", "pred"), ("y_true", "y_pred"), ("targets", "preds")])
def test_predictions_and_labels_of_one_run_need_no_option(
    names: tuple[str, str], suffix: str, tmp_path: Path
) -> None:
    (tmp_path / "runs").mkdir()
    label, name = names
    for run in range(3):
        arrays = {label: RUNS.labels_N, name: RUNS.classes_RN[run]}
        write_arrays(tmp_path / "runs" / f"{run}{suffix}", **arrays)
    assert_is_whole(imported(tmp_path, "runs"), 3)


@SUFFIXES
def test_many_runs_by_usual_names(suffix: str, tmp_path: Path) -> None:
    write_arrays(tmp_path / f"a{suffix}", y_true=RUNS.labels_N, y_pred=RUNS.classes_RN)
    assert_is_whole(imported(tmp_path, f"a{suffix}"))
    assert_is_whole(imported(tmp_path, f"a{suffix}", f"a{suffix}", "y_pred"))


@SUFFIXES
def test_what_leaves_a_doubt_is_refused(suffix: str, tmp_path: Path) -> None:
    name = f"a{suffix}"
    one_N, labels_N = RUNS.classes_RN[0], RUNS.labels_N
    write_arrays(tmp_path / name, first=one_N, second=RUNS.classes_RN[1])
    np.save(tmp_path / "labels.npy", labels_N)
    with pytest.raises(DataError, match=r"none of what it has is predictions.*numpy\.stack"):
        imported(tmp_path, name, "labels.npy")
    write_arrays(tmp_path / name, y_true=labels_N, y_pred=one_N, target=labels_N)
    with pytest.raises(UsageError, match="the predictions have no labels of their own"):
        imported(tmp_path, name)
    write_arrays(tmp_path / name, y_true=labels_N, y_pred=one_N)
    with pytest.raises(UsageError, match="y_true is a name of labels, and KEY is that of the predictions"):
        import_runs(
            Import(predictions=tmp_path / name, labels={"y_true": tmp_path / name}, out=tmp_path / "store")
        )


@SUFFIXES
@pytest.mark.parametrize("key", ["labels", "y_true", "cifar10/labels"])
def test_labels_are_no_predictions(key: str, suffix: str, tmp_path: Path) -> None:
    """As the only run they would be right on all examples."""
    write_arrays(tmp_path / f"a{suffix}", **{key: RUNS.labels_N})
    np.save(tmp_path / "labels.npy", RUNS.labels_N)
    with pytest.raises(DataError, match=f"{key} says labels: write predictions or call it predicted"):
        imported(tmp_path, f"a{suffix}", "labels.npy")


@SUFFIXES
def test_labels_with_a_second_axis_are_not_passed_over(suffix: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", RUNS.classes_RN)
    arrays = {"classes": RUNS.labels_N[:, None], "order": np.arange(N) % K}
    write_arrays(tmp_path / f"b{suffix}", **arrays)
    with pytest.raises(DataError, match="it is not clear what the labels are"):
        imported(tmp_path, "a.npy", f"b{suffix}")
    write_arrays(tmp_path / f"b{suffix}", y_test=arrays["classes"], order=arrays["order"])
    assert_is_whole(imported(tmp_path, "a.npy", f"b{suffix}"))


@pytest.mark.parametrize("values_RN", [RUNS.classes_RN, RUNS.right_RN])
def test_whole_numbers_are_no_logits_of_one_run(values_RN: np.ndarray, tmp_path: Path) -> None:
    """The axes exchanged, and as floats: each run would pass for the logit of a class."""
    np.save(tmp_path / "a.npy", values_RN.T.astype(float))
    np.save(tmp_path / "labels.npy", RUNS.labels_N % R)
    with pytest.raises(DataError, match=r"whole numbers, and as long as the labels.*array\.T\.astype\(int\)"):
        imported(tmp_path, "a.npy", "labels.npy")
