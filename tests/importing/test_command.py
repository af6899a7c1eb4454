"""`python -m airbench_var import`, as the shell sees it."""

import json
from pathlib import Path

import numpy as np
import pytest

from airbench_var import cli
from airbench_var.store import damage
from tests.importing.inputs import Runs, some_runs, write
from tests.importing.test_own_labels import write_arrays
from tests.store.test_verification import change_row

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Runs whose logits are in predictions.npy of the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(damage, "RECHECK_S", 0)
    runs = some_runs()
    write(tmp_path, runs.logits_RNK, runs.labels_N)
    return runs


def run(command: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    try:
        code = cli.main(command.split())
    except SystemExit as leaving:  # argparse
        code = int(leaving.code or 0)
    shown = capsys.readouterr()
    return code, shown.out, shown.err


IMPORT = "import predictions.npy --labels labels.npy --out store"


def test_what_was_imported_and_what_it_says(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(IMPORT, capsys)
    assert code == 0
    logits = "predictions.npy: logits, float32 12 x 203 x 10, 10 classes"
    assert err == f"{logits}; 12 of 12 runs imported now\n"
    assert out.startswith("imported from predictions.npy, store store\n")
    assert f"{100 * runs.right_RN.mean():.2f} %" in out
    assert "unknown" not in out
    code, again, err = run(IMPORT, capsys)
    assert (code, again) == (0, out)
    assert err == f"{logits}; 0 of 12 runs imported now\n"


def test_json_is_one_object_and_nothing_else(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(f"{IMPORT} --json --test-set mine --classes 11", capsys)
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["test_sets"]["mine"]["estimates"]["mean_accuracy"]["value"] == runs.right_RN.mean()
    assert document["imported"]["shape"] == [12, 203, 10]
    assert document["created_by"]["imported_from"] == "predictions.npy"
    assert (document["recipe"], document["recipe_sha256"], document["data"]) == (None, None, None)
    assert run("analyze store --json", capsys)[1] == out


def test_every_other_command_takes_the_store(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    run(IMPORT, capsys)
    np.save("right.npy", some_runs(1).right_RN)
    assert run("import right.npy --labels labels.npy --out other", capsys)[0] == 0

    code, out, err = run("info store", capsys)
    assert (code, err) == (0, "")
    lines = {line[:10].strip(): line[12:].strip() for line in out.splitlines() if line[:10].strip()}
    assert lines["runs"] == "12 committed, 0 failed, 0 open, of 12 runs"
    assert lines["imported"].startswith("predictions.npy: logits <f4 (12, 203, 10), sha256 ")
    assert lines["test set"] == "test: 203 examples, 10 classes"
    assert not {"recipe", "data", "seeds", "device"} & set(lines)
    assert "unknown" not in out
    assert "None" not in out

    for command, said in (
        ("verify store", "Whole: every file"),
        ("analyze other", "imported from right.npy, store other"),
        ("compare store other", "A minus B, 12 and 12 runs, 203 test examples"),
        ("plan --detect 1% --store store --against other", "runs of each recipe"),
        ("repair store", "nothing to repair"),
    ):
        code, out, err = run(command, capsys)
        assert (code, err) == (0, ""), command
        assert said in out


def test_a_repair_is_filled_by_the_same_command(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    before = run(IMPORT, capsys)[1]
    change_row(Path("store"), "test/predicted.npy", 3)
    assert run("verify store", capsys)[0] == 4
    code, out, _ = run("repair store", capsys)
    assert code == 0
    assert "Run 3 is open again; the command that made the store does what is open." in " ".join(out.split())
    code, after, err = run(IMPORT, capsys)
    assert (code, after) == (0, before)
    assert "1 of 12 runs imported now" in err


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("import", 2, "required: PREDICTIONS, --out"),
        (
            "import predictions.npy --out store",
            2,
            "predictions.npy: the predictions have no labels of their own: give --labels FILE",
        ),
        ("import labels.npy --out store", 2, "have no labels of their own"),
        ("import predictions.npy --labels labels.npy", 2, "required: --out"),
        (f"{IMPORT} --classes 0", 2, "'0' is not a whole number of 1 or more"),
        (f"{IMPORT} --classes 9", 2, "--classes 9 is too small"),
        (f"{IMPORT} --test-set ../up", 2, "its name becomes a folder"),
        ("import none.npy --labels labels.npy --out store", 3, "none.npy cannot be read: No such file"),
        (
            "import labels.npy --labels labels.npy --out store",
            3,
            "labels.npy: the labels are among the predictions",
        ),
        ("import predictions.npy --labels predictions.npy --out store", 3, "labels are integers (examples,)"),
        ("import predictions.npy --labels labels.npy --out .", 5, "is not a store and not empty"),
        ("imprt predictions.npy", 2, "did you mean 'import'?"),
    ],
)
def test_mistakes(
    command: str, code: int, message: str, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    found, out, err = run(command, capsys)
    assert (found, out) == (code, "")
    assert message in " ".join(err.split())
    assert "Traceback" not in err
    assert sorted(path.name for path in Path().iterdir()) == ["labels.npy", "predictions.npy"]


def test_another_file_is_refused_with_what_differs(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    run(IMPORT, capsys)
    np.save("predictions.npy", runs.classes_RN)
    code, out, err = run(IMPORT, capsys)
    assert (code, out) == (5, "")
    assert 'imported.kind: "logits" in the store, "classes" now' in err


def test_what_was_right_as_integers_is_doubted(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("predictions.npy", (runs.classes_RN == runs.labels_N).astype(np.int64))
    code, _, err = run(IMPORT, capsys)
    assert code == 0
    assert "no prediction on test is above 1, though there are" in err
    assert "import them as booleans: array.astype(bool)" in err


def test_a_network_filesystem_is_warned_of(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("airbench_var.store.filesystem.filesystem_of", lambda _: "nfs4")
    assert "warning: store is on a network filesystem (nfs4)" in run(IMPORT, capsys)[2]


def test_several_test_sets_from_one_file(
    runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez("both.npz", plain=runs.logits_RNK, tta=runs.logits_RNK[:, :, ::-1], labels=runs.labels_N)
    command = "import both.npz --labels both.npz --out store"
    code, _, err = run(command, capsys)
    assert code == 2
    assert "2 arrays that may be predictions: plain, tta" in err
    assert "--key plain" in err
    code, out, err = run(f"{command} --key plain --test-set tta=a.npy=b --labels tta=labels.npy", capsys)
    assert (code, out) == (2, "")
    assert "its name becomes a folder" in err
    code, out, err = run(
        f"{command} --key plain --labels tta=./labels.npy --test-set plain=cifar10.1-v6", capsys
    )
    assert code == 0
    assert err == (
        "both.npz as cifar10.1-v6: logits, float32 12 x 203 x 10, 10 classes\n"
        "both.npz as tta: logits, float32 12 x 203 x 10, 10 classes; 12 of 12 runs imported now\n"
        "warning: runs are right on 6.2 % of tta, no better than guessing among 10 classes. Are these the "
        "labels of these examples, in this order, and do both count classes from 0?\n"
    )
    code, out, err = run("info store", capsys)
    assert (code, err) == (0, "")
    assert "for tta: logits <f4 (12, 203, 10), sha256 " in " ".join(out.split())
    assert "tta: 203 examples, 10 classes" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--labels labels.npy", "--labels is given twice: labels.npy and labels.npy"),
        ("--key logits", "has no 'logits'"),
        ("--test-set a --test-set b", "--test-set is given twice: a and b"),
    ],
)
def test_options_that_say_too_much(
    options: str, message: str, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(f"{IMPORT} {options}", capsys)
    assert code == 2
    assert message in err
    assert not Path("store").exists()


def test_several_files(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("a.npy", runs.logits_RNK[:5])
    np.save("b.npy", runs.logits_RNK[5:])
    code, out, err = run("import a.npy b.npy --labels labels.npy --out store", capsys)
    assert code == 0
    assert err.startswith("2 files, a.npy to b.npy: logits, float32 12 x 203 x 10")
    assert out.startswith("imported from 2 files, a.npy to b.npy, store store\n")
    assert "0 of 12 runs imported now" in run(IMPORT, capsys)[2]  # predictions.npy has the same runs


@pytest.mark.parametrize(
    ("predicted", "labels", "warned"),
    [
        (0, 0, ""),
        (1, 0, "class 10 is among the predictions on test; the largest label is 9"),
        (
            0,
            1,
            "no better than guessing among 10 classes. The labels count from 1, it seems, and the others ",
        ),
        (1, 0, "no better than guessing among 10 classes. The predictions count from 1, it seems, and the "),
        (1, 1, "is 0, so that of the 11 classes one is empty. If they count from 1, subtract it from both"),
    ],
)
def test_classes_that_are_counted_from_1_are_doubted(
    predicted: int, labels: int, warned: str, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("classes.npy", runs.classes_RN.astype(np.int64) + predicted)
    np.save("counted.npy", runs.labels_N.astype(np.int64) + labels)
    code, _, err = run("import classes.npy --labels counted.npy --out counted", capsys)
    assert code == 0
    assert warned in err
    assert ("warning: " in err) == bool(warned)


def test_a_copy_of_the_labels_among_the_runs_is_doubted(
    runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under another name than that of the labels: as a run it would be right on all examples."""
    Path("runs").mkdir()
    for name, of_run in (("0", runs.classes_RN[0]), ("1", runs.classes_RN[1]), ("targets", runs.labels_N)):
        np.save(f"runs/{name}.npy", of_run)
    assert (
        "warning: run 2 is right on all of test" in run("import runs --labels labels.npy --out a", capsys)[2]
    )
    Path("runs/targets.npy").unlink()
    assert "warning" not in run("import runs --labels labels.npy --out b", capsys)[2]


def test_more_classes_than_labels_are_no_mistake_when_asked_for(
    runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("fewer.npy", np.where(runs.labels_N < 9, runs.labels_N, 0))
    np.save("classes.npy", runs.classes_RN)
    assert "warning: class 9 is" in run("import classes.npy --labels fewer.npy --out a", capsys)[2]
    assert "warning" not in run("import classes.npy --labels fewer.npy --classes 10 --out b", capsys)[2]


@pytest.mark.parametrize(
    ("array", "hint"),
    [
        (np.zeros((4, 203)), "as 0.0 and 1.0, is array.astype(bool)"),
        (np.zeros((4, 203)), "of the second of two classes (array > 0.5).astype(int)"),
        (np.zeros((4, 203, 10), int), "one-hot, (runs, examples, classes) they are array.argmax(axis=2)"),
        (np.full((4, 203), "cat"), "numpy.vectorize(NAMES.index)(array)"),
        (np.zeros(9, np.int64), "One run is as long as the labels. Accuracies alone say nothing"),
        (
            np.zeros((203, 4), np.int64),
            "Its first axis is as long, and is taken for runs: exchange the two by array.swapaxes(0, 1)",
        ),
        (np.zeros((4, 100), np.int64), "Give the labels of the same test set"),
    ],
)
def test_what_may_have_been_meant_is_said(
    array: np.ndarray, hint: str, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("other.npy", array)
    code, _, err = run("import other.npy --labels labels.npy --out other", capsys)
    assert code == 3
    assert hint in err


def test_a_file_of_one_run_that_is_the_labels_is_doubted(
    runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("targets.npy", runs.labels_N)
    err = run("import targets.npy --labels labels.npy --out a", capsys)[2]
    assert "warning: run 0 is right on all of test. Is it a copy of the labels" in err


@pytest.mark.parametrize(("right", "is_warned"), [(0.51, True), (0.6, False)])
def test_only_runs_that_are_no_better_than_guessing_are_called_so(
    right: float, is_warned: bool, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two classes and 2,000 examples, 60 % is by nine standard errors."""
    labels_N = np.arange(2_000) % 2
    is_right_RN = np.random.default_rng(0).permuted(np.tile(np.arange(2_000) < 2_000 * right, (9, 1)), axis=1)
    np.save("two.npy", labels_N)
    np.save("runs.npy", np.where(is_right_RN, labels_N, 1 - labels_N))
    err = run("import runs.npy --labels two.npy --out a", capsys)[2]
    assert ("no better than guessing" in err) == is_warned


def test_the_way_to_the_files_is_not_kept(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    for name, some in (("a/0.npy", slice(0, 5)), ("b/0.npy", slice(5, 12))):
        Path("who", name).parent.mkdir(parents=True)
        np.save(f"who/{name}", runs.classes_RN[some])
    assert run("import who/a who/b/0.npy --labels labels.npy --out store", capsys)[0] == 0
    assert run("import store/../who/a who/b --labels labels.npy --out other", capsys)[0] == 0
    for name in ("store", "other"):
        manifest = json.loads(Path(name, "manifest.json").read_text())
        assert manifest["provenance"]["imported_files"] == [["a/0.npy", 5], ["b/0.npy", 7]]


def test_runs_whose_examples_are_in_another_order_are_doubted(
    runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of unequal classes: they are right far more often than one over the number of classes."""
    rng = np.random.default_rng(0)
    labels_N = (rng.random(2_000) < 0.15).astype(int)
    predicted_RN = np.where(rng.random((5, 2_000)) < 0.9, labels_N, 1 - labels_N)
    predicted_RN[3] = rng.permutation(predicted_RN[3])
    np.save("two.npy", labels_N)
    np.save("runs.npy", predicted_RN)
    err = run("import runs.npy --labels two.npy --out a", capsys)[2]
    assert "warning: 1 of 5 runs, first 3, are right on 6" in err
    assert "no better than guessing among 2 classes" in err


@pytest.mark.parametrize("suffix", [".npz", ".pt", ".json", ".pkl"])
@pytest.mark.parametrize(("wrong", "scale", "is_doubted"), [(40, 1, True), (40, 100, True), (0, 100, False)])
def test_an_accuracy_that_the_files_say_is_compared(
    wrong: int,
    scale: float,
    is_doubted: bool,
    suffix: str,
    runs: Runs,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As a share or in percent, rounded."""
    labels_N = runs.labels_N.copy()
    labels_N[:wrong] = (labels_N[:wrong] + 1) % 10
    np.save("given.npy", labels_N)
    Path("runs").mkdir()
    for run_id in range(3):
        acc = round(scale * float(runs.right_RN[run_id].mean()), 1 if scale == 100 else 3)
        arrays = {"acc": np.array(acc), "predicted": runs.classes_RN[run_id]}
        write_arrays(Path(f"runs/{run_id}{suffix}"), **arrays)
    code, _, err = run("import runs --labels given.npy --out a", capsys)
    assert code == 0
    assert ("says an accuracy of" in err) == is_doubted
    assert ("and so differ 3 of 3 files" in err) == is_doubted
