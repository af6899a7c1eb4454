"""Long tables that repeat the labels with every run: one file is all that an import needs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from airbench_var.errors import DataError, UsageError
from airbench_var.importing import Import, import_runs
from airbench_var.store import Store
from tests.importing.inputs import N, R, some_runs

RUNS = some_runs()


def table(run: str = "run", example: str = "example", predicted: str = "predicted") -> pd.DataFrame:
    """Return all runs as a long table with labels."""
    frame = pd.DataFrame(RUNS.classes_RN).melt(var_name=example, value_name=predicted, ignore_index=False)
    frame = frame.rename_axis(run).reset_index().sort_values([run, example])
    frame["label"] = RUNS.labels_N[frame[example].to_numpy(int)]
    return frame


def write(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)
    return path


def import_all(predictions: Path, labels: Path | None, out: Path) -> Store:
    import_runs(Import(predictions=predictions, labels=labels, out=out))
    return Store.open(out)


def assert_is_whole(store: Store) -> None:
    np.testing.assert_array_equal(store.predicted("test"), RUNS.classes_RN)
    np.testing.assert_array_equal(store.labels("test"), RUNS.labels_N)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    "names",
    [
        ("run", "example", "predicted", "label"),
        ("seed", "idx", "y_pred", "y_true"),
        ("model", "id", "pred", "y"),
        ("trial", "image", "pred_label", "true_label"),
    ],
)
def test_one_table_has_predictions_and_labels(names: tuple[str, ...], suffix: str, tmp_path: Path) -> None:
    *columns, label = names
    path = write(table(*columns).rename(columns={"label": label}), tmp_path / f"a{suffix}")
    assert_is_whole(import_all(path, path, tmp_path / "store"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_examples_may_count_from_1(suffix: str, tmp_path: Path) -> None:
    """In every run alike: one that begins elsewhere has lost a row."""
    frame = table()
    frame["example"] += 1
    path = write(frame, tmp_path / f"a{suffix}")
    assert_is_whole(import_all(path, path, tmp_path / "store"))
    frame.loc[frame["run"] == 3, "example"] -= 1
    path = write(frame, tmp_path / f"b{suffix}")
    with pytest.raises(DataError, match=r"example '?0'? where 1 should be; .* are 1, 2, 3, \.\.\. in order"):
        import_all(path, path, tmp_path / "other")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_floats_that_are_whole_are_labels(suffix: str, tmp_path: Path) -> None:
    path = write(table().astype({"label": "float64"}), tmp_path / f"a{suffix}")
    assert_is_whole(import_all(path, path, tmp_path / "store"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("counted", ["example", "", None])
def test_a_table_without_a_column_of_runs_is_one_run(
    counted: str | None, suffix: str, tmp_path: Path
) -> None:
    """As scikit-learn's users write them, one file a run."""
    folder = tmp_path / "runs"
    folder.mkdir()
    for run in range(R):
        frame = pd.DataFrame({"y_true": RUNS.labels_N, "y_pred": RUNS.classes_RN[run]})
        if counted:
            frame.insert(0, counted, range(N))
        path = folder / f"{run:02}{suffix}"
        if suffix == ".csv":
            frame.to_csv(path, index=counted == "")
        else:
            frame.set_axis(pd.Index(range(N)) if counted == "" else frame.index).to_parquet(
                path, index=counted == ""
            )
    assert_is_whole(import_all(folder, path, tmp_path / "store"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_runs_on_examples_in_another_order_are_refused(suffix: str, tmp_path: Path) -> None:
    """A loader that shuffles: each run counts its examples from 0, and only the labels tell."""
    frame = table()
    frame.loc[frame["run"] == R - 1, "label"] = np.roll(RUNS.labels_N, 1)
    first = int((np.roll(RUNS.labels_N, 1) != RUNS.labels_N).argmax())
    path = write(frame, tmp_path / f"a{suffix}")
    with pytest.raises(
        DataError, match=rf"run {R - 1}, example {first}: its label is .*, not .*in one order"
    ):
        import_all(path, path, tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_other_labels_than_those_of_the_table_are_refused(suffix: str, tmp_path: Path) -> None:
    path = write(table(), tmp_path / f"a{suffix}")
    np.save(tmp_path / "labels.npy", np.roll(RUNS.labels_N, 1))
    with pytest.raises(DataError, match=r"run 0, example .*: its label is"):
        import_all(path, tmp_path / "labels.npy", tmp_path / "store")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_names_for_labels_are_not_read(suffix: str, tmp_path: Path) -> None:
    """Not as labels; beside labels of another file they are no hindrance."""
    frame = table()
    frame["label"] = "class " + frame["label"].astype(str)
    path = write(frame, tmp_path / f"a{suffix}")
    with pytest.raises(DataError, match=r"not clear what the labels are.*label \((text|\w*string)\).*NAMES"):
        import_all(path, path, tmp_path / "store")
    np.save(tmp_path / "labels.npy", RUNS.labels_N)
    assert_is_whole(import_all(path, tmp_path / "labels.npy", tmp_path / "store"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("kind", [str, "category"])
def test_names_that_were_predicted_are_to_be_mapped(suffix: str, kind: object, tmp_path: Path) -> None:
    frame = table()
    for column in ("predicted", "label"):
        frame[column] = np.array(["bird", "cat", "été", *"defghij"])[frame[column]]
    frame = frame.astype({"predicted": kind})
    path = write(frame, tmp_path / f"a{suffix}")
    np.save(tmp_path / "labels.npy", RUNS.labels_N)
    with pytest.raises(
        DataError, match=r"[Oo]f names, in pandas, with NAMES = sorted\(set\(frame\[LABELS\]\)\).*both"
    ):
        import_all(path, tmp_path / "labels.npy", tmp_path / "store")
    names = sorted(set(frame["label"]))
    for column in ("predicted", "label"):
        frame[column] = frame[column].map(names.index)
    store = import_all(write(frame, path), None, tmp_path / "store")
    np.testing.assert_array_equal(store.correct_RN("test"), RUNS.right_RN)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("odd", ["numbers", "text", "a run that is known", "one run"])
def test_a_long_table_of_other_names_is_told_the_known_ones(odd: str, suffix: str, tmp_path: Path) -> None:
    """Where something is refused anyhow: as labels, as predictions with other labels, or for its text."""
    frame = table("trial_no", "img", "guess").rename(columns={"label": "truth"})
    if odd == "text":
        frame["img"] = "image" + frame["img"].astype(str) + ".png"
    elif odd == "a run that is known":
        frame = frame.rename(columns={"trial_no": "run"})
    elif odd == "one run":
        frame = frame[:N].drop(columns="trial_no")
    path = write(frame, tmp_path / f"a{suffix}")
    np.save(tmp_path / "labels.npy", RUNS.labels_N)
    columns = ", ".join(frame.columns)
    for labels in (path, tmp_path / "labels.npy"):
        with pytest.raises(DataError, match=rf"columns {columns}.* y_pred,.* y_true") as error:
            import_all(path, labels, tmp_path / "store")
        assert "argmax" not in str(error.value)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_many_runs_on_few_examples_are_a_wide_table(suffix: str, tmp_path: Path) -> None:
    """Whatever its columns are called; and columns that count are examples, also where labels do not fit."""
    path = write(pd.DataFrame(RUNS.classes_RN.T[:, :3], columns=list("abc")), tmp_path / f"a{suffix}")
    np.save(tmp_path / "labels.npy", RUNS.labels_N[:3])
    store = import_all(path, tmp_path / "labels.npy", tmp_path / "store")
    np.testing.assert_array_equal(store.predicted("test"), RUNS.classes_RN.T[:, :3])
    path = write(pd.DataFrame(RUNS.classes_RN.T[:, :8]).add_prefix("x"), tmp_path / f"b{suffix}")
    with pytest.raises(DataError, match=r"Give the labels of the same test set\.$"):
        import_all(path, tmp_path / "labels.npy", tmp_path / "other")


def test_beside_labels_of_the_runs_what_was_right_is_compared_too(tmp_path: Path) -> None:
    frame = table()
    frame["correct"] = frame["label"] == frame["predicted"]
    path = write(frame, tmp_path / "a.csv")
    assert_is_whole(import_all(path, path, tmp_path / "store"))
    frame.loc[frame.index[0], "correct"] = ~frame["correct"].iloc[0]
    wrong = write(frame, tmp_path / "b.csv")
    with pytest.raises(DataError, match="by these labels"):
        import_all(wrong, wrong, tmp_path / "other")


@pytest.mark.parametrize(
    "columns", [["run", "predicted", "label"], ["run", "example", "label"], ["run", "predicted"], ["label"]]
)
def test_tables_that_lack_a_column_are_no_long_ones(columns: list[str], tmp_path: Path) -> None:
    path = write(table()[columns], tmp_path / "a.csv")
    np.save(tmp_path / "labels.npy", RUNS.labels_N)
    with pytest.raises((DataError, UsageError)):
        import_all(path, tmp_path / "labels.npy", tmp_path / "store")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_index_without_a_name_counts_the_examples(suffix: str, tmp_path: Path) -> None:
    """So that a frame that was shuffled or sorted is found."""
    frame = pd.DataFrame({"y_true": RUNS.labels_N, "y_pred": RUNS.classes_RN[0]}).sort_values("y_true")
    path = tmp_path / f"a{suffix}"
    (frame.to_csv if suffix == ".csv" else frame.to_parquet)(path)
    with pytest.raises(DataError, match=r"example '?\d+'? where \d+ should be"):
        import_all(path, path, tmp_path / "store")


def test_a_table_of_lists_is_none_of_rows_an_example(tmp_path: Path) -> None:
    """Its seeds tell no runs apart, and are in no order."""
    frame = pd.DataFrame(
        {"seed": range(R, 0, -1), "predicted": list(RUNS.classes_RN), "label": [RUNS.labels_N] * R}
    )
    frame.to_parquet(tmp_path / "a.parquet", index=False)
    np.save(tmp_path / "labels.npy", RUNS.labels_N)
    assert_is_whole(import_all(tmp_path / "a.parquet", tmp_path / "labels.npy", tmp_path / "store"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("index", [False, True])
def test_a_table_without_runs_has_no_columns_that_may_tell_them_apart(
    index: bool, suffix: str, tmp_path: Path
) -> None:
    """As one run, 12 runs of 203 examples would be one of 2,436."""
    frame = table("experiment").rename(columns={"label": "y_true", "predicted": "y_pred"})
    frame = frame.drop(columns="example")
    if suffix == ".csv":
        frame.to_csv(tmp_path / "a.csv", index=index)
    else:
        frame.to_parquet(tmp_path / "a.parquet", index=index)
    with pytest.raises(DataError, match=r"experiment besides.*call it run.*frame\.drop\(columns=\['experim"):
        import_all(tmp_path / f"a{suffix}", None, tmp_path / "store")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_true_and_false_are_two_classes_where_they_were_predicted(suffix: str, tmp_path: Path) -> None:
    frame = table()
    frame[["predicted", "label"]] = frame[["predicted", "label"]] > 2
    path = write(frame, tmp_path / f"a{suffix}")
    store = import_all(path, None, tmp_path / "store")
    np.testing.assert_array_equal(store.predicted("test"), RUNS.classes_RN > 2)
    np.testing.assert_array_equal(store.labels("test"), RUNS.labels_N > 2)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_true_and_false_are_two_classes_as_labels(suffix: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", (RUNS.classes_RN > 2).astype(int))
    path = write(pd.DataFrame({"example": range(N), "y_true": RUNS.labels_N > 2}), tmp_path / f"a{suffix}")
    store = import_all(tmp_path / "a.npy", path, tmp_path / "store")
    np.testing.assert_array_equal(store.labels("test"), RUNS.labels_N > 2)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("name", ["y_pred", "guess", "correct"])
@pytest.mark.parametrize("dtype", [int, bool])
def test_one_column_alone_is_one_run(dtype: type, name: str, suffix: str, tmp_path: Path) -> None:
    """Its name says whether true and false, or 0 and 1, are classes or what was right."""
    labels_N, classes_N = (RUNS.labels_N > 2).astype(int), RUNS.classes_RN[0] > 2
    right_N = classes_N == labels_N
    is_right = name == "correct" or (name == "guess" and dtype is bool)
    path = write(
        pd.DataFrame({name: (right_N if is_right else classes_N).astype(dtype)}), tmp_path / f"a{suffix}"
    )
    np.save(tmp_path / "labels.npy", labels_N)
    store = import_all(path, tmp_path / "labels.npy", tmp_path / "store")
    assert (store.manifest.identity["columns"] == ["correct"]) == is_right
    np.testing.assert_array_equal(store.correct_RN("test"), right_N[None])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_labels_beside_wide_runs_are_not_the_runs(suffix: str, tmp_path: Path) -> None:
    frame = pd.DataFrame(RUNS.classes_RN.T, columns=[f"run{i}" for i in range(R)])
    frame.insert(0, "label", RUNS.labels_N)
    path = write(frame.rename_axis("example").reset_index(), tmp_path / f"a{suffix}")
    np.save(tmp_path / "labels.npy", RUNS.labels_N)
    with pytest.raises(
        DataError, match=r"run0 \(a column beside labels\).*frame\.drop\(columns=\['label'\]\)"
    ):
        import_all(path, tmp_path / "labels.npy", tmp_path / "store")
    np.save(tmp_path / "runs.npy", RUNS.classes_RN)
    assert_is_whole(import_all(tmp_path / "runs.npy", path, tmp_path / "store"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("column", ["idx", "id", "image_id"])
def test_labels_in_another_order_are_refused_and_other_ids_count_nothing(
    column: str, suffix: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "runs.npy", RUNS.classes_RN)
    frame = pd.DataFrame({column: np.arange(N), "label": RUNS.labels_N})
    shuffled = write(frame.sample(frac=1, random_state=0), tmp_path / f"a{suffix}")
    with pytest.raises(DataError, match=rf"label 0: {column} is '\d+' where \d should be"):
        import_all(tmp_path / "runs.npy", shuffled, tmp_path / "store")
    frame[column] += 5
    others = write(frame, tmp_path / f"b{suffix}")
    assert_is_whole(import_all(tmp_path / "runs.npy", others, tmp_path / "store"))


@pytest.mark.parametrize("kind", ["long.csv", "long.parquet", "lists.parquet"])
def test_test_sets_and_epochs_are_not_pooled(kind: str, tmp_path: Path) -> None:
    """As runs, two epochs of six networks would be twelve."""
    frame = table()
    if kind.startswith("lists"):
        frame = pd.DataFrame({"run": np.arange(R), "predicted": list(RUNS.classes_RN)})
    np.save(tmp_path / "labels.npy", RUNS.labels_N)
    for name, values in (("epoch", np.arange(len(frame)) % 2), ("split", np.repeat("test", len(frame)))):
        path = write(frame.assign(**{name: values}), tmp_path / kind)
        if name == "epoch":
            with pytest.raises(
                DataError, match=r"2 values of epoch \(0, 1\).*frame\[frame\['epoch'\] == VALUE\]"
            ):
                import_all(path, tmp_path / "labels.npy", tmp_path / "store")
        else:
            assert_is_whole(import_all(path, tmp_path / "labels.npy", tmp_path / "store"))
