"""The command `report`: what it writes, what it refuses, and which images it takes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from airbench_var import cli
from airbench_var.cli import reporting
from airbench_var.data.dataset import Dataset, Split
from airbench_var.errors import DataError
from airbench_var.report.figures import canvas
from airbench_var.report.html import BEGINNING
from airbench_var.store import Store
from tests.report.stores import correct_RN, make_store

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Too few runs for figures, so that a page takes no time."""
    return make_store(tmp_path_factory.mktemp("report") / "store", {"t": correct_RN(1)}, predicted=False)


def test_it_writes_a_page_and_replaces_an_older_one(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.html"
    assert cli.main(["report", str(store), "--html", str(out), "--json"]) == 0
    first = out.read_bytes()
    written = json.loads(capsys.readouterr().out)
    assert written["bytes"] == len(first)
    assert written["notes"] == ["the store does not say which images its runs were tested on"]
    out.write_text(BEGINNING + "an older one")
    assert cli.main(["report", str(store), "--html", str(out)]) == 0
    assert out.read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["out.html"]


def test_a_path_that_is_no_text_is_written_with_a_sign(store: Path, tmp_path: Path) -> None:
    named, out = tmp_path / "runs-\udcff", tmp_path / "out.html"
    try:
        shutil.copytree(store, named)
    except OSError:
        pytest.skip("this filesystem has names of text only")
    assert cli.main(["report", str(named), "--html", str(out), "--json"]) == 0
    assert "runs-?" in out.read_text()


def test_what_is_not_ours_stays(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "thesis.html"
    out.write_text("<!doctype html> mine")
    for place, message in (
        (out, "no report of ours, so it is not replaced"),
        (tmp_path, "is a folder. Name a file in it"),
        (tmp_path / "none" / "out.html", "there is no folder"),
        (tmp_path / "out.pdf", "a browser opens what ends in .html"),
    ):
        assert cli.main(["report", str(store), "--html", str(place)]) == 2
        assert message in capsys.readouterr().err
    assert out.read_text() == "<!doctype html> mine"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.html"]


def test_a_damaged_store_and_a_missing_one_leave_no_page(tmp_path: Path) -> None:
    path = make_store(tmp_path / "store", {"t": correct_RN(3)}, predicted=False)
    matrix = path / "t" / "correct.npy"
    matrix.write_bytes(matrix.read_bytes()[:-1] + b"\xff")
    out = tmp_path / "out.html"
    assert cli.main(["report", str(path), "--html", str(out)]) == 4
    assert cli.main(["report", str(tmp_path / "none"), "--html", str(out)]) == 2
    assert cli.main(["report", str(path), "--compare", str(path), "--html", str(out)]) == 5
    assert not out.exists()


def test_without_matplotlib_the_extra_is_named(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(canvas, "find_spec", lambda _: None)
    assert cli.main(["report", str(store), "--html", str(tmp_path / "out.html")]) == 7
    assert "pip install 'airbench_var[report]'" in capsys.readouterr().err


def made_on(tmp_path: Path, images_sha256: object, *names: str) -> Store:
    data = {"name": "cifar10", "test": {"images_sha256": images_sha256}, "more": {"fog-1": {}}}
    right = {name: correct_RN(1) for name in names}
    return Store.open(make_store(tmp_path / "store", right, predicted=False, identity={"data": data}))


@pytest.fixture
def split(monkeypatch: pytest.MonkeyPatch) -> Split:
    """Two images, which `data.load` finds."""
    from airbench_var import data

    split = Split(images_NHWC=np.zeros((2, 32, 32, 3), np.uint8), labels_N=np.zeros(2, np.uint8))
    found = Dataset(
        name="cifar10",
        title="",
        source="somewhere",
        classes=(),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        train=split,
        test=split,
    )
    monkeypatch.setattr(data, "load", lambda *_, download, progress: found)
    return split


def test_images_are_those_of_the_test_split_alone(tmp_path: Path, split: Split) -> None:
    store = made_on(tmp_path, split.fingerprint["images_sha256"], "cifar10", "cifar10-tta", "fog-1")
    pictured = reporting.pictured(store, None)
    assert list(pictured.images) == ["cifar10", "cifar10-tta"]
    assert pictured.images["cifar10"] is split.images_NHWC


def test_other_images_are_left_out_or_refused_when_asked_for(tmp_path: Path, split: Split) -> None:
    store = made_on(tmp_path, "0" * 64, "cifar10")
    pictured = reporting.pictured(store, None)
    assert not pictured.images
    assert "somewhere holds other test images" in pictured.absent
    assert "--data-dir" in pictured.absent
    with pytest.raises(DataError, match="somewhere holds other test images"):
        reporting.pictured(store, tmp_path)


def test_images_are_looked_for_where_the_runs_had_them(
    tmp_path: Path, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that holds others by now, or none, is no place to stop at."""
    from airbench_var import data

    found, asked = data.load("cifar10", None, download=False, progress=False), []

    def load(name: str, place: Path | None, **_: object) -> object:
        asked.append(place)
        if place is not None:
            raise DataError("holds no CIFAR-10")
        return found

    monkeypatch.setattr(data, "load", load)
    sha256 = split.fingerprint["images_sha256"]
    right = {"cifar10": correct_RN(1)}
    for there, places in ((True, [tmp_path / "data", None]), (False, [None])):
        asked.clear()
        (tmp_path / "data").mkdir() if there else (tmp_path / "data").rmdir()
        identity = {"data": {"name": "cifar10", "test": {"images_sha256": sha256}}}
        store = make_store(
            tmp_path / f"store-{there}",
            right,
            predicted=False,
            identity=identity,
            more_provenance={"data_source": str(tmp_path / "data")},
        )
        assert list(reporting.pictured(Store.open(store), None).images) == ["cifar10"]
        assert asked == places


def test_images_that_are_nowhere_are_left_out_or_refused_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRBENCH_VAR_DATA", str(tmp_path))
    monkeypatch.setattr("airbench_var.data.cifar10.user_cache", lambda: tmp_path)
    store = made_on(tmp_path, "0" * 64, "cifar10")
    assert (
        "not at hand. Give the folder of these images with --data-dir"
        in reporting.pictured(store, None).absent
    )
    with pytest.raises(DataError, match="holds no CIFAR-10"):
        reporting.pictured(store, tmp_path)
