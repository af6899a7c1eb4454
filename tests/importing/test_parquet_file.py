"""Parquet: lists, wide and long tables as pandas, polars and pyarrow write them, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airbench_var.errors import DataError, DeviceError
from airbench_var.importing import Import, import_runs
from airbench_var.importing.formats import open_file
from airbench_var.store import Store
from tests.importing.inputs import N, R, some_runs
from tests.importing.writers import long_table

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")

RUNS = some_runs()
CLASSES_RN = RUNS.classes_RN


def read_all(path: Path) -> np.ndarray:
    with open_file(path) as contents:
        [rows] = contents.arrays.values()
        return np.concatenate([rows.read(block) for block in rows.blocks])


def fixed_size(array: np.ndarray) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), array.shape[1])


WRITERS: dict[str, Callable[[Path], object]] = {
    "pandas, lists": lambda path: pd.DataFrame({"predicted": list(CLASSES_RN)}).to_parquet(path),
    "pandas, wide": lambda path: pd.DataFrame(CLASSES_RN).rename(columns=str).to_parquet(path),
    "pandas, an index": lambda path: (
        pd.DataFrame(CLASSES_RN, index=np.arange(R) + 5).rename(columns=str).to_parquet(path)
    ),
    "pandas, long": lambda path: pd.DataFrame(long_table(CLASSES_RN)).to_parquet(path),
    "polars, lists": lambda path: pl.DataFrame({"predicted": CLASSES_RN.tolist()}).write_parquet(path),
    "polars, arrays": lambda path: pl.DataFrame({"predicted": CLASSES_RN}).write_parquet(path),
    "polars, wide": lambda path: pl.DataFrame(CLASSES_RN, schema=[f"e{i}" for i in range(N)]).write_parquet(
        path
    ),
    "polars, long": lambda path: pl.DataFrame(long_table(CLASSES_RN)).write_parquet(path),
    "arrow, fixed size": lambda path: pq.write_table(pa.table({"predicted": fixed_size(CLASSES_RN)}), path),
    "arrow, groups of 5": lambda path: pq.write_table(
        pa.table({"run": np.arange(R) * 2, "predicted": fixed_size(CLASSES_RN)}), path, row_group_size=5
    ),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_the_array_comes_back(writer: str, tmp_path: Path) -> None:
    WRITERS[writer](tmp_path / "a.parquet")
    np.testing.assert_array_equal(read_all(tmp_path / "a.parquet"), CLASSES_RN)


@pytest.mark.parametrize("writer", WRITERS)
def test_blocks_are_read_in_any_order(writer: str, tmp_path: Path) -> None:
    WRITERS[writer](tmp_path / "a.parquet")
    with open_file(tmp_path / "a.parquet") as contents:
        [array] = contents.arrays.values()
        for rows in (range(7, 9), range(9, 10), range(0, 3), range(11, 12), range(2, 12), range(0, 12)):
            np.testing.assert_array_equal(array.read(rows), CLASSES_RN[rows.start : rows.stop])


def test_correctness_in_a_long_table_may_be_0_and_1(tmp_path: Path) -> None:
    table = long_table(RUNS.right_RN)
    table["correct"] = table["correct"].astype(np.int8)
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    read = read_all(tmp_path / "a.parquet")
    assert read.dtype == np.bool_
    np.testing.assert_array_equal(read, RUNS.right_RN)


def test_seeds_are_kept(tmp_path: Path) -> None:
    seeds = {
        "init_seed": np.arange(R, dtype=np.uint64) + np.uint64(2**63),
        "order_seed": np.arange(R),
        "aug_seed": np.zeros(R, np.int8),
    }
    pq.write_table(pa.table(seeds | {"predicted": fixed_size(CLASSES_RN)}), tmp_path / "a.parquet")
    np.save(tmp_path / "labels.npy", RUNS.labels_N)
    wanted = Import(
        predictions=tmp_path / "a.parquet", labels=tmp_path / "labels.npy", out=tmp_path / "store"
    )
    assert import_runs(wanted).has_seeds
    records = Store.open(tmp_path / "store").records()
    for name, values in seeds.items():
        np.testing.assert_array_equal(records[name], values.astype(np.uint64))
    seeds["aug_seed"][3] = -1
    pq.write_table(pa.table(seeds | {"predicted": fixed_size(CLASSES_RN)}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="aug_seed has a negative number"):
        import_runs(wanted)


def with_null(values: list[object]) -> pa.Table:
    return pa.table({"predicted": pa.array(values, pa.list_(pa.int64()))})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (with_null([[1, 2], None]), r"about row 1: a value is missing"),
        (with_null([[1, 2], [3, None]]), r"a value is missing"),
        (with_null([[1, 2], [3, 4, 5]]), r"row 1: 3 values, 2 before|not like run 0"),
        (with_null([[], []]), "is empty"),
        (with_null([]), "is empty"),
        (pa.table({"a": [1, 2], "b": [1, None]}), "a.parquet, b, about row 1: a value is missing"),
        (pa.table({"a": [1, 2], "b": [True, False]}), "both integers and booleans"),
        (pa.table({"a": [1, 2], "accuracy": [0.5, 0.6]}), "has the columns a, accuracy. Predictions are"),
        (pa.table({"run": [0, 0], "a": [1, 2]}), "row 1: run 0 comes twice"),
        (pa.table({"run": [0, 0], "predicted": [[1], [2]]}), "row 1: run 0 comes twice"),
        (pa.table({"run": [1, 0], "example": [0, 0], "correct": [1, 1]}), "row 1: run 0 comes after run 1"),
        (
            pa.table({"run": [0, 0, 1], "example": [0, 1, 0], "correct": [1, 1, 1]}),
            "run 1 has 1 examples, the runs before it 2",
        ),
        (pa.table({"run": [0, 0], "example": [0, 2], "correct": [1, 1]}), "run 0 has example 2 where 1"),
        (pa.table({"run": [0], "example": ["a.png"], "correct": [1]}), "has example 'a.png' where 0 should"),
        (pa.table({"run": [0, 0], "example": [0, 1], "correct": [1, 2]}), "is neither 0 nor 1"),
        (pa.table({"run": [0.0], "example": [0], "correct": [1]}), "column run is float64"),
        (
            pa.table({"__index_level_0__": ["seed0"], "x0": [1], "x1": [2]}),
            r"__index_level_0__ is object.*leave the index out: to_parquet\(PATH, index=False\)",
        ),
        (pa.table({"run": [0], **{f"x{i}": [1] for i in (0, 1, 10, 2)}}), "the column 'x10' where 2 should"),
        (pa.table({"1": [1], "0": [1]}), "the column '0' where 2 should be counted"),
        (
            pa.table({"a": pa.array([1], pa.uint64()), "b": pa.array([1], pa.int64())}),
            "has columns of uint64 and of signed integers",
        ),
        (
            pa.table({"run": [0, 0], "example": [0, 1], "predicted": [1, 2], "correct": [1, 0]}),
            "a.parquet, correct: run 0, example 1: by these labels",
        ),
        (
            pa.table({"run": [0, 0], "example": [0, 1], "predicted": [1, 2], "correct": [1.0, 1.0]}),
            "correct is float64, expected booleans",
        ),
        (pa.table({"predicted": [[1, 2]], "diverged": ["no"]}), "diverged is object, expected booleans"),
        (pa.table([[1], [2]], names=["a", "a"]), "columns of the same name: a, a"),
    ],
)
def test_bad_tables(table: pa.Table, message: str, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "a.parquet")
    np.save(tmp_path / "labels.npy", np.array([1, 2]))
    with pytest.raises(DataError, match=message):
        import_runs(
            Import(predictions=tmp_path / "a.parquet", labels=tmp_path / "labels.npy", out=tmp_path / "store")
        )
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"example": [1, 0], "label": [3, 4]}),
        pd.DataFrame({"index": [0, 2], "label": [3, 4]}),
        pd.DataFrame({"label": [3, 4]}, index=[1, 0]),
        pd.DataFrame({"label": [3, 4]}, index=["a", "b"]),
    ],
)
def test_labels_that_are_not_in_order(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"label \d: .* should be. If it counts the examples, sort labels"):
        read_all(tmp_path / "a.parquet")
    frame["label"].reset_index(drop=True).to_frame().to_parquet(tmp_path / "a.parquet")
    assert read_all(tmp_path / "a.parquet").tolist() == [3, 4]


@pytest.mark.parametrize("origin", ["", "[1]", '{"test_set": "a"}', "[" * 100_000])
def test_names_of_classes_that_are_not_ours_are_left(origin: str, tmp_path: Path) -> None:
    table = pa.table({"predicted": [[1, 0]]}).replace_schema_metadata({"airbench_var": origin})
    pq.write_table(table, tmp_path / "a.parquet")
    np.save(tmp_path / "labels.npy", np.array([1, 0]))
    wanted = Import(
        predictions=tmp_path / "a.parquet", labels=tmp_path / "labels.npy", out=tmp_path / "store"
    )
    assert [one.classes for one in import_runs(wanted).test_sets] == [2]


@pytest.mark.parametrize("kind", ["<f8", "<i8"])
def test_labels_of_another_usual_name_may_be_floats(kind: str, tmp_path: Path) -> None:
    pd.DataFrame({"target": RUNS.labels_N.astype(kind)}).to_parquet(tmp_path / "labels.parquet")
    np.save(tmp_path / "a.npy", CLASSES_RN)
    wanted = Import(
        predictions=tmp_path / "a.npy", labels=tmp_path / "labels.parquet", out=tmp_path / "store"
    )
    assert import_runs(wanted).added == R
    np.testing.assert_array_equal(Store.open(tmp_path / "store").labels("test"), RUNS.labels_N)


@pytest.mark.parametrize("as_category", [True, False])
def test_labels_that_are_names_are_refused_with_what_to_do(as_category: bool, tmp_path: Path) -> None:
    names = pd.Series(["cat", "dog"] * 9)
    frame = pd.DataFrame({"label": names.astype("category") if as_category else names})
    frame.to_parquet(tmp_path / "labels.parquet")
    with (
        pytest.raises(DataError, match=r"expected numbers; of names, in pandas, with NAMES = sorted"),
        open_file(tmp_path / "labels.parquet"),
    ):
        pass


def test_lists_that_change_their_length_between_row_groups(tmp_path: Path) -> None:
    pq.write_table(with_null([[1, 2], [3, 4, 5]]), tmp_path / "a.parquet", row_group_size=1)
    with open_file(tmp_path / "a.parquet") as contents:
        rows = contents.arrays["predicted"]
        rows.read(range(0, 1))
        with pytest.raises(DataError, match="runs 1 to 1 are not like run 0"):
            rows.read(range(1, 2))


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr("airbench_var.importing.parquet_file.find_spec", lambda _: None)
    with (
        pytest.raises(DeviceError, match=r"pip install 'airbench_var\[parquet\]'"),
        open_file(tmp_path / "a.parquet"),
    ):
        pass


def test_examples_may_be_counted_in_text(tmp_path: Path) -> None:
    rows = {"run": [0, 0, 1, 1], "example": ["0", "1", "0", "1"], "predicted": [1, 2, 2, 2]}
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    with open_file(tmp_path / "a.parquet") as contents:
        assert contents.arrays["predicted"].read(range(2)).tolist() == [[1, 2], [2, 2]]


def test_a_damaged_page_is_not_blamed_on_the_path(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    values = np.random.default_rng(0).integers(0, 9, 5000)
    pq.write_table(
        pa.table({"run": np.zeros(5000, int), "example": np.arange(5000), "predicted": values}), path
    )
    content = bytearray(path.read_bytes())
    content[4:40] = bytes(36)
    path.write_bytes(content)
    with (
        pytest.raises(DataError, match=r"is not a \.parquet file that can be read: .*once more"),
        open_file(path) as contents,
    ):
        contents.arrays["predicted"].read(range(1))


def test_a_list_of_booleans_that_were_predicted_are_classes(tmp_path: Path) -> None:
    pq.write_table(pa.table({"predicted": [[True, False], [True, True]]}), tmp_path / "a.parquet")
    with open_file(tmp_path / "a.parquet") as contents:
        rows = contents.arrays["predicted"]
        assert (rows.dtype, rows.read(range(2)).tolist()) == (np.uint8, [[1, 0], [1, 1]])
