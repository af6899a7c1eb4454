"""What `repair` does: damaged rows are kept aside, their runs open again, and all else is untouched."""

import errno
import json
import os
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from airbench_var.errors import StorageError, StoreDamagedError, StoreRefusedError
from airbench_var.store import Store, damage, repair, verify
from tests.faults import inject as faults

from .fake_campaign import MATRICES, matrix_bytes, open_writer, outcome, overwrite, run_campaign
from .test_create import everything_in
from .test_verification import change_row, cut

N_RUNS = 6
FILES = ("runs.npy", *MATRICES)

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(damage, "RECHECK_S", 0)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    run_campaign(tmp_path / "store", N_RUNS)
    return tmp_path / "store"


@pytest.fixture
def whole(store: Path) -> dict[str, bytes]:
    return matrix_bytes(store)


def finish(store: Path) -> dict[str, bytes]:
    run_campaign(store, N_RUNS)
    assert verify(store).faults == ()
    return matrix_bytes(store)


def test_nothing_is_written_to_a_whole_store(store: Path) -> None:
    before = everything_in(store)
    done = repair(store)
    assert (done.faults, done.reopened, done.quarantine) == ((), (), None)
    assert everything_in(store) == before


def test_only_the_damaged_runs_are_open_again(store: Path, whole: dict[str, bytes]) -> None:
    change_row(store, "alpha/predicted.npy", 1)
    change_row(store, "runs.npy", 4)
    before = everything_in(store)
    done = repair(store)
    assert done.reopened == (1, 4)
    after = everything_in(store)
    changed = {name for name in before if after[name] != before[name]}
    assert changed - {"lock"} == {"runs.npy", "events.jsonl"}
    old, new = (
        np.frombuffer(files["runs.npy"][512:], np.uint8).reshape(N_RUNS, -1) for files in (before, after)
    )
    assert np.flatnonzero((old != new).any(axis=1)).tolist() == [1, 4]
    with open_writer(store, N_RUNS) as writer:
        assert writer.open_ids(N_RUNS) == [1, 4]
    assert finish(store) == whole


def test_the_quarantine_holds_what_was_there(store: Path) -> None:
    change_row(store, "beta-tta/predicted.npy", 2)
    change_row(store, "runs.npy", 5)
    before = {file: np.load(store / file) for file in FILES}
    box = repair(store).quarantine
    assert box == store / "quarantine" / "1"
    assert np.load(box / "run_ids.npy").tolist() == [2, 5]
    for file in FILES:
        assert np.load(box / file).tobytes() == before[file][[2, 5]].tobytes()
    listed = json.loads((box / "faults.json").read_text())["faults"]
    assert [(fault["file"], fault["run_id"]) for fault in listed] == [
        ("runs.npy", 5),
        ("beta-tta/predicted.npy", 2),
    ]
    event = json.loads((store / "events.jsonl").read_text().splitlines()[-1])
    assert (event["kind"], event["reopened"], event["quarantine"]) == ("repair", 2, "1")


def test_a_second_repair_has_a_box_of_its_own(store: Path) -> None:
    for k in (1, 2):
        change_row(store, "runs.npy", k)
        assert repair(store).quarantine == store / "quarantine" / str(k)


def matrix_header_zeroed(store: Path) -> None:
    overwrite(store / "alpha/correct.npy", bytes(512))


def runs_header_zeroed(store: Path) -> None:
    overwrite(store / "runs.npy", bytes(512))


def runs_header_says_less(store: Path) -> None:
    text = (store / "runs.npy").read_bytes()[:512]
    overwrite(store / "runs.npy", text.replace(b"(6,)", b"(2,)"))


def matrix_header_says_more(store: Path) -> None:
    text = (store / "beta-tta/correct.npy").read_bytes()[:512]
    overwrite(store / "beta-tta/correct.npy", text.replace(b"(6, 75)", b"(9, 75)"))


def garbage_after_runs(store: Path) -> None:
    with (store / "runs.npy").open("ab") as file:
        file.write(b"garbage" * 1000)


def manifest_cut(store: Path) -> None:
    cut(store / "manifest.json", 200)


def manifest_gone(store: Path) -> None:
    (store / "manifest.json").unlink()


def copy_gone(store: Path) -> None:
    (store / "manifest.copy.json").unlink()


