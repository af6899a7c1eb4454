"""Arrays in an archive: which is meant, and damage in it."""

import shutil
import zipfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from airbench_var.errors import DataError, UsageError
from airbench_var.importing import Import, import_runs
from airbench_var.importing.formats import open_file
from tests.importing.inputs import R, Runs, some_runs

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")


@pytest.fixture
def runs() -> Runs:
    return some_runs()


def wanted(path: Path, **options: object) -> Import:
    folder = path.parent
    return Import(**({"predictions": path, "labels": path, "out": folder / "store"} | options))  # type: ignore[arg-type]


def test_predictions_and_labels_in_one_file(runs: Runs, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, predicted=runs.classes_RN, labels=runs.labels_N, loss=np.zeros(R))
    assert import_runs(wanted(path)).test_sets[0].kind == "classes"


def test_several_candidates_are_named_with_the_option(runs: Runs, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, plain=runs.classes_RN, tta=runs.logits_RNK, labels=runs.labels_N)
    with pytest.raises(UsageError, match=r"plain \(int64 \(12, 203\)\), tta .*labels .*--key plain"):
        import_runs(wanted(path))
    assert import_runs(wanted(path, keys=["tta"])).test_sets[0].kind == "logits"
    with pytest.raises(UsageError, match=r"has no 'logits'. It has plain"):
        import_runs(wanted(path, keys=["logits"]))
    with pytest.raises(
        DataError, match=r"plain is classes, .*tta logits: all test sets of a store hold the same"
    ):
        import_runs(wanted(path, keys=["plain", "tta"], out=tmp_path / "both"))


def test_correctness_beside_classes_must_agree_with_them(runs: Runs, tmp_path: Path) -> None:
    path, right_RN = tmp_path / "a.npz", runs.right_RN.copy()
    np.savez(path, predicted=runs.classes_RN, correct=right_RN, labels=runs.labels_N)
    assert import_runs(wanted(path)).test_sets[0].kind == "classes"
    right_RN[7, 11] ^= True
    np.savez(path, predicted=runs.classes_RN, correct=right_RN, labels=runs.labels_N)
    with pytest.raises(DataError, match=r"a.npz, correct: run 7, example 11: by these labels .* not so"):
        import_runs(wanted(path, out=tmp_path / "other"))
    np.savez(path, predicted=runs.classes_RN, correct=right_RN[:, 1:], labels=runs.labels_N)
    with pytest.raises(DataError, match="is of the same runs and examples"):
        import_runs(wanted(path, out=tmp_path / "other"))


@pytest.mark.parametrize("kind", ["logits", "classes"])
def test_what_the_file_says_was_right_must_agree(kind: str, runs: Runs, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    arrays = {kind: runs.of_kind(kind), "correct": runs.right_RN}
    for options in ({}, {"keys": [kind]}):
        np.savez(path, labels=np.roll(runs.labels_N, 1), **arrays)
        with pytest.raises(DataError, match=r"a.npz, correct: run 0, example \d+: by these labels"):
            import_runs(wanted(path, **options))
        np.savez(path, labels=runs.labels_N, **arrays)
        assert import_runs(wanted(path, **options)).test_sets[0].kind == kind
        shutil.rmtree(tmp_path / "store")


def test_where_the_largest_logits_are_equal_either_was_right(tmp_path: Path) -> None:
    logits_RNK = np.array([[[1, 1, 0], [0, 1, 2]]] * 2, np.float32)
    path = tmp_path / "a.npz"
    for said_N, agrees in (([1, 1], True), ([0, 1], True), ([1, 0], False)):
        np.savez(path, logits=logits_RNK, correct=np.array([said_N] * 2, bool), labels=np.array([1, 2]))
        out = tmp_path / f"store{said_N}"
        with nullcontext() if agrees else pytest.raises(DataError, match="run 0, example 1"):
            import_runs(wanted(path, out=out))


def test_of_several_arrays_none_is_known_to_be_what_was_right_of(runs: Runs, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=runs.logits_RNK, b=-runs.logits_RNK, correct=runs.right_RN, labels=runs.labels_N)
    assert import_runs(wanted(path, keys=["b"])).added == R


def test_objects_are_named_and_never_loaded(runs: Runs, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=runs.classes_RN, meta=np.array([{}], object), labels=runs.labels_N)
    assert import_runs(wanted(path)).added == R
    with pytest.raises(DataError, match=r"meta cannot be predictions: .*holds Python objects"):
        import_runs(wanted(path, keys=["meta"], out=tmp_path / "other"))


def test_a_changed_byte_is_found_by_the_checksum_of_the_archive(runs: Runs, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=runs.classes_RN, labels=runs.labels_N)
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo("a.npy").header_offset
    data = bytearray(path.read_bytes())
    data[offset + 4000] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a.npz, a is not in a .npz file that can be read: Bad CRC-32"):
        import_runs(wanted(path))
    assert not (tmp_path / "store").exists()


def test_blocks_are_read_in_any_order(runs: Runs, tmp_path: Path) -> None:
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", a=runs.classes_RN)
        with open_file(tmp_path / "a.npz") as contents:
            for rows in (range(7, 9), range(0, 3), range(11, 12), range(2, 12)):
                read = contents.arrays["a"].read(rows)
                np.testing.assert_array_equal(read, runs.classes_RN[rows.start : rows.stop])


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3), np.int64))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.write(tmp_path / "a.npy", "a.npy")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.write(tmp_path / "a.npy", "a.npy")
    with pytest.raises(DataError, match=r"a.npz has a twice"), open_file(tmp_path / "a.npz"):
        pass
