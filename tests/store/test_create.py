"""Folders that a store must not touch, and folders that it may take over."""

import subprocess
import sys
from pathlib import Path

import pytest

from airbench_var.errors import StorageError, StoreDamagedError, StoreRefusedError, UsageError
from airbench_var.store import Manifest, Store, describe_test_set, repair

from .fake_campaign import CLASSES, IDENTITY, LABELS, open_writer, run_campaign


def everything_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    run_campaign(tmp_path / "a" / "b" / "store", 2)
    assert Store.open(tmp_path / "a" / "b" / "store").committed_ids().tolist() == [0, 1]


def test_an_empty_folder_and_a_link_to_one_are_taken(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    run_campaign(tmp_path / "link", 2)
    assert Store.open(tmp_path / "empty").committed_ids().tolist() == [0, 1]


def test_a_strangers_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("dear")
    (tmp_path / "runs.npy").write_text("mine")
    before = everything_in(tmp_path)
    with pytest.raises(
        StoreRefusedError, match=r"not a store and not empty: it holds runs\.npy, thesis\.tex"
    ):
        open_writer(tmp_path, 2)
    with pytest.raises(StoreRefusedError, match="is no store"):
        Store.open(tmp_path)
    assert everything_in(tmp_path) == before


def test_a_store_that_lost_its_manifest_is_left_alone(tmp_path: Path) -> None:
    run_campaign(tmp_path / "store", 2)
    (tmp_path / "store" / "manifest.json").unlink()
    before = everything_in(tmp_path)
    for open_it in (lambda: open_writer(tmp_path / "store", 2), lambda: Store.open(tmp_path / "store")):
        with pytest.raises(StoreDamagedError, match=r"manifest\.json: the file is missing"):
            open_it()
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("manifest", [b"{", Manifest.new(IDENTITY, {}).encode()])
def test_a_strangers_file_in_an_unfinished_store_is_left_alone(tmp_path: Path, manifest: bytes) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "manifest.json.new").write_bytes(manifest)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "labels.npy").write_text("dear")
    (tmp_path / "store" / "alpha").symlink_to("../theirs")
    with pytest.raises(StoreRefusedError, match="something else in it: alpha"):
        open_writer(tmp_path / "store", 2)
    assert (tmp_path / "theirs" / "labels.npy").read_text() == "dear"


def test_a_manifest_that_is_a_link_to_nowhere_is_damage_and_nothing_is_made_anew(tmp_path: Path) -> None:
    """As an archive leaves it that keeps the content of files elsewhere."""
    run_campaign(tmp_path, 2)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "manifest.json").symlink_to("nowhere")
    before = (tmp_path / "runs.npy").read_bytes()
    with pytest.raises(StoreDamagedError, match=r"manifest\.json: the file is missing"):
        open_writer(tmp_path, 2)
    assert (tmp_path / "runs.npy").read_bytes() == before
    repair(tmp_path)
    assert Store.open(tmp_path).committed_ids().tolist() == [0, 1]


def test_a_store_with_runs_whose_last_name_was_lost_is_finished_and_not_made_anew(tmp_path: Path) -> None:
    run_campaign(tmp_path, 2)
    (tmp_path / "manifest.json").rename(tmp_path / "manifest.json.new")
    with open_writer(tmp_path, 3) as writer:
        assert writer.committed_ids() == [0, 1]


@pytest.mark.parametrize("inside", ["", "below"])
def test_a_file_is_left_alone(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreRefusedError, match="is a file"):
        open_writer(tmp_path / "file" / inside, 2)
    assert everything_in(tmp_path) == {"file": b"mine"}


def test_a_circle_of_links_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for open_it in (lambda: open_writer(tmp_path / "a", 2), lambda: Store.open(tmp_path / "a")):
        with pytest.raises(StorageError, match="Too many levels of symbolic links"):
            open_it()


@pytest.mark.parametrize("text", [b"", b'{"format": "airbench_var store", "for'])
def test_half_a_manifest_is_damage_and_nothing_is_written(tmp_path: Path, text: bytes) -> None:
    run_campaign(tmp_path, 2)
    (tmp_path / "manifest.json").write_bytes(text)
    before = everything_in(tmp_path)
    with pytest.raises(StoreDamagedError, match="it is not whole"):
        open_writer(tmp_path, 2)
    assert everything_in(tmp_path) == before


def test_another_campaign_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    run_campaign(tmp_path, 2)
    before = everything_in(tmp_path)
    with pytest.raises(StoreRefusedError, match="seed: 1 in the store, 2 now"):
        open_writer(tmp_path, 4, identity=IDENTITY | {"seed": 2})
    assert everything_in(tmp_path) == before


def test_labels_that_are_not_the_described_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreRefusedError, match="the labels of test set 'alpha'"):
        open_writer(tmp_path / "store", 2, labels=LABELS | {"alpha": LABELS["alpha"][::-1]})
    assert everything_in(tmp_path) == {}


def test_more_test_sets_than_a_record_holds_are_refused(tmp_path: Path) -> None:
    labels = {f"shifted{i}": LABELS["alpha"] for i in range(40)}
    test_sets = [describe_test_set(name, labels_N, CLASSES) for name, labels_N in labels.items()]
    with pytest.raises(StoreRefusedError, match="40 test sets do not fit one record"):
        open_writer(tmp_path / "store", 2, identity=IDENTITY | {"test_sets": test_sets}, labels=labels)
    assert everything_in(tmp_path) == {}


@pytest.mark.parametrize("capacity", [-1, 0, 10**22])
def test_an_impossible_number_of_runs_is_refused(tmp_path: Path, capacity: int) -> None:
    with pytest.raises(UsageError, match=f"room for 1 to 1,000,000,000,000 runs, not {capacity}"):
        open_writer(tmp_path / "store", capacity)
    assert everything_in(tmp_path) == {}


@pytest.mark.parametrize("name", ["a\nb", "a\x00", "\x85", "\ud800", "\ufffe"])
def test_a_class_name_that_cannot_be_shown_is_refused(tmp_path: Path, name: str) -> None:
    described = describe_test_set("alpha", LABELS["alpha"], (*CLASSES[:-1], name))
    with pytest.raises(UsageError, match="has a character that cannot be shown"):
        open_writer(
            tmp_path / "store", 2, identity=IDENTITY | {"test_sets": [described, *IDENTITY["test_sets"][1:]]}
        )
    assert not (tmp_path / "store").exists()


def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    # In a process of its own, which gives up root's right to write everywhere.
    script = (
        "import os, sys; from pathlib import Path; import fake_campaign\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: fake_campaign.open_writer(Path(sys.argv[1]), 2)\n"
        "except fake_campaign.AirbenchVarError as error: print(error); sys.exit(error.exit_code)\n"
    )
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, closed / "store"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
        )
    finally:
        closed.chmod(0o700)
    assert done.returncode == StorageError.exit_code, done.stderr
    assert "Permission denied" in done.stdout
    assert everything_in(tmp_path) == {"closed": b""}
