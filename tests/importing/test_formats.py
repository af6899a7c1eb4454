"""Whatever the format: the bytes of the store are those that the .npy file of the same runs gives."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airbench_var.errors import DataError, StoreRefusedError
from airbench_var.importing import Import, import_runs, rows
from airbench_var.importing.formats import OPENERS, open_file
from airbench_var.store import Store
from tests.importing.inputs import R, Runs, some_runs
from tests.importing.writers import CASES, WRITERS, write_as, write_labels

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")


def as_read(array: np.ndarray) -> np.ndarray:
    """The array in the type that text has: .json and .csv hold numbers, not 32 bits of one."""
    return array.astype(np.float64) if array.dtype.kind == "f" else array


@pytest.fixture(params=CASES, ids=" ".join)
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def runs() -> Runs:
    return some_runs()


@pytest.fixture
def wanted(case: tuple[str, str], runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    """The wish to import one kind of predictions in one format, five runs at a time."""
    array = as_read(runs.of_kind(case[1]))
    monkeypatch.setattr(rows, "BLOCK_BYTES", 5 * array[0].nbytes)
    np.save(tmp_path / "labels.npy", runs.labels_N)
    return Import(
        predictions=write_as(case[0], tmp_path, array),
        labels=tmp_path / "labels.npy",
        out=tmp_path / "store",
    )


def matrices(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (store / "test").iterdir()}


def test_the_store_is_that_of_the_npy_file(
    wanted: Import, case: tuple[str, str], runs: Runs, tmp_path: Path
) -> None:
    done = import_runs(wanted)
    assert (done.added, [one.kind for one in done.test_sets]) == (R, [case[1]])
    np.save(tmp_path / "same.npy", as_read(runs.of_kind(case[1])))
    same = replace(wanted, predictions=tmp_path / "same.npy", out=tmp_path / "same")
    import_runs(same)
    assert matrices(wanted.out) == matrices(same.out)
    np.testing.assert_array_equal(Store.open(wanted.out).correct_RN("test"), runs.right_RN)
    assert import_runs(replace(same, out=wanted.out)).added == 0  # the array counts, not how it is written


def test_the_same_command_again_does_nothing_and_other_runs_are_refused(
    wanted: Import, case: tuple[str, str], tmp_path: Path
) -> None:
    import_runs(wanted)
    assert import_runs(wanted).added == 0
    write_as(case[0], tmp_path, as_read(some_runs(1).of_kind(case[1])))
    with pytest.raises(StoreRefusedError, match=r"imported\.sha256"):
        import_runs(wanted)


def test_of_a_file_that_changes_between_the_passes_nothing_is_committed_that_was_not_checked(
    wanted: Import, case: tuple[str, str], runs: Runs, tmp_path: Path
) -> None:
    """A small file may be in a buffer as a whole: then it is committed as it was."""
    changed = as_read(runs.of_kind(case[1])).copy()
    changed[7] = changed[8]

    def meddling(blocks: list[range], name: str) -> list[range]:
        if name == "importing":
            assert isinstance(wanted.predictions, Path)
            (tmp_path / "other").mkdir()
            new = write_as(case[0], tmp_path / "other", changed)
            wanted.predictions.write_bytes(new.read_bytes())
        return blocks

    suffix = WRITERS[case[0]][0]
    is_held = suffix in (".pkl", ".npz", ".parquet")
    with suppress(DataError) if is_held else pytest.raises(DataError, match="predictions"):
        import_runs(wanted, meddling)  # type: ignore[arg-type]
    store = Store.open(wanted.out)
    ids = store.committed_ids()
    assert is_held or set(ids) <= set(range(5))
    np.testing.assert_array_equal(store.correct_RN("test"), runs.right_RN[ids])


def test_a_file_cut_anywhere_is_refused_by_name(wanted: Import, case: tuple[str, str]) -> None:
    path = wanted.predictions
    assert isinstance(path, Path)
    whole = path.read_bytes()
    for length in (0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 9):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"predictions\."):
            import_runs(wanted)
        assert not wanted.out.exists()


@pytest.mark.parametrize("suffix", OPENERS)
@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"thesis", b"\x80\x04thesis", b"PK\x03\x04thesis", b"PAR1thesisPAR1"]
)
def test_what_is_no_such_file_is_refused_by_name(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    np.save(tmp_path / "labels.npy", np.array([0, 1]))
    with pytest.raises(DataError, match=rf"file\{suffix}"):
        import_runs(Import(predictions=path, labels=tmp_path / "labels.npy", out=tmp_path / "store"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda path: path.write_text("1,2"),
            r"file.txt: what is in it does not follow from its name.*\.csv.*read_csv.*numpy\.loadtxt",
        ),
        (lambda path: None, "cannot be read: No such file"),
        (os.mkfifo, "is not a file"),
        (Path.mkdir, "is not a file"),
    ],
)
def test_what_is_no_file_of_ours(make: object, message: str, tmp_path: Path) -> None:
    make(tmp_path / "file.txt")  # type: ignore[operator]
    with pytest.raises(DataError, match=message), open_file(tmp_path / "file.txt"):
        pass


def test_labels_come_in_every_format(runs: Runs, tmp_path: Path) -> None:
    np.save(tmp_path / "predictions.npy", runs.classes_RN)
    for suffix in OPENERS:
        path = tmp_path / f"labels{suffix}"
        write_labels(path, runs.labels_N)
        out = tmp_path / f"store{suffix}"
        assert import_runs(Import(predictions=tmp_path / "predictions.npy", labels=path, out=out)).added == R
        np.testing.assert_array_equal(Store.open(out).labels("test"), runs.labels_N)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pkl", ".json", ".csv", ".parquet"])
def test_torch_is_not_loaded_for_other_formats(suffix: str, tmp_path: Path) -> None:
    case = next(case for case, (end, _, _) in WRITERS.items() if end == suffix)
    write_as(case, tmp_path, np.zeros((2, 3), np.int64))
    code = (
        "import sys, pathlib\nfrom airbench_var.importing.formats import open_file\n"
        "with open_file(pathlib.Path(sys.argv[1])) as contents:\n"
        "    assert [rows.shape for rows in contents.arrays.values()] == [(2, 3)]\n"
        "print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / f"predictions{suffix}")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("suffix", [".npz", ".pt", ".parquet"])
def test_memory_does_not_grow_with_the_file(suffix: str, tmp_path: Path) -> None:
    """Of 32 MB of predictions, a tenth is more than the records and the noise of the allocator."""
    script = [sys.executable, "-m", "tests.importing.peak_memory", str(tmp_path), suffix]
    root = Path(__file__).parents[2]
    done = subprocess.run(script, cwd=root, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["growth"] < report["array"] / 10