@pytest.mark.parametrize(
    "harm",
    [
        matrix_header_zeroed,
        runs_header_zeroed,
        runs_header_says_less,
        matrix_header_says_more,
        garbage_after_runs,
        manifest_cut,
        manifest_gone,
        copy_gone,
    ],
)
def test_what_follows_from_the_rest_is_restored_and_no_run_lost(
    store: Path, harm: Callable[[Path], None]
) -> None:
    files = everything_in(store)
    harm(store)
    done = repair(store)
    assert done.reopened == ()
    assert verify(store).faults == ()
    after = everything_in(store)
    assert {name for name in files if after[name] != files[name]} <= {"lock", "events.jsonl"}
    assert done.quarantine is not None
    kept = everything_in(done.quarantine)
    assert ("runs.npy.tail" in kept) == (harm is garbage_after_runs)
    if harm is garbage_after_runs:
        assert kept["runs.npy.tail"] == b"garbage" * 1000


def lost_matrix(store: Path) -> None:
    (store / "alpha/predicted.npy").unlink()


def lost_folder(store: Path) -> None:
    for path in (store / "alpha").iterdir():
        path.unlink()
    (store / "alpha").rmdir()


def lost_runs(store: Path) -> None:
    (store / "runs.npy").unlink()


def empty_runs(store: Path) -> None:
    cut(store / "runs.npy", 0)


@pytest.mark.parametrize("harm", [lost_matrix, lost_folder, lost_runs, empty_runs])
def test_a_lost_file_opens_every_run(
    store: Path, whole: dict[str, bytes], harm: Callable[[Path], None]
) -> None:
    harm(store)
    assert repair(store).reopened == tuple(range(N_RUNS))
    assert finish(store) == whole


@pytest.mark.parametrize("file", FILES)
def test_a_file_cut_short_anywhere_opens_the_runs_beyond(
    store: Path, whole: dict[str, bytes], file: str
) -> None:
    text = (store / file).read_bytes()
    size = (len(text) - 512) // N_RUNS
    for rows in range(N_RUNS):
        text = (store / file).read_bytes()  # attempt and worker of a run trained again are news
        for length in {512 + rows * size - 1, 512 + rows * size, 512 + rows * size + 1}:
            cut(store / file, length)
            zeros_at_end = text[:length] + bytes(len(text) - length)
            damaged = [
                run_id
                for run_id in range(N_RUNS)
                if zeros_at_end[512 + run_id * size :][:size] != text[512 + run_id * size :][:size]
            ]
            assert len(damaged) >= N_RUNS - rows - 1
            assert repair(store).reopened == tuple(damaged)
            assert finish(store) == whole


def test_damaged_labels_are_set_aside_and_written_again_by_training(
    store: Path, whole: dict[str, bytes]
) -> None:
    labels = (store / "alpha/labels.npy").read_bytes()
    change_row(store, "alpha/labels.npy", 3)
    wrong = (store / "alpha/labels.npy").read_bytes()
    done = repair(store)
    assert (done.reopened, done.labels_missing) == ((), ("alpha/labels.npy",))
    assert done.quarantine is not None
    assert (done.quarantine / "alpha/labels.npy").read_bytes() == wrong
    with pytest.raises(StoreDamagedError, match=r"alpha/labels\.npy: the file is missing; training goes on"):
        Store.open(store)
    again = repair(store)
    assert (again.quarantine, again.labels_missing) == (None, ("alpha/labels.npy",))
    assert finish(store) == whole
    assert (store / "alpha/labels.npy").read_bytes() == labels


def test_a_store_that_is_being_written_is_left_alone(store: Path) -> None:
    with open_writer(store, N_RUNS):
        change_row(store, "runs.npy", 0)
        before = everything_in(store)
        with pytest.raises(StoreRefusedError, match="another campaign is writing"):
            repair(store)
        assert everything_in(store) == before


def harm_much(store: Path) -> None:
    change_row(store, "alpha/predicted.npy", 1)
    change_row(store, "runs.npy", 4)
    matrix_header_zeroed(store)
    garbage_after_runs(store)
    manifest_cut(store)


