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


@SUFFIXES
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
@pytest.mark.parametrize(
    "names",
    [
        ("labels", "pred"),
        ("y_true", "y_pred"),
        ("targets", "preds"),
        ("test_labels", "test_predictions"),
        ("true_label", "pred_label"),
        ("label", "predicted"),
    ],
)
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
    write_arrays(tmp_path / name, labels=labels_N, y_pred=RUNS.classes_RN[1], pred=one_N)
    with pytest.raises(DataError, match=r"write them as one, beside the labels: numpy\.stack"):
        imported(tmp_path, name)
    assert_is_whole(imported(tmp_path, name, key="pred"), 1)
    write_arrays(tmp_path / name, y_true=labels_N, y_pred=one_N, target=labels_N)
    with pytest.raises(UsageError, match="the predictions have no labels of their own"):
        imported(tmp_path, name)
    write_arrays(tmp_path / name, y_true=labels_N, y_pred=one_N)
    with pytest.raises(UsageError, match="y_true is a name of labels, and KEY is that of the predictions"):
        import_runs(
            Import(predictions=tmp_path / name, labels={"y_true": tmp_path / name}, out=tmp_path / "store")
        )


@SUFFIXES
@pytest.mark.parametrize("key", ["labels", "y_true", "cifar10/labels", "test_labels"])
def test_labels_are_no_predictions(key: str, suffix: str, tmp_path: Path) -> None:
    """As the only run they would be right on all examples."""
    write_arrays(tmp_path / f"a{suffix}", **{key: RUNS.labels_N})
    np.save(tmp_path / "labels.npy", RUNS.labels_N)
    with pytest.raises(DataError, match=f"{key} says labels: write predictions or call it predicted"):
        imported(tmp_path, f"a{suffix}", "labels.npy")
    with pytest.raises(UsageError, match=f"{key} is a name of labels, .*call them predicted"):
        imported(tmp_path, f"a{suffix}", "labels.npy", key)


@SUFFIXES
def test_what_is_advised_is_not_refused(suffix: str, tmp_path: Path) -> None:
    """No array here may be one run as it is, so that no option chooses one."""
    write_arrays(tmp_path / f"a{suffix}", labels=RUNS.labels_N, accs=np.array([0.5, 0.75]))
    with pytest.raises(DataError, match=r"of single examples\.( labels says labels: [^.]*\.)?$"):
        imported(tmp_path, f"a{suffix}")
    write_arrays(tmp_path / f"a{suffix}", labels=RUNS.labels_N[:, None], y_pred=RUNS.logits_RNK[:, :, 0])
    with pytest.raises(DataError, match=r"y_pred is .* the logits of one run, and no mean of many, are arr"):
        imported(tmp_path, f"a{suffix}")


@pytest.mark.parametrize("suffix", [".npz", ".pt", ".pkl"])
def test_what_is_wrong_with_predictions_by_their_name_is_said(suffix: str, tmp_path: Path) -> None:
    write_arrays(tmp_path / f"a{suffix}", y_true=RUNS.labels_N, y_pred=RUNS.classes_RN[0] * 1.0)
    with pytest.raises(
        DataError, match=r"y_pred is float64 \(203,\).*Classes of one run are array\.astype\(int"
    ):
        imported(tmp_path, f"a{suffix}")


@SUFFIXES
def test_logits_that_are_chosen_are_those_of_one_run_beside_pictures(suffix: str, tmp_path: Path) -> None:
    """Only many runs of as many classes may be what they are the mean of."""
    pictures = np.zeros((N, 7), np.uint8)
    write_arrays(tmp_path / f"a{suffix}", x=pictures, logits=RUNS.logits_RNK[0], y=RUNS.labels_N)
    assert_is_whole(imported(tmp_path, f"a{suffix}", key="logits"), 1)


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


@SUFFIXES
def test_labels_that_are_given_do_not_hide_those_of_the_files(suffix: str, tmp_path: Path) -> None:
    """Each seed has shuffled the test set in an order of its own."""
    (tmp_path / "runs").mkdir()
    for run in range(2):
        order_N = np.random.default_rng(run).permutation(N)
        arrays = {"y_true": RUNS.labels_N[order_N], "y_pred": RUNS.classes_RN[run][order_N]}
        write_arrays(tmp_path / "runs" / f"{run}{suffix}", **arrays)
    for labels in (None, f"runs/0{suffix}"):
        with pytest.raises(DataError, match=r"1\.\w+, y_true are not the labels of .*0\."):
            imported(tmp_path, "runs", labels)


@SUFFIXES
@pytest.mark.parametrize("is_right", [RUNS.right_RN, RUNS.right_RN[0]], ids=["many runs", "one run"])
def test_0_and_1_that_are_called_correct_say_what_was_right(
    is_right: np.ndarray, suffix: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "labels.npy", RUNS.labels_N % 2)
    write_arrays(tmp_path / f"a{suffix}", is_correct=is_right.astype(int))
    store = imported(tmp_path, f"a{suffix}", "labels.npy")
    np.testing.assert_array_equal(store.view("test")[:], np.atleast_2d(is_right))


