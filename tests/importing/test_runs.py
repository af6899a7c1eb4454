"""From a file to a store: the numbers of NumPy, each run once whatever comes in between, in little memory."""

import hashlib
import json
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airbench_var.analysis import analyze, compare
from airbench_var.errors import DataError, StorageError, StoreRefusedError, UsageError
from airbench_var.importing import Import, import_runs, rows
from airbench_var.store import Store, StoreWriter, damage, repair, verify
from tests.end_to_end.by_numpy import estimates_of, from_classes
from tests.importing.inputs import N, R, Runs, some_runs, write
from tests.store.test_verification import change_row

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")

KINDS = ("logits", "classes", "correctness")


@pytest.fixture
def runs() -> Runs:
    return some_runs()


@pytest.fixture(params=KINDS)
def wanted(
    request: pytest.FixtureRequest, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Import:
    """The wish to import one kind of predictions, of which five runs are a block: 5, 5, and 2."""
    predictions = runs.of_kind(request.param)
    monkeypatch.setattr(rows, "BLOCK_BYTES", 5 * predictions[0].nbytes)
    return write(tmp_path, predictions, runs.labels_N)


def digest(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_analysis_is_that_of_the_matrix(wanted: Import, runs: Runs) -> None:
    done = import_runs(wanted)
    [test_set] = done.test_sets
    assert (done.added, done.runs, test_set.shape[:2]) == (R, R, (R, N))
    store = Store.open(wanted.out)
    np.testing.assert_array_equal(store.correct_RN("test"), runs.right_RN)
    assert verify(wanted.out).faults == ()
    [summary] = analyze(store).test_sets
    ours = {name: one.value for name, one in summary.estimates.items() if one.value is not None}
    by_numpy = estimates_of(runs.right_RN)
    if test_set.kind != "correctness":
        by_numpy |= from_classes(store.predicted("test"), runs.labels_N, test_set.classes)
    assert ours == pytest.approx({name: by_numpy[name] for name in ours}, rel=1e-12)
    assert len(ours) == (24 if test_set.kind != "correctness" else 16)
    errors = summary.estimates["mean_accuracy"].standard_errors
    for name, error in errors.items():
        assert error == pytest.approx(by_numpy[f"standard_error_{name}"], rel=1e-12)


def test_records_say_what_is_not_known(wanted: Import) -> None:
    import_runs(wanted)
    records = Store.open(wanted.out).records()
    assert records["run_id"].tolist() == list(range(R))
    for field in ("init_seed", "order_seed", "aug_seed", "diverged"):
        assert not records[field].any()
    assert np.isnan(records["loss"]).all()
    assert np.isnan(records["train_s"]).all()


def test_the_store_says_what_it_is_of(runs: Runs, tmp_path: Path) -> None:
    wanted = write(tmp_path, runs.logits_RNK, runs.labels_N, "mine", test_set="cifar10")
    import_runs(wanted)
    manifest = Store.open(wanted.out).manifest
    assert manifest.identity["imported"] == {
        "kind": "logits",
        "dtype": "<f4",
        "shape": [12, 203, 10],
        "sha256": hashlib.sha256(wanted.predictions.read_bytes()).hexdigest(),
    }
    assert "recipe_sha256" not in manifest.identity
    assert [test_set.name for test_set in manifest.test_sets] == ["cifar10"]
    assert (manifest.provenance["imported_from"], manifest.provenance["labels_from"]) == (
        "mine.npy",
        "labels.npy",
    )
    events = [json.loads(line)["kind"] for line in (wanted.out / "events.jsonl").read_text().splitlines()]
    assert events == ["start", "stop"]


def test_a_store_of_correctness_has_no_classes(runs: Runs, tmp_path: Path) -> None:
    wanted = write(tmp_path, runs.right_RN, runs.labels_N)
    import_runs(wanted)
    assert Store.open(wanted.out).manifest.identity["columns"] == ["correct"]
    assert sorted(path.name for path in (wanted.out / "test").iterdir()) == ["correct.npy", "labels.npy"]


def test_two_files_are_compared(runs: Runs, tmp_path: Path) -> None:
    other = some_runs(1)
    import_runs(write(tmp_path, runs.classes_RN, runs.labels_N, "a", out=tmp_path / "a"))
    import_runs(write(tmp_path, other.right_RN, runs.labels_N, "b", out=tmp_path / "b"))
    difference = compare(tmp_path / "a", tmp_path / "b")["test"].estimates["difference_on_this_test_set"]
    assert difference.value == pytest.approx(runs.right_RN.mean() - other.right_RN.mean(), rel=1e-12)


def test_the_same_command_again_does_nothing(wanted: Import) -> None:
    import_runs(wanted)
    before = digest(wanted.out)
    assert import_runs(wanted).added == 0
    assert digest(wanted.out) == before


def test_another_name_for_the_same_file_is_the_same(wanted: Import) -> None:
    import_runs(wanted)
    renamed = wanted.predictions.rename(wanted.predictions.with_name("renamed.npy"))
    assert import_runs(replace(wanted, predictions=renamed)).added == 0


def test_another_file_is_refused_and_the_store_untouched(wanted: Import, runs: Runs, tmp_path: Path) -> None:
    import_runs(wanted)
    before = digest(wanted.out)
    other = some_runs(2)
    for predictions, labels, what in (
        (other.logits_RNK, runs.labels_N, r"imported\.sha256"),
        (runs.classes_RN[1:], runs.labels_N, r"imported\.shape"),
        (runs.right_RN, other.labels_N, r"test_sets\.0\.labels_sha256"),
    ):
        with pytest.raises(StoreRefusedError, match=what):
            import_runs(write(tmp_path, predictions, labels, "other"))
    assert digest(wanted.out) == before


def test_other_options_are_refused(wanted: Import) -> None:
    import_runs(wanted)
    with pytest.raises(StoreRefusedError, match=r"test_sets\.0\.classes"):
        import_runs(replace(wanted, classes=20))
    with pytest.raises(StoreRefusedError, match=r"test_sets\.0\.name"):
        import_runs(replace(wanted, test_set="other"))


def test_a_folder_of_something_else_is_refused_before_the_file_is_read(wanted: Import) -> None:
    wanted.out.mkdir()
    (wanted.out / "thesis.tex").write_text("years")
    wanted.predictions.unlink()
    with pytest.raises(StoreRefusedError, match=r"it holds thesis\.tex"):
        import_runs(wanted)


def test_a_kill_anywhere_and_the_same_command(tmp_path: Path) -> None:
    script = [sys.executable, "-m", "tests.importing.kill_everywhere", str(tmp_path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(script, cwd=root, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["wrong"] == []
    assert report["kills"] > 50
    assert {0, 5, 10, 12} <= set(report["committed"])


def test_a_full_disk_in_the_middle_keeps_what_is_committed(
    wanted: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, left = StoreWriter.commit, [True, False]

    def fails_at_the_second(self: StoreWriter, outcomes: list[object]) -> None:
        if not left.pop(0):
            raise StorageError("no space left on device")
        commit(self, outcomes)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, "commit", fails_at_the_second)
        with pytest.raises(StorageError):
            import_runs(wanted)
    assert Store.open(wanted.out).committed_ids().tolist() == [0, 1, 2, 3, 4]
    assert import_runs(wanted).added == 7


def test_the_same_command_fills_what_a_repair_has_opened(
    wanted: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the blocks of those runs are read a second time."""
    monkeypatch.setattr(damage, "RECHECK_S", 0)
    import_runs(wanted)
    before = digest(wanted.out / "test")
    for run_id in (1, 11):
        change_row(wanted.out, "test/correct.npy", run_id)
    (wanted.out / "test" / "labels.npy").unlink()
    assert repair(wanted.out).reopened == (1, 11)
    passes: list[list[range]] = []

    def noting(blocks: list[range], name: str) -> list[range]:
        passes.append(blocks)
        return blocks

    assert import_runs(wanted, noting).added == 2  # type: ignore[arg-type]
    assert passes == [[range(0, 5), range(5, 10), range(10, 12)], [range(0, 5), range(10, 12)]]
    assert digest(wanted.out / "test") == before
    assert verify(wanted.out).faults == ()


def test_a_bad_value_in_the_last_run_leaves_no_store(runs: Runs, tmp_path: Path) -> None:
    runs.logits_RNK[-1, -1, -1] = np.nan
    wanted = write(tmp_path, runs.logits_RNK, runs.labels_N)
    with pytest.raises(DataError, match="run 11, example 202"):
        import_runs(wanted)
    assert not wanted.out.exists()


def test_a_file_that_changes_between_the_passes_is_not_committed(wanted: Import, runs: Runs) -> None:
    """Its sha256 is in the identity: what is committed must be of those bytes."""

    def meddling(blocks: list[range], name: str) -> list[range]:
        if name == "importing":
            whole = np.load(wanted.predictions)
            whole[7] = whole[8]
            np.save(wanted.predictions, whole)
        return blocks

    with pytest.raises(DataError, match=r"predictions\.npy changed while it was imported: runs 5 to 9"):
        import_runs(wanted, meddling)  # type: ignore[arg-type]
    store = Store.open(wanted.out)
    assert store.committed_ids().tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(store.correct_RN("test"), runs.right_RN[:5])


@pytest.mark.parametrize("kind", KINDS)
def test_memory_does_not_grow_with_the_file(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What grows are the records: far less than the rows, of which ten are read at a time."""
    monkeypatch.setattr("airbench_var.machine.commit", lambda: None)
    monkeypatch.setattr(rows, "BLOCK_ROWS", 10)
    n, peaks, sizes = 5000, [], []
    for count in (100, 200):
        shape = (count, n, 10) if kind == "logits" else (count, n)
        dtype = {"logits": np.float32, "classes": np.int64, "correctness": np.bool_}[kind]
        predictions = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
        wanted = write(tmp_path, predictions, np.zeros(n, np.int64), f"{count}", out=tmp_path / f"{count}")
        sizes.append(predictions.nbytes)
        del predictions
        tracemalloc.start()
        import_runs(wanted)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < (sizes[1] - sizes[0]) / 3


def test_no_file_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file is given to import"):
        import_runs(Import(predictions=[], labels=None, out=tmp_path / "store"))