def test_a_repair_that_fails_anywhere_loses_nothing_and_can_be_repeated(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    run_campaign(tmp_path / "counted", N_RUNS)
    harm_much(tmp_path / "counted")
    with faults.counting(faults.no_space, 0) as calls:
        repair(tmp_path / "counted")
    for at in range(1, len(calls) + 1):
        store = tmp_path / f"store{at}"
        run_campaign(store, N_RUNS)
        harm_much(store)
        with suppress(StorageError), faults.counting(faults.no_space, at):
            repair(store)  # making a folder that is there already may fail
        if verify(store).faults:
            repair(store)
        assert verify(store).faults == ()
        assert set(Store.open(store).committed_ids()) == {0, 2, 3, 5}
        assert finish(store) == whole


def test_random_damage_is_repaired_and_trained_again_to_the_same_bytes(
    store: Path, whole: dict[str, bytes]
) -> None:
    rng = random.Random(0)
    for _ in range(40):
        for file in rng.sample(FILES, rng.randint(1, 3)):
            data = bytearray((store / file).read_bytes())
            start = rng.randrange(len(data))
            data[start : start + 512] = os.urandom(len(data[start : start + 512]))
            overwrite(store / file, data)
        before = {run_id for run_id in range(N_RUNS) if rows_are_whole(store, run_id, whole)}
        reopened = set(repair(store).reopened)
        assert reopened <= set(range(N_RUNS)) - (before & records_are_whole(store))
        assert finish(store) == whole


def rows_are_whole(store: Path, run_id: int, whole: dict[str, bytes]) -> bool:
    for file in MATRICES:
        size = (len(whole[file]) - 512) // N_RUNS
        rows = slice(512 + run_id * size, 512 + (run_id + 1) * size)
        if (store / file).read_bytes()[rows] != whole[file][rows]:
            return False
    return True


def records_are_whole(store: Path) -> set[int]:
    return set(Store.open(store).committed_ids().tolist())


def test_a_result_that_comes_for_a_reopened_run_is_taken(store: Path) -> None:
    change_row(store, "alpha/predicted.npy", 1)
    repair(store)
    with open_writer(store, N_RUNS) as writer:
        writer.commit([outcome(1)])
        assert writer.committed_count == N_RUNS


def test_records_lost_with_their_header_are_named(store: Path, whole: dict[str, bytes]) -> None:
    data = (store / "runs.npy").read_bytes()
    (store / "runs.npy").write_bytes(bytes(512) + data[512 : 512 + 3 * 128])
    assert repair(store).reopened == (3, 4, 5)
    assert finish(store) == whole


def test_a_row_that_the_disk_cannot_read_is_damage_and_can_be_repaired(
    store: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, preadv = 512 + 2 * 600, os.preadv

    def fails_there(fd: int, buffers: list[memoryview], offset: int) -> int:
        file = str(Path(f"/proc/self/fd/{fd}").readlink())
        if file == str(store / "beta-tta/predicted.npy") and offset <= bad < offset + len(buffers[0]):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return preadv(fd, buffers, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "preadv", fails_there)
        assert [(f.file, f.run_id) for f in verify(store).faults] == [("beta-tta/predicted.npy", 2)]
        assert repair(store).reopened == (2,)
    assert finish(store) == whole


def test_a_repair_leaves_the_holes_of_a_shard(tmp_path: Path) -> None:
    own, file = range(1, 20_000, 400), tmp_path / "beta-tta/predicted.npy"
    with open_writer(tmp_path, 20_000, own=own) as writer:
        writer.commit([outcome(run_id) for run_id in own])
    before = matrix_bytes(tmp_path)
    overwrite(file, bytes(512))
    assert repair(tmp_path).reopened == ()
    os.truncate(file, 512 + 600 * 19_000)
    assert repair(tmp_path).reopened == tuple(range(19_201, 20_000, 400))
    assert file.stat().st_blocks * 512 < file.stat().st_size / 10
    with open_writer(tmp_path, 20_000, own=own) as writer:
        writer.commit([outcome(run_id) for run_id in own if run_id in writer.open_ids(20_000)])
    assert matrix_bytes(tmp_path) == before


def test_a_repair_that_was_cut_short_leaves_no_box_that_looks_whole(store: Path) -> None:
    change_row(store, "runs.npy", 1)
    shutil.copytree(store, store.parent / "counted")
    with faults.counting(faults.no_space, 0) as calls:
        repair(store.parent / "counted")
    at = calls.index("posix_fallocate") + 1  # room for the rows in the quarantine
    with faults.counting(faults.no_space, at), pytest.raises(StorageError):
        repair(store)
    assert [path.name for path in (store / "quarantine").iterdir()] == ["1.filling"]
    assert repair(store).quarantine == store / "quarantine" / "1"
    assert [path.name for path in (store / "quarantine").iterdir()] == ["1"]


@pytest.mark.parametrize("at", range(1, 9))
def test_labels_are_written_again_whole_or_not_at_all(store: Path, whole: dict[str, bytes], at: int) -> None:
    labels = (store / "alpha/labels.npy").read_bytes()
    (store / "alpha/labels.npy").unlink()
    with suppress(StorageError), faults.counting(faults.no_space, at):
        run_campaign(store, N_RUNS)
    assert not (store / "alpha/labels.npy").exists() or (store / "alpha/labels.npy").read_bytes() == labels
    assert finish(store) == whole
