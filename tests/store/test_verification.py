"""What `verify` finds: every fault by file and run, also where a file is damaged as a whole."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from airbench_var.errors import StoreDamagedError, StoreRefusedError, UsageError
from airbench_var.store import Fault, damage, verify
from airbench_var.store.checked import DIFFERS

from .fake_campaign import MATRICES, failure, open_writer, outcome, overwrite, run_campaign
from .test_create import everything_in

N_RUNS = 6  # 0 to 3 are committed, 4 failed, 5 is open


RECORD_BYTES = 128  # with two test sets


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(damage, "RECHECK_S", 0)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    with open_writer(path, N_RUNS) as writer:
        writer.commit([*map(outcome, range(4)), failure(4)])
    return path


def change_row(store: Path, file: str, row: int) -> None:
    array = np.load(store / file, mmap_mode="r+")
    array[row : row + 1].view(np.uint8)[..., -1] ^= 1
    array.flush()


def cut(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


def test_a_whole_store(store: Path) -> None:
    before = everything_in(store)
    found = verify(str(store))
    assert found.faults == ()
    assert (found.capacity, found.committed, found.failed, found.open) == (6, 4, 1, 1)
    assert found.bytes_read == 6 * RECORD_BYTES + 4 * (2 + 13 + 75 + 600)
    assert found.to_json()["whole"] is True
    assert everything_in(store) == before


def test_every_fault_is_named_by_file_and_run(store: Path) -> None:
    change_row(store, "runs.npy", 0)
    change_row(store, "alpha/correct.npy", 1)
    change_row(store, "beta-tta/predicted.npy", 1)
    change_row(store, "beta-tta/predicted.npy", 3)
    change_row(store, "runs.npy", 5)
    before = everything_in(store)
    found = verify(store)
    assert sorted(found.faults) == [
        ("alpha/correct.npy", 1, DIFFERS),
        ("beta-tta/predicted.npy", 1, DIFFERS),
        ("beta-tta/predicted.npy", 3, DIFFERS),
        ("runs.npy", 0, DIFFERS),
        ("runs.npy", 5, DIFFERS),
    ]
    assert (found.committed, found.failed, found.open) == (3, 1, 0)
    assert found.to_json()["faults"][0] == {"file": "runs.npy", "run_id": 0, "what": DIFFERS}
    assert everything_in(store) == before


def test_rows_of_open_and_failed_runs_mean_nothing(store: Path) -> None:
    for run_id in (4, 5):
        change_row(store, "alpha/predicted.npy", run_id)
    assert verify(store).faults == ()


@pytest.mark.parametrize("file", MATRICES)
def test_what_is_left_of_a_short_matrix_is_read(store: Path, file: str) -> None:
    width = np.load(store / file).shape[1]
    cut(store / file, 512 + 2 * width)
    files, runs = split(verify(store).faults)
    assert files == [(file, None, f"{4 * width} bytes are missing at its end")]
    assert runs == [(file, 2, DIFFERS), (file, 3, DIFFERS)]


def split(faults: tuple[Fault, ...]) -> tuple[list[Fault], list[Fault]]:
    return [f for f in faults if f.run_id is None], [f for f in faults if f.run_id is not None]


def test_what_is_left_of_a_short_runs_file_is_read(store: Path) -> None:
    cut(store / "runs.npy", 512 + 2 * RECORD_BYTES + 1)
    files, runs = split(verify(store).faults)
    assert [file for file, *_ in files] == ["runs.npy"]
    assert runs == [("runs.npy", run_id, DIFFERS) for run_id in (2, 3, 4, 5)]


@pytest.mark.parametrize("file", MATRICES)
@pytest.mark.parametrize("header", [bytes(512), b"\x93NUMPY\x02"])
def test_rows_behind_a_damaged_header_are_read(store: Path, file: str, header: bytes) -> None:
    overwrite(store / file, header)
    [fault] = verify(store).faults
    assert (fault.file, fault.run_id) == (file, None)
    assert "its header does not say" in fault.what


def test_a_missing_matrix_damages_every_committed_run(store: Path) -> None:
    (store / "alpha/predicted.npy").unlink()
    files, runs = split(verify(store).faults)
    assert files == [("alpha/predicted.npy", None, "the file is missing")]
    assert [run_id for _, run_id, _ in runs] == [0, 1, 2, 3]


@pytest.mark.parametrize("manifest", ["manifest.json", "manifest.copy.json"])
@pytest.mark.parametrize(
    "harm",
    [
        Path.unlink,
        lambda path: cut(path, 100),
        lambda path: path.write_bytes(
            path.read_bytes().replace(b'"airbench_var store"', b'"birbench_var store"')
        ),
    ],
)
def test_one_damaged_manifest_is_named(store: Path, manifest: str, harm: Callable[[Path], None]) -> None:
    harm(store / manifest)
    [fault] = verify(store).faults
    assert (fault.file, fault.run_id) == (manifest, None)


def test_two_damaged_manifests_end_it(store: Path) -> None:
    for name in ("manifest.json", "manifest.copy.json"):
        cut(store / name, 100)
    with pytest.raises(StoreDamagedError, match=r"manifest\.json: it is not whole"):
        verify(store)


def test_manifests_of_two_stores_end_it(store: Path, tmp_path: Path) -> None:
    """Taken for the right one, the wrong one would condemn every run."""
    run_campaign(tmp_path / "other", 2)
    (store / "manifest.json").write_bytes((tmp_path / "other" / "manifest.json").read_bytes())
    with pytest.raises(StoreDamagedError, match=r"it and manifest\.copy\.json are of different stores"):
        verify(store)


def test_damaged_labels_are_named(store: Path) -> None:
    change_row(store, "alpha/labels.npy", 3)
    (store / "beta-tta/labels.npy").unlink()
    assert [(fault.file, fault.run_id) for fault in verify(store).faults] == [
        ("alpha/labels.npy", None),
        ("beta-tta/labels.npy", None),
    ]


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such store"):
        verify(tmp_path / "nowhere")
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(StoreRefusedError, match="is no store"):
        verify(tmp_path)
    (tmp_path / "manifest.json.new").touch()
    with pytest.raises(StoreRefusedError, match="one never finished"):
        verify(tmp_path)