@SUFFIXES
def test_what_one_run_says_was_right_is_compared(suffix: str, tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", RUNS.labels_N[::-1])
    arrays = {"predicted": RUNS.classes_RN[0], "correct": RUNS.right_RN[0]}
    write_arrays(tmp_path / f"a{suffix}", **arrays)
    with pytest.raises(DataError, match=r"by these labels and what was predicted it is not so"):
        imported(tmp_path, f"a{suffix}", "labels.npy")
    np.save(tmp_path / "labels.npy", RUNS.labels_N)
    assert_is_whole(imported(tmp_path, f"a{suffix}", "labels.npy"), 1)


@SUFFIXES
@pytest.mark.parametrize("ids", ["shuffled", "of each run", "of all runs"])
def test_an_array_of_indices_is_believed(ids: str, suffix: str, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    for run in range(3):
        rng = np.random.default_rng(7 if ids == "of all runs" else run)
        order_N = rng.permutation(N) if ids == "shuffled" else rng.permutation(9 * N)[:N]
        arrays = {"indices": order_N, "y_pred": RUNS.classes_RN[run], "y_true": RUNS.labels_N}
        write_arrays(tmp_path / "runs" / f"{run}{suffix}", **arrays)
    if ids == "of all runs":  # ids of a larger data set, in one order
        assert_is_whole(imported(tmp_path, "runs"), 3)
    else:
        with pytest.raises(DataError, match="indices says that the examples are in another order"):
            imported(tmp_path, "runs")


@SUFFIXES
def test_predictions_by_name_beside_other_tables_of_numbers(suffix: str, tmp_path: Path) -> None:
    arrays = {"confusion_matrix": np.ones((K, K), int), "y_pred": RUNS.classes_RN[0], "y_true": RUNS.labels_N}
    write_arrays(tmp_path / f"a{suffix}", **arrays)
    assert_is_whole(imported(tmp_path, f"a{suffix}"), 1)


def test_probabilities_of_two_runs_are_no_logits_of_one(tmp_path: Path) -> None:
    labels_N = RUNS.labels_N % 2
    np.save(tmp_path / "labels.npy", labels_N)
    chances_NR = np.clip(labels_N[:, None] * 0.4 + np.random.default_rng(0).random((N, 2)) * 0.6, 0, 1)
    np.save(tmp_path / "a.npy", chances_NR)
    with pytest.raises(DataError, match=r"shares of classes sum up to 1.*\(array\.T > 0\.5\)\.astype\(int\)"):
        imported(tmp_path, "a.npy", "labels.npy")
    np.save(tmp_path / "a.npy", np.stack([1 - chances_NR[:, 0], chances_NR[:, 0]], axis=1))
    predicted_RN = imported(tmp_path, "a.npy", "labels.npy").predicted("test")[:]
    np.testing.assert_array_equal(predicted_RN, chances_NR[None, :, 0] > 0.5)


@SUFFIXES
def test_two_files_of_one_seed_are_not_two_runs(suffix: str, tmp_path: Path) -> None:
    """As a script leaves them that saves every epoch."""
    (tmp_path / "runs").mkdir()
    for run in range(4):
        values = {"epoch": np.array(run % 2), "seed": np.array(run // 2), "logits": RUNS.logits_RNK[run]}
        write_arrays(tmp_path / "runs" / f"{run}{suffix}", **values)
    np.save(tmp_path / "labels.npy", RUNS.labels_N)
    with pytest.raises(DataError, match=r"0\.\w+ and .*1\.\w+ both say seed 0: two epochs of one run"):
        imported(tmp_path, "runs", "labels.npy")


def test_too_few_labels_for_the_logits_of_one_run_are_counted(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", RUNS.logits_RNK[0])
    np.save(tmp_path / "labels.npy", RUNS.labels_N[:-3])
    with pytest.raises(DataError, match="As logits of one run it has 203 examples, and there are 200 labels"):
        imported(tmp_path, "a.npy", "labels.npy")


@SUFFIXES
@pytest.mark.parametrize("predicted_RN", [RUNS.classes_RN > 4, RUNS.classes_RN[0] > 4], ids=["many", "one"])
def test_true_and_false_that_were_predicted_are_two_classes(
    predicted_RN: np.ndarray, suffix: str, tmp_path: Path
) -> None:
    """As what was right, nine in ten would be of a class that is rare."""
    write_arrays(tmp_path / f"a{suffix}", y_pred=predicted_RN, y_true=RUNS.labels_N > 4)
    store = imported(tmp_path, f"a{suffix}")
    np.testing.assert_array_equal(store.predicted("test")[:], np.atleast_2d(predicted_RN))
    np.testing.assert_array_equal(store.labels("test"), RUNS.labels_N > 4)


@SUFFIXES
def test_true_and_false_that_may_be_classes_or_right_are_refused(suffix: str, tmp_path: Path) -> None:
    write_arrays(tmp_path / f"a{suffix}", y_pred=RUNS.classes_RN > 4, y_true=(RUNS.labels_N > 4).astype(int))
    with pytest.raises(DataError, match=r"y_pred has booleans: of two classes write array\.astype\(int\)"):
        imported(tmp_path, f"a{suffix}")
