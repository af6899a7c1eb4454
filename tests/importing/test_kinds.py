"""What predictions may be: the class of a row of logits, the number of classes, and every refusal."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airbench_var.errors import AirbenchVarError, DataError, UsageError
from airbench_var.importing import Import, Imported, import_runs, rows
from airbench_var.store import Store
from tests.importing.inputs import K, N, R, some_runs, write

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")

RUNS = some_runs()


def imported(folder: Path, predictions: np.ndarray, labels: np.ndarray, **options: Any) -> Imported:
    return import_runs(write(folder, predictions, labels, **options))


INTEGERS = ["i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", ">i2", ">u4", ">i8"]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_any_integers_are_classes(dtype: str, tmp_path: Path) -> None:
    imported(tmp_path, RUNS.classes_RN.astype(dtype), RUNS.labels_N.astype(dtype))
    store = Store.open(tmp_path / "store")
    np.testing.assert_array_equal(store.predicted("test"), RUNS.classes_RN)
    np.testing.assert_array_equal(store.labels("test"), RUNS.labels_N)
    np.testing.assert_array_equal(store.correct_RN("test"), RUNS.right_RN)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", "longdouble", ">f2", ">f4", ">f8"])
def test_any_floats_are_logits(dtype: str, tmp_path: Path) -> None:
    logits_RNK = RUNS.logits_RNK.astype(dtype)
    imported(tmp_path, logits_RNK, RUNS.labels_N)
    predicted_RN = Store.open(tmp_path / "store").predicted("test")
    np.testing.assert_array_equal(predicted_RN, logits_RNK.argmax(axis=2))


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
@pytest.mark.parametrize(
    ("logits", "predicted"),
    [
        ([1, 3, 3, 2], 1),
        ([0, 0, 0, 0], 0),
        ([-0.0, 0.0, -1, -1], 0),
        ([1, np.inf, 2, np.inf], 1),
        ([-np.inf, -np.inf, -np.inf, -5], 3),
        ([-np.inf] * 4, 0),
    ],
)
def test_the_first_largest_logit_counts(
    logits: list[float], predicted: int, dtype: str, tmp_path: Path
) -> None:
    """Infinities are in order with all else."""
    imported(tmp_path, np.array([[logits]], dtype), np.array([0]))
    assert Store.open(tmp_path / "store").predicted("test").tolist() == [[predicted]]


def test_neighbours_in_float64_are_told_apart(tmp_path: Path) -> None:
    imported(tmp_path, np.array([[[1.0, np.nextafter(1.0, 2)]]]), np.array([0]))
    assert Store.open(tmp_path / "store").predicted("test").tolist() == [[1]]


@pytest.mark.parametrize(
    ("kind", "options", "classes"),
    [
        ("logits", {}, K),
        ("logits", {"classes": 12}, 12),
        ("classes", {}, 8),
        ("classes", {"classes": 100}, 100),
        ("correctness", {}, 8),
        ("correctness", {"classes": 10}, 10),
    ],
)
def test_the_number_of_classes(kind: str, options: dict[str, int], classes: int, tmp_path: Path) -> None:
    """Labels 0 to 7 here, and so are the predictions: 8, unless more are known of."""
    predictions = {
        "logits": np.zeros((R, N, K)),
        "classes": np.full((R, N), 5),
        "correctness": np.ones((R, N), bool),
    }
    [done] = imported(tmp_path, predictions[kind], np.arange(N) % 8, **options).test_sets
    assert done.classes == classes
    [test_set] = Store.open(tmp_path / "store").manifest.test_sets
    assert test_set.classes == tuple(map(str, range(classes)))


def test_predictions_may_be_of_more_classes_than_the_labels(tmp_path: Path) -> None:
    [done] = imported(tmp_path, np.array([[0, 255], [7, 1]]), np.array([0, 1])).test_sets
    assert done.classes == 256


@pytest.mark.parametrize("kind", ["classes", "logits"])
@pytest.mark.parametrize(("most", "columns"), [(255, ["correct", "predicted"]), (256, ["correct"])])
def test_classes_are_kept_as_long_as_they_fit_a_byte(
    kind: str, most: int, columns: list[str], tmp_path: Path
) -> None:
    """Class 0 of two bytes cut to one would be right where 256 is."""
    labels_N = np.array([0, 1, most])
    classes_RN = np.array([[0, 1, most], [most, 2, 0]])
    logits_RNK = (classes_RN[:, :, None] == np.arange(most + 1)).astype(np.float16)
    [done] = imported(tmp_path, classes_RN if kind == "classes" else logits_RNK, labels_N).test_sets
    assert done.classes == most + 1
    store = Store.open(tmp_path / "store")
    assert store.manifest.identity["columns"] == columns
    np.testing.assert_array_equal(store.labels("test"), labels_N)
    np.testing.assert_array_equal(store.correct_RN("test"), classes_RN == labels_N)


def test_all_test_sets_keep_the_same(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", few=np.array([[0, 1]]), many=np.array([[0, 999]]))
    np.save(tmp_path / "labels.npy", np.array([0, 1]))
    wanted = Import(
        predictions=tmp_path / "a.npz",
        labels=tmp_path / "labels.npy",
        out=tmp_path / "store",
        keys=["few", "many"],
    )
    assert [one.classes for one in import_runs(wanted).test_sets] == [2, 1000]
    store = Store.open(wanted.out)
    assert store.manifest.identity["columns"] == ["correct"]
    assert [store.correct_RN(name).tolist() for name in store.test_sets] == [[[1, 1]], [[1, 0]]]


def changed(array: np.ndarray, where: tuple[int, ...], value: float) -> np.ndarray:
    copy = array.copy()
    copy[where] = value
    return copy


NAN = changed(RUNS.logits_RNK, (7, 11, 3), np.nan)
RIGHT_BYTES = changed(RUNS.right_RN.view(np.uint8), (3, 4), 2).view(bool)


@pytest.mark.parametrize(
    ("predictions", "labels", "options", "error", "message"),
    [
        *(
            (
                NAN.astype(dtype),
                RUNS.labels_N,
                {},
                DataError,
                r"predictions\.npy: run 7, example 11: .*NaN.*--keep-diverged.*leave such runs out, array",
            )
            for dtype in ("<f2", "<f4", ">f8")
        ),
        (RIGHT_BYTES, RUNS.labels_N, {}, DataError, "run 3, example 4: .*neither 0 nor 1"),
        (
            changed(RUNS.classes_RN, (9, 2), -1),
            RUNS.labels_N,
            {},
            DataError,
            "run 9, example 2: class -1 is not one of 0 to 65,535, the most that a store takes",
        ),
        (
            changed(RUNS.classes_RN, (9, 2), 65536),
            RUNS.labels_N,
            {},
            DataError,
            "run 9, example 2: class 65536 is not one of 0 to 65,535",
        ),
        (
            changed(RUNS.classes_RN.astype(np.uint64), (9, 2), 2**63),
            RUNS.labels_N,
            {},
            DataError,
            f"run 9, example 2: class {2**63} is not",
        ),
        (
            changed(RUNS.classes_RN, (0, 0), 10),
            RUNS.labels_N,
            {"classes": 10},
            DataError,
            "run 0, example 0: class 10 is not one of 0 to 9, the classes of --classes 10",
        ),
        (
            RUNS.logits_RNK,
            changed(RUNS.labels_N, (5,), 10),
            {},
            DataError,
            r"labels\.npy: example 5: label 10 is not one of 0 to 9, the classes that have a logit",
        ),
        (RUNS.classes_RN, changed(RUNS.labels_N, (5,), -1), {}, DataError, "example 5: label -1 is not one"),
        (
            RUNS.right_RN,
            changed(RUNS.labels_N, (5,), 65536),
            {},
            DataError,
            "example 5: label 65536 is not one",
        ),
        (RUNS.right_RN, RUNS.labels_N, {"classes": 3}, DataError, "label . is not one of 0 to 2"),
        (RUNS.classes_RN, RUNS.labels_N[:-1], {}, DataError, "has 202 labels, .* has 203 examples"),
        (RUNS.classes_RN, RUNS.labels_N[None], {}, DataError, r"labels.npy is int64 \(1, 203\)"),
        (
            RUNS.classes_RN,
            RUNS.labels_N + 0.5,
            {},
            DataError,
            r"example 0: label \d\.5 is not a whole number",
        ),
        (
            RUNS.classes_RN,
            changed(RUNS.labels_N * 1.0, (5,), np.nan),
            {},
            DataError,
            "example 5: label nan is not a whole number",
        ),
        (RUNS.classes_RN, RUNS.labels_N > 4, {}, DataError, r"labels.npy is bool \(203,\).*astype\(int\)"),
        (
            RUNS.classes_RN,
            np.eye(K)[RUNS.labels_N],
            {},
            DataError,
            r"is float64 \(203, 10\).*argmax\(axis=1\)",
        ),
        (RUNS.classes_RN, RUNS.labels_N.astype("U3"), {}, DataError, r"is <U3 \(203,\).*NAMES\.index"),
        (
            RUNS.classes_RN[0, :9],
            RUNS.labels_N,
            {},
            DataError,
            r"predictions.npy is int64 \(9,\).*One run is",
        ),
        (RUNS.logits_RNK[0, :9], RUNS.labels_N, {}, DataError, r"is float32 \(9, 10\)"),
        (
            RUNS.logits_RNK[:, :-3].reshape(-1, 5, K)[:40],
            RUNS.labels_N[:200],
            {},
            DataError,
            r"batches of one run, import array\.reshape\(\(1, 200, 10\)\)",
        ),
        (RUNS.logits_RNK[None], RUNS.labels_N, {}, DataError, r"is float32 \(1, 12, 203, 10\)"),
        (RUNS.classes_RN[:, :, None], RUNS.labels_N, {}, DataError, r"is int64 \(12, 203, 1\)"),
        (np.array(1), RUNS.labels_N, {}, DataError, r"is int64 \(\)"),
        (RUNS.logits_RNK * 1j, RUNS.labels_N, {}, DataError, "is complex64"),
        (RUNS.classes_RN.astype("S1"), RUNS.labels_N, {}, DataError, r"is \|S1"),
        (RUNS.classes_RN.astype("m8[s]"), RUNS.labels_N, {}, DataError, r"is timedelta64\[s\]"),
        (np.zeros((1, 2, 65537), "f2"), np.array([0, 1]), {}, DataError, "65,537 classes; .* 65,536 at most"),
        (RUNS.logits_RNK.swapaxes(1, 2), RUNS.labels_N, {}, DataError, r"last axis.*swapaxes\(1, 2\)"),
        (RUNS.logits_RNK, RUNS.labels_N, {"classes": 9}, UsageError, "--classes 9 is too small"),
        (RUNS.classes_RN, RUNS.labels_N, {"classes": 65537}, UsageError, "a store takes 1 to 65,536"),
        (
            RUNS.classes_RN,
            RUNS.labels_N,
            {"classes": 0},
            UsageError,
            "--classes 0: a store takes 1 to 65,536",
        ),
    ],
)
def test_what_predictions_may_not_be(
    predictions: np.ndarray,
    labels: np.ndarray,
    options: dict[str, Any],
    error: type[AirbenchVarError],
    message: str,
    tmp_path: Path,
) -> None:
    """And nothing is left behind."""
    wanted = write(tmp_path, predictions, labels, **options)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error, match=message):
        import_runs(wanted)
    assert sorted(tmp_path.rglob("*")) == before


def test_runs_with_a_nan_are_kept_as_diverged_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "BLOCK_BYTES", 5 * NAN[0].nbytes)
    wanted = write(tmp_path, NAN, RUNS.labels_N, keep_diverged=True)
    assert import_runs(wanted).added == R
    assert import_runs(wanted).added == 0
    store = Store.open(wanted.out)
    assert store.records()["diverged"].tolist() == [run == 7 for run in range(R)]
    np.testing.assert_array_equal(store.predicted("test"), NAN.argmax(axis=2))
    import_runs(write(tmp_path, RUNS.logits_RNK, RUNS.labels_N, keep_diverged=True, out=tmp_path / "none"))
    assert not Store.open(tmp_path / "none").records()["diverged"].any()


def test_what_a_diverged_run_got_right_may_be_counted_in_more_ways(tmp_path: Path) -> None:
    """Where a logit is NaN, another argmax may have it right or wrong; where none is, not."""
    right_RN = NAN.argmax(axis=2) == RUNS.labels_N
    for place, is_refused in (((7, 11), False), ((7, 12), True)):
        np.savez(tmp_path / "a.npz", logits=NAN, correct=changed(right_RN, place, not right_RN[place]))
        np.save(tmp_path / "labels.npy", RUNS.labels_N)
        wanted = Import(
            predictions=tmp_path / "a.npz",
            labels=tmp_path / "labels.npy",
            out=tmp_path / "store",
            keep_diverged=True,
        )
        if is_refused:
            with pytest.raises(DataError, match="run 7, example 12: by these labels and what was predicted"):
                import_runs(replace(wanted, out=tmp_path / "no"))
        else:
            assert import_runs(wanted).added == R


@pytest.mark.parametrize("kind", ["logits", "classes", "correctness"])
def test_a_file_may_be_of_one_run(kind: str, tmp_path: Path) -> None:
    """And lack the axis of runs: the store is that of all runs in one array."""
    array = RUNS.of_kind(kind)
    for run, of_run in enumerate(array):
        (tmp_path / "runs").mkdir(exist_ok=True)
        np.save(tmp_path / "runs" / f"{run:02}.npy", of_run)
    wanted = write(tmp_path, array, RUNS.labels_N)
    import_runs(wanted)
    one_by_one = replace(wanted, predictions=tmp_path / "runs", out=tmp_path / "same")
    assert import_runs(one_by_one).added == R
    identity = [Store.open(tmp_path / name).manifest.identity["imported"] for name in ("store", "same")]
    assert identity[0] == identity[1]
    np.testing.assert_array_equal(Store.open(tmp_path / "same").correct_RN("test"), RUNS.right_RN)


def test_labels_in_the_folder_of_the_runs_are_no_run(tmp_path: Path) -> None:
    for name, of_run in {"0": RUNS.classes_RN[0], "1": RUNS.classes_RN[1], "labels": RUNS.labels_N}.items():
        np.save(tmp_path / f"{name}.npy", of_run)
    wanted = Import(predictions=tmp_path, labels=tmp_path / "labels.npy", out=tmp_path / "store")
    with pytest.raises(DataError, match=r"labels\.npy: the labels are among the predictions"):
        import_runs(wanted)


@pytest.mark.parametrize("labels_N", [RUNS.labels_N * 1.0, RUNS.labels_N[:, None].astype("f2")])
def test_labels_that_are_whole_numbers_are_labels(labels_N: np.ndarray, tmp_path: Path) -> None:
    imported(tmp_path, RUNS.classes_RN, labels_N)
    np.testing.assert_array_equal(Store.open(tmp_path / "store").labels("test"), RUNS.labels_N)


@pytest.mark.parametrize("name", ["lock", "../up", "a b", ""])
def test_a_name_that_is_no_folder_is_refused_before_the_file_is_read(name: str, tmp_path: Path) -> None:
    wanted = write(tmp_path, NAN, RUNS.labels_N, test_set=name)
    with pytest.raises(AirbenchVarError, match="its name becomes a folder"):
        import_runs(wanted)
    assert not wanted.out.exists()


def test_a_missing_labels_file_is_named(tmp_path: Path) -> None:
    wanted = write(tmp_path, RUNS.classes_RN, RUNS.labels_N)
    with pytest.raises(DataError, match=r"other\.npy cannot be read: No such file"):
        import_runs(Import(predictions=wanted.predictions, labels=tmp_path / "other.npy", out=wanted.out))
    assert not wanted.out.exists()
