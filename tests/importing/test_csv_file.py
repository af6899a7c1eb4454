"""CSV, wide and long: what is meant is clear or refused, by line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from airbench_var.errors import DataError
from airbench_var.importing import Import, import_runs
from airbench_var.importing.formats import open_file
from airbench_var.store import Store
from tests.importing.inputs import R, some_runs

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")

RUNS = some_runs()


def read_all(path: Path) -> np.ndarray:
    with open_file(path) as contents:
        [rows] = contents.arrays.values()
        return np.concatenate([rows.read(block) for block in rows.blocks])


def test_wide_as_pandas_writes_it(tmp_path: Path) -> None:
    """With its index, whose column has no name, without it, and with column names that count: 0, 1, 2, ..."""
    wide = np.tile(RUNS.classes_RN, 2)  # more examples than there are classes
    for name, frame, index in (
        ("index", pd.DataFrame(wide), True),
        ("counted", pd.DataFrame(wide), False),
        ("named", pd.DataFrame(wide).rename(columns="example {}".format), False),
        ("runs", pd.DataFrame(wide).rename_axis("run"), True),
        ("seeds", pd.DataFrame(wide).set_index(np.arange(R)[::-1]).rename_axis("seed"), True),
        ("some runs", pd.DataFrame(wide).set_index(np.arange(R) * 3 + 1).rename_axis("run_id"), True),
    ):
        frame.to_csv(tmp_path / f"{name}.csv", index=index)
        np.testing.assert_array_equal(read_all(tmp_path / f"{name}.csv"), wide)


@pytest.mark.parametrize("kind", ["classes", "correctness"])
def test_wide_as_numpy_writes_it(kind: str, tmp_path: Path) -> None:
    """Without names; booleans as 0 and 1 would be classes, so they are words."""
    array = RUNS.of_kind(kind)
    np.savetxt(tmp_path / "a.csv", array, delimiter=",", fmt="%d" if kind == "classes" else "%s")
    read = read_all(tmp_path / "a.csv")
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype


def test_quotes_spaces_returns_and_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbf"run","a","b"\r\n"0", 1,"2"\r\n1,3 ,4\r\n\r\n')
    assert read_all(tmp_path / "a.csv").tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("column", ["predicted", "correct"])
def test_long_as_pandas_writes_it(column: str, tmp_path: Path) -> None:
    array = RUNS.classes_RN if column == "predicted" else RUNS.right_RN
    frame = pd.DataFrame(array).melt(var_name="example", value_name=column, ignore_index=False)
    frame = frame.rename_axis("run").reset_index().sort_values(["run", "example"])
    frame["more"] = 0.5
    frame.to_csv(tmp_path / "a.csv", index=False)
    np.testing.assert_array_equal(read_all(tmp_path / "a.csv"), array)
    frame[column] = frame[column].astype(int)
    frame.to_csv(tmp_path / "a.csv", index=False)
    read = read_all(tmp_path / "a.csv")
    np.testing.assert_array_equal(read, array)
    assert read.dtype == (np.int64 if column == "predicted" else np.bool_)


@pytest.mark.parametrize(
    ("run", "example", "predicted"),
    [("seed", "image_id", "y_pred"), ("Model", "idx", "prediction"), ("run", "index", "Pred")],
)
def test_a_long_table_may_have_other_usual_names(
    run: str, example: str, predicted: str, tmp_path: Path
) -> None:
    frame = pd.DataFrame(RUNS.classes_RN).melt(var_name=example, value_name=predicted, ignore_index=False)
    frame = frame.rename_axis(run).reset_index().sort_values([run, example])
    frame.to_csv(tmp_path / "a.csv")
    frame.to_parquet(tmp_path / "a.parquet", index=False)
    for name in ("a.csv", "a.parquet"):
        np.testing.assert_array_equal(read_all(tmp_path / name), RUNS.classes_RN)


def wide_of(names: list[str], n: int, *, first: str = "run") -> str:
    """Two runs, whose classes are 1 and then 2."""
    rows = [[run, *([run + 1] * n)] for run in (0, 1)]
    return "\n".join(",".join(map(str, row)) for row in ([first, *names], *rows)) + "\n"


@pytest.mark.parametrize("prefix", ["", "x", "ex_", "cifar10_"])
@pytest.mark.parametrize("first", [0, 1])
def test_columns_that_count_the_examples_are_in_order(prefix: str, first: int, tmp_path: Path) -> None:
    """A pivot of names sorts 10 before 2; what is missing would move all others."""
    names = [f"{prefix}{i}" for i in range(first, first + 12)]
    (tmp_path / "a.csv").write_text(wide_of(names, 12))
    assert read_all(tmp_path / "a.csv").tolist() == [[1] * 12, [2] * 12]
    for wrong in (sorted(names), names[::-1], [*names[:5], *names[6:]]):
        (tmp_path / "a.csv").write_text(wide_of(wrong, len(wrong)))
        with pytest.raises(DataError, match=r"has the column '.*' where \d+ should be counted.*frame\[\["):
            read_all(tmp_path / "a.csv")


@pytest.mark.parametrize(("n", "message"), [(12, "may be the names"), (300, "where 2 should be counted")])
def test_a_first_line_of_numbers_in_another_order_is_no_run(n: int, message: str, tmp_path: Path) -> None:
    names = sorted(map(str, range(n)))
    (tmp_path / "a.csv").write_text(wide_of(names[1:], n - 1, first=names[0]))
    with pytest.raises(DataError, match=message):
        read_all(tmp_path / "a.csv")


def test_a_long_table_that_also_says_what_was_right_must_agree(tmp_path: Path) -> None:
    lines = ["run,example,predicted,correct"]
    for run, (classes_N, right_N) in enumerate(zip(RUNS.classes_RN, RUNS.right_RN, strict=True)):
        lines += [f"{run},{i},{c},{int(r)}" for i, (c, r) in enumerate(zip(classes_N, right_N, strict=True))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    wanted = Import(predictions=tmp_path / "a.csv", labels=tmp_path / "labels.npy", out=tmp_path / "store")
    np.save(tmp_path / "labels.npy", np.roll(RUNS.labels_N, 1))
    with pytest.raises(DataError, match=r"run 0, example \d+: by these labels and what was predicted"):
        import_runs(wanted)
    np.save(tmp_path / "labels.npy", RUNS.labels_N)
    assert import_runs(wanted).added == R


LONG = "run,example,predicted\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n4\n", r"line 3: it has 1 cells, the first line names 2 columns"),
        ("1,2,3\n4,5,6\n\n7,8,9,1\n", r"line 3: it is empty"),
        ("1,2\n4,5\n7,8,9\n", r"line 3: run 2 has 3 int64 values, the run before it 2 int64"),
        ("a,b\n1,2\n3,x\n", r"line 3: value 1, 'x', is no class"),
        ("a,b\n1,2\n3,\n", r"line 3: value 1, '', is no class"),
        ("a,b\n1,2\n3,0.5\n", r"line 3: value 1, '0.5', is no class"),
        ("a,b\n1,2\n3,1_0\n", r"line 3: value 1, '1_0', is no class"),
        ("a,b\n1,2\n3,99999999999999999999\n", r"line 3: .* is no class"),
        ("a,b\ntrue,false\ntrue,1\n", r"line 3: value 1, '1', is neither true nor false"),
        ("a,b\ntrue,false\n1,0\n", r"line 3: run 1 has 2 int64 values, the run before it 2 bool"),
        ("a,b\n1;2\n", r"line 2: it has 1 cells"),
        ("a;b\n1;2\n", r"cells between semicolons.*pandas\.read_csv\(PATH, sep=';'\)"),
        ("1\t2\n", r"cells between tabs"),
        ("1.0e+00 2.000e+00\n", r"cells between spaces.*fmt='%d'"),
        ("a,b\n1.0,2.0\n", r"line 2: value 0, '1\.0', is no class.*frame\.astype\(int\)"),
        (
            "run,seed,x0,x1\n0,7,1,2\n",
            r"has seed beside columns that count the examples \(x0, x1, \.\.\.\).*drop\(columns=\['seed'\]\)",
        ),
        ("x0,x1,test accuracy\n1,2,0.5\n", r"has test accuracy beside columns that count"),
        (
            "0,1,2\n3,4,5\n",
            r"line 1: 0, 1, 2, all different, may be the names of the columns or what a run predicted",
        ),
        ("a,a\n1,2\n", r"columns of the same name: a, a"),
        ("run,a,b\n0,1,2\n0,3,4\n", r"line 3: run 0 comes twice"),
        ("run,a,b\n1,1,2\n0,3,4\n", r"line 3: run 0 comes after run 1"),
        ("run,a,b\nx,1,2\n", r"line 2: it has no run id.*pandas\.factorize"),
        ("a,b\n", "is empty"),
        ("", "is empty"),
        ("run,accuracy\n0,0.94\n", r"a\.csv has a column 'accuracy': from accuracies alone nothing can be"),
        ("run,init_seed,cifar10 accuracy\n0,14584187760040447831,0.9\n", "a column 'cifar10 accuracy': from"),
        ("run,example,accuracy\n0,0,1\n", r"columns run, example, and predicted or correct"),
        ("run,predicted\n0,1\n", r"columns run, example, and predicted or correct"),
        (LONG + "0,0,1\n0,1,2\n1,0,3\n", r"line 4: run 1 has 1 int64 values, the run before it 2"),
        (LONG + "0,0,1\n0,2,2\n", r"line 3: example '2' where 1 should be"),
        (LONG + "0,0,1\n0,0,2\n", r"line 3: example '0' where 1 should be"),
        (LONG + "0,0,1\n1,0,2\n0,1,3\n", r"line 4: run 0 comes after run 1"),
        (LONG + "0,0,1\n0,1\n", r"line 3: it has 2 cells"),
        (LONG + "0,0,1\n0,1,dog\n", r"line 3: value 1, 'dog', is no class"),
        ("run,example,correct\n0,0,1\n0,1,2\n", r"line 3: correct is neither 0 nor 1"),
    ],
)
def test_bad_files_are_refused_by_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    np.save(tmp_path / "labels.npy", np.array([1, 2]))
    with pytest.raises(DataError, match=message):
        import_runs(
            Import(predictions=tmp_path / "a.csv", labels=tmp_path / "labels.npy", out=tmp_path / "store")
        )
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "text",
    [
        "3\n1\n2\n",
        "label\n3\n1\n2\n",
        "name,label\na,3\nb,1\nc,2\n",
        ",label\n0,3\n1,1\n2,2\n",
        '"","label"\n"1",3\n"2",1\n"3",2\n',  # as R writes the names of rows
        "label\n3.0\n1.0\n2.0\n",
        "index,y_true\n0,3\n1,1\n2,2\n",
        "image,target\na.png,3\nb.png,1\nc.png,2\n",
        "y\n3\n1\n2\n",
    ],
)
def test_labels(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert read_all(tmp_path / "a.csv").tolist() == [3, 1, 2]


def test_the_index_of_a_series_without_a_name_is_no_label(tmp_path: Path) -> None:
    pd.Series(RUNS.labels_N).to_csv(tmp_path / "labels.csv")
    np.save(tmp_path / "a.npy", RUNS.classes_RN)
    wanted = Import(predictions=tmp_path / "a.npy", labels=tmp_path / "labels.csv", out=tmp_path / "store")
    assert import_runs(wanted).added == R
    np.testing.assert_array_equal(Store.open(tmp_path / "store").labels("test"), RUNS.labels_N)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label\n3\ncat\n", "line 3: 'cat' is no integer.*NAMES"),
        ("label\n3\n0.5\n", "line 3: '0.5' is no integer"),
        ("example,label\n", "is empty"),
        (",y\n1,3\n0,1\n", "label 1: the first column is '0' where 2 should be"),
        ("example,label\n0,3\n2,1\n", "label 1: example is '2' where 1 should be"),
        ("label,index\n3,1\n1,0\n", "label 1: index is '0' where 2 should be"),
        (",label\n1,3\n0,1\n", "label 1: the first column is '0' where 2 should be"),
        (",label\na.png,3\n", "the first column is 'a.png' .*leave the column out"),
        ("example,label\n0,3\n1\n", "line 3: it has 1 cells, not 2"),
    ],
)
def test_bad_labels(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_all(tmp_path / "a.csv")


@pytest.mark.parametrize("rows", [1, 3])
def test_a_first_line_of_many_different_numbers_is_no_run(rows: int, tmp_path: Path) -> None:
    """As pandas names the columns of a part of a test set that was chosen at random."""
    chosen = np.random.default_rng(0).permutation(5000)[:40]
    lines = [chosen.tolist(), *([i % 7 for i in range(40)] for _ in range(rows))]
    (tmp_path / "a.csv").write_text("\n".join(",".join(map(str, line)) for line in lines) + "\n")
    with pytest.raises(DataError, match=r"line 1: .*, all different, may be the names of the"):
        read_all(tmp_path / "a.csv")


@pytest.mark.parametrize(("first", "n", "is_doubtful"), [("0", 40, True), ("3", 40, False), ("0", 39, False)])
def test_a_first_0_over_one_column_may_be_its_name(
    first: str, n: int, is_doubtful: bool, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("\n".join([first, *("1" for _ in range(n))]) + "\n")
    if is_doubtful:
        with pytest.raises(DataError, match=r"line 1: 0 may be the first of 41 values, or the name"):
            read_all(tmp_path / "a.csv")
    else:
        assert read_all(tmp_path / "a.csv").tolist() == [int(first), *[1] * n]


def test_a_column_of_whole_floats_has_no_name_in_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("3.0\n1.0\n2.0\n")
    assert read_all(tmp_path / "a.csv").tolist() == [3, 1, 2]


@pytest.mark.parametrize("line", ["1,nan,1", "1,,1", "1.5,2,2"])
def test_a_first_line_of_values_one_of_which_is_none_is_not_taken_for_names(
    line: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(f"{line}\n0,1,2\n")
    with pytest.raises(DataError, match=r"line 1: '(nan||1\.5)' is neither a class nor true or false"):
        read_all(tmp_path / "a.csv")


@pytest.mark.parametrize("n", [11, 40, 300])
def test_a_first_line_that_counts_the_examples_names_them(n: int, tmp_path: Path) -> None:
    """As pandas writes a frame whose columns have no names."""
    pd.DataFrame(np.arange(2 * n).reshape(2, n) % 7).to_csv(tmp_path / "a.csv", index=False)
    assert read_all(tmp_path / "a.csv").shape == (2, n)


def test_labels_of_two_classes_may_be_true_and_false(tmp_path: Path) -> None:
    pd.DataFrame({"label": [True, False, True]}).to_csv(tmp_path / "a.csv", index=False)
    assert read_all(tmp_path / "a.csv").tolist() == [1, 0, 1]
