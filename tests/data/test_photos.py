"""Further test sets of photographs: what their classes mean, and what is predicted on them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from airbench_var.data import photos
from airbench_var.data.image_folder import scan
from airbench_var.data.photo_encoder import PhotoSettings
from airbench_var.data.photo_writer import write_photos
from airbench_var.data.photos import PhotoData, Photos, with_further
from airbench_var.errors import DataError, UsageError
from tests.data.photos import draw_folder
from tests.photos.small import write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PhotoData:
    return photos.load(write_data(tmp_path_factory.mktemp("photos")))  # classes a, b, c


def never(text: str) -> None:
    raise AssertionError(text)


def add(data: PhotoData, name: str, classes: tuple[str, ...], meaning: object = None) -> Photos:
    """Write a test set of these classes, two images each, and return it as a further one."""
    images = draw_folder(data.folder / f"of-{name}", (2,) * len(classes))
    for label, own in enumerate(classes):
        (images / "abcde"[label]).rename(images / f"+{own}")
    for own in classes:
        (images / f"+{own}").rename(images / own)
    told = data.folder / f"{name}.classes.json"
    if meaning is not None:
        told.write_text(json.dumps(meaning))
    write_photos(scan(images), data.folder / f"{name}.beton", PhotoSettings())
    return with_further(data, [name], skip_missing=False, say=never).tests[name]


LOGITS = np.array([[3.0, 2, 1], [1, 2, 3], [1, 3, 2], [np.nan, 0, 1]], np.float32)


def test_the_same_classes_are_predicted_among_all(data: PhotoData) -> None:
    val = data.tests["val"]
    assert val.labels_M.tolist() == sorted(val.labels_M.tolist())
    assert val.labels_M.dtype == np.uint8
    assert len(val.examples_M) == len(val.labels_M) == val.about["n"]
    assert val.predicted(LOGITS).tolist() == [0, 2, 1, 0]
    assert set(val.fingerprint) == {"n", "images_sha256", "labels_sha256"}


def test_a_part_of_the_classes_is_predicted_among_itself(data: PhotoData) -> None:
    part = add(data, "part", ("b", "c"))
    assert part.labels_M.tolist() == [1, 1, 2, 2]
    assert part.predicted(LOGITS).tolist() == [1, 2, 1, 2]
    assert "meanings_sha256" in part.fingerprint


def test_numbers_are_places(data: PhotoData) -> None:
    numbered = add(data, "numbered", ("0", "2", "1"))
    assert numbered.classes == ("0", "1", "2")
    assert numbered.labels_M.tolist() == [0, 0, 1, 1, 2, 2]


def test_several_classes_may_be_right_and_those_without_any_are_left_out(data: PhotoData) -> None:
    mapped = add(data, "mapped", ("x", "y", "z"), {"x": ["c", "a"], "z": ["b"]})
    assert mapped.examples_M.tolist() == [0, 1, 4, 5]
    assert mapped.labels_M.tolist() == [2, 2, 1, 1]
    assert mapped.predicted(LOGITS).tolist() == [2, 2, 1, 2]  # a counts as c


@pytest.mark.parametrize(
    ("name", "classes", "meaning", "message"),
    [
        ("strange", ("a", "q"), None, r"has a class 'q', which is none .*strange\.classes\.json"),
        ("far", ("0", "3"), None, "has a class '0'"),
        ("unknown", ("x",), {"x": ["q"]}, "'x' means 'q', which is none"),
        ("twice", ("x", "y"), {"x": ["a"], "y": ["a"]}, "'a' is meant twice"),
        ("nothing", ("x",), {}, "gives no class of its file a meaning"),
        ("list", ("x",), ["a"], "cannot be read as a mapping"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    name: str, classes: tuple[str, ...], meaning: object, message: str, data: PhotoData
) -> None:
    with pytest.raises(DataError, match=message):
        add(data, name, classes, meaning)


def test_missing_ones_are_named_or_left_out_as_asked(data: PhotoData) -> None:
    with pytest.raises(DataError, match=r"sketch\.beton is not there\. Write it"):
        with_further(data, ["sketch"], skip_missing=False, say=never)
    told: list[str] = []
    assert with_further(data, ["sketch"], skip_missing=True, say=told.append).tests == data.tests
    assert "skipped test set sketch" in told[0]
    with pytest.raises(UsageError, match="'val' is there already"):
        with_further(data, ["val"], skip_missing=False, say=never)


def test_labels_of_many_classes_take_two_bytes(data: PhotoData) -> None:
    val = data.tests["val"]
    wide = Photos(path=val.path, about=val.about, meanings=((0,), (999,), (300,)), trained=1000)
    assert wide.labels_M.dtype == np.dtype("<u2")
    assert set(wide.labels_M.tolist()) == {0, 999, 300}
    logits = np.zeros((1, 1000), np.float32)
    logits[0, [5, 999]] = 2, 1
    assert wide.predicted(logits).tolist() == [999]  # 5 is no class of it


def test_the_published_folder_says_it_too(data: PhotoData, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanings(mappings: Path, trained: Sequence[str]) -> dict[str, tuple[str, ...]]:
        assert (mappings, tuple(trained)) == (data.folder / "object.mappings", data.classes)
        return {"x": ("c", "a")}

    monkeypatch.setattr(photos, "read_meanings", meanings)
    (data.folder / "object.mappings").mkdir()
    found = add(data, "object", ("w", "x"))
    assert found.examples_M.tolist() == [2, 3]
    assert found.predicted(LOGITS).tolist() == [2, 2, 2, 2]


def test_a_file_that_is_not_the_one_described_is_refused(data: PhotoData, tmp_path: Path) -> None:
    """Its number of images alone would be the same."""
    folder = scan(draw_folder(tmp_path / "images", (2, 2)))
    for name, settings in (("train", PhotoSettings()), ("other", PhotoSettings(max_resolution=20))):
        write_photos(folder, tmp_path / f"{name}.beton", settings)
    (tmp_path / "other.beton").replace(tmp_path / "train.beton")
    with pytest.raises(DataError, match=r"train\.beton is not the file that train\.beton\.json is of"):
        photos.load(tmp_path)
