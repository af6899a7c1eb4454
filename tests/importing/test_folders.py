"""A folder of files of runs: in which order, and what is said of files that do not go together."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from airbench_var.errors import DataError
from airbench_var.importing import Import, import_runs
from airbench_var.store import Store
from tests.importing.inputs import N, R, some_runs

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")

RUNS = some_runs()


def folder_of(names: list[str], folder: Path) -> Import:
    """Write a run under each name, and the labels beside the folder."""
    for name, classes_N in zip(names, RUNS.classes_RN, strict=True):
        path = folder / "runs" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, classes_N)
    np.save(folder / "labels.npy", RUNS.labels_N)
    return Import(predictions=folder / "runs", labels=folder / "labels.npy", out=folder / "store")


@pytest.mark.parametrize("name", ["{}", "run_{}", "run_{}_of_12", "batch{}/of_2024", "seed {:02}", "1e{}-2"])
def test_numbers_in_the_names_are_in_their_order(name: str, tmp_path: Path) -> None:
    """So that the ids of the runs are those that the files are called by, and not 10 before 2."""
    wanted = folder_of([name.format(run) for run in range(R)], tmp_path)
    assert import_runs(wanted).files == tuple(
        tmp_path / "runs" / f"{name.format(run)}.npy" for run in range(R)
    )
    np.testing.assert_array_equal(Store.open(wanted.out).predicted("test"), RUNS.classes_RN)


def test_names_that_differ_in_zeros_alone_are_in_one_order(tmp_path: Path) -> None:
    names = ["1", "01", "001", "a", "b1/0", "b01/0", "c", "c1", "c1d", "d", "10", "9"]
    files = import_runs(folder_of(names, tmp_path)).files
    assert [str(path.relative_to(tmp_path / "runs").with_suffix("")) for path in files] == [
        *("001", "01", "1", "9", "10", "a", "b01/0", "b1/0", "c", "c1", "c1d", "d")
    ]


@pytest.mark.parametrize("short", [0, 2])
@pytest.mark.parametrize("suffix", [".npy", ".csv"])
def test_a_file_that_lacks_examples_is_named(suffix: str, short: int, tmp_path: Path) -> None:
    """As the table of a run that was cut, with labels of its own; not as one of another kind."""
    for run in range(3):
        n = N - 2 * (run == short)
        if suffix == ".csv":
            frame = pd.DataFrame({"y_true": RUNS.labels_N, "y_pred": RUNS.classes_RN[run]})[:n]
            frame.to_csv(tmp_path / f"run{run}.csv", index=False)
        else:
            np.save(tmp_path / f"run{run}.npy", RUNS.classes_RN[run : run + 1, :n])
    other = "run1" if short == 0 else "run0"
    np.save(tmp_path / "labels.npy", RUNS.labels_N[: -2 if short == 0 else N])
    wanted = Import(
        predictions=sorted(tmp_path.glob(f"run*{suffix}")),
        labels=tmp_path / ("run0.csv" if suffix == ".csv" else "labels.npy"),
        out=tmp_path / "store",
    )
    said = rf"run{short}\{suffix}.* has 201 examples, .*{other}\{suffix}.* 203: .*rows may be missing"
    with pytest.raises(DataError, match=said):
        import_runs(wanted)
