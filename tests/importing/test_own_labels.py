"""Labels that the files of the predictions have themselves: not asked for, and not believed blindly."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from airbench_var import cli
from airbench_var.errors import DataError, UsageError
from airbench_var.exporting import Export, export
from airbench_var.importing import Import, import_runs
from airbench_var.store import Store
from tests.importing.inputs import R, some_runs, write
from tests.importing.test_labels_in_tables import assert_is_whole, table
from tests.importing.test_labels_in_tables import write as write_table
from tests.importing.writers import save_pickle

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")

RUNS = some_runs()


def write_arrays(path: Path, **arrays: np.ndarray) -> Path:
    """Save arrays by key in any of the formats that have keys."""
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".pt":
        torch.save({key: torch.from_numpy(array) for key, array in arrays.items()}, path)
    elif path.suffix == ".pkl":
        save_pickle(path, arrays)
    else:
        pd.Series({key: array.tolist() for key, array in arrays.items()}).to_json(path)
    return path


def import_both(predictions: Path, labels: Path, folder: Path) -> Store:
    """Import without and with the option; the stores are of the same."""
    import_runs(Import(predictions=predictions, out=folder / "store"))
    store = Store.open(folder / "store")
    assert store.manifest.provenance["labels_from"] == labels.name
    import_runs(Import(predictions=predictions, labels=labels, out=folder / "given"))
    assert store.manifest.identity == Store.open(folder / "given").manifest.identity
    assert import_runs(Import(predictions=predictions, labels=labels, out=folder / "store")).added == 0
    return store


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_of_a_long_table(suffix: str, tmp_path: Path) -> None:
    path = write_table(
        table("seed", "idx", "y_pred").rename(columns={"label": "y_true"}), tmp_path / f"a{suffix}"
    )
    assert_is_whole(import_both(path, path, tmp_path))


@pytest.mark.parametrize("suffix", [".npz", ".json", ".pt", ".pkl"])
@pytest.mark.parametrize("name", ["labels", "predicted/labels"])
def test_beside_the_predictions(name: str, suffix: str, tmp_path: Path) -> None:
    path = write_arrays(tmp_path / f"a{suffix}", predicted=RUNS.classes_RN, **{name: RUNS.labels_N})
    assert_is_whole(import_both(path, path, tmp_path))


@pytest.mark.parametrize("name", ["test", "target"])
def test_of_an_exported_folder(name: str, tmp_path: Path) -> None:
    """A test set may be called as labels are."""
    wanted = write(tmp_path, RUNS.classes_RN, RUNS.labels_N, out=tmp_path / "first", test_set=name)
    import_runs(wanted)
    export(Export(store=tmp_path / "first", out=tmp_path / "hub", format="hf"))
    store = import_both(tmp_path / "hub", tmp_path / "hub", tmp_path)
    np.testing.assert_array_equal(store.predicted(name), RUNS.classes_RN)
    np.testing.assert_array_equal(store.labels(name), RUNS.labels_N)


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".json"])
def test_a_folder_may_be_given_for_its_first_file(suffix: str, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    for run in range(R):
        path = folder / f"run_{run}{suffix}"
        if suffix == ".csv":
            write_table(pd.DataFrame({"y_true": RUNS.labels_N, "y_pred": RUNS.classes_RN[run]}), path)
        else:
            write_arrays(path, predicted=RUNS.classes_RN[run : run + 1], labels=RUNS.labels_N)
    assert_is_whole(import_both(folder, folder / f"run_0{suffix}", tmp_path))
    import_runs(Import(predictions=folder, labels=folder, out=tmp_path / "folder"))
    assert_is_whole(Store.open(tmp_path / "folder"))


def test_a_run_is_not_taken_for_labels(tmp_path: Path) -> None:
    """Of a folder of runs without labels the first file is a run; so is the only array of a file."""
    folder = tmp_path / "runs"
    folder.mkdir()
    for run in range(2):
        np.save(folder / f"{run}.npy", RUNS.classes_RN[run])
    np.savez(tmp_path / "a.npz", predicted=RUNS.classes_RN[0])
    for path in (folder, tmp_path / "a.npz"):
        with pytest.raises(DataError, match="the labels are among the predictions"):
            import_runs(Import(predictions=path, labels=path, out=tmp_path / "store"))
        with pytest.raises(UsageError, match="no labels of their own"):
            import_runs(Import(predictions=path, out=tmp_path / "store"))
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("others", "message"), [(True, "are not the labels of .*a.npz"), (False, "no labels of")]
)
def test_all_files_have_the_labels_of_the_first(others: bool, message: str, tmp_path: Path) -> None:
    """A loader that shuffles gives each file an order of its own."""
    a = write_arrays(tmp_path / "a.npz", predicted=RUNS.classes_RN[:5], labels=RUNS.labels_N)
    more = {"labels": np.roll(RUNS.labels_N, 1)} if others else {}
    b = write_arrays(tmp_path / "b.npz", predicted=RUNS.classes_RN[5:], **more)
    with pytest.raises(DataError, match=message):
        import_runs(Import(predictions=[a, b], out=tmp_path / "store"))
    assert not (tmp_path / "store").exists()
    write_arrays(b, predicted=RUNS.classes_RN[5:], labels=RUNS.labels_N)
    import_runs(Import(predictions=[a, b], out=tmp_path / "store"))
    assert_is_whole(Store.open(tmp_path / "store"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_without_any_it_is_said_what_the_file_has(suffix: str, tmp_path: Path) -> None:
    frame = table()
    frame["label"] = "class " + frame["label"].astype(str)
    path = write_table(frame, tmp_path / f"a{suffix}")
    with pytest.raises(UsageError, match=r"give --labels FILE\. It has predicted .*, label .*NAMES\.index"):
        import_runs(Import(predictions=path, out=tmp_path / "store"))
    odd = write_table(table("trial_no", "img", "guess").rename(columns={"label": "truth"}), path)
    with pytest.raises(
        UsageError, match=r"give --labels FILE\. .*columns trial_no, img, guess, truth may be"
    ):
        import_runs(Import(predictions=odd, out=tmp_path / "store"))


def test_one_number_is_neither(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.array(1))
    np.save(tmp_path / "a.npy", RUNS.classes_RN)
    with pytest.raises(UsageError, match="no labels of their own"):
        import_runs(Import(predictions=tmp_path / "one.npy", out=tmp_path / "store"))
    with pytest.raises(DataError, match=r"one\.npy is int64 \(\); labels are"):
        import_runs(
            Import(predictions=tmp_path / "a.npy", labels=tmp_path / "one.npy", out=tmp_path / "store")
        )


def test_each_test_set_has_its_own(tmp_path: Path) -> None:
    other_N = np.roll(RUNS.labels_N, 1)
    arrays = {"a": RUNS.classes_RN, "a/labels": RUNS.labels_N, "b": RUNS.classes_RN, "b/labels": other_N}
    path = write_arrays(tmp_path / "a.npz", **arrays)
    import_runs(Import(predictions=path, out=tmp_path / "store"))
    store = Store.open(tmp_path / "store")
    for name in "ab":
        np.testing.assert_array_equal(store.labels(name), arrays[f"{name}/labels"])


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_table(table(), tmp_path / "long.csv")
    assert cli.main(["import", str(path), "--out", str(tmp_path / "store")]) == 0
    assert "12 of 12 runs imported now" in capsys.readouterr().err
