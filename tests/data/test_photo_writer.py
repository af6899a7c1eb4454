"""Photographs in a .beton: FFCV reads what was written, it goes on after any stop, and names broken files."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from airbench_var.data import beton, image_folder, photo_writer
from airbench_var.data.image_folder import ImageFolder, scan
from airbench_var.data.photo_encoder import PhotoSettings, is_jpeg
from airbench_var.data.photo_writer import about_photos, write_photos
from airbench_var.errors import DataError, StorageError, UsageError
from tests.data.photos import draw_folder

RAW = PhotoSettings(compress_probability=0.0, max_resolution=0)


@pytest.fixture
def folder(tmp_path: Path) -> ImageFolder:
    return scan(draw_folder(tmp_path / "images", (3, 4, 5)))


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of 16 KiB, so that twelve small images fill several; FFCV reads any power of two."""
    monkeypatch.setattr(beton, "PAGE_BYTES", 1 << 14)
    monkeypatch.setattr(photo_writer, "PAGE_BYTES", 1 << 14)


def read(path: Path, n: int) -> list[tuple[np.ndarray[Any, Any], int]]:
    """Return what FFCV's own reader and decoder find, an image at a time as their sizes differ."""
    from ffcv.fields.rgb_image import IMAGE_MODES
    from ffcv.reader import Reader

    reader, found = Reader(str(path)), []
    assert reader.num_samples == n
    content = np.fromfile(path, np.uint8)
    sizes = {int(row["ptr"]): int(row["size"]) for row in reader.alloc_table}
    for row in reader.metadata:
        image, label = row["f0"], int(row["f1"])
        start = int(image["data_ptr"])
        data = content[start : start + sizes[start]]
        if image["mode"] == IMAGE_MODES["raw"]:
            found.append((data.reshape(image["height"], image["width"], 3), label))
        else:
            found.append((np.asarray(Image.open(io_of(data))), label))
    return found


def io_of(data: np.ndarray[Any, Any]) -> Any:
    import io

    return io.BytesIO(data.tobytes())


def pixels(folder: ImageFolder, number: int) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(folder.root / folder.files[number]).convert("RGB"))


def test_ffcv_reads_what_was_written(folder: ImageFolder, tmp_path: Path) -> None:
    pytest.importorskip("ffcv")
    path = tmp_path / "train.beton"
    about = write_photos(folder, path, RAW)
    found = read(path, 12)
    assert [label for _, label in found] == folder.labels_N.tolist()
    for number, (image, _) in enumerate(found):
        assert (image == pixels(folder, number)).all()
    assert about == about_photos(path)
    assert (about["n"], about["classes"], about["skipped"]) == (12, list(folder.classes), [])
    assert {name: about[name] for name in asdict(RAW)} == asdict(RAW)
    assert beton.is_complete(path, 12)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["images", "train.beton", "train.beton.json"]


def test_long_sides_are_reduced_and_a_share_is_kept_as_jpeg(folder: ImageFolder, tmp_path: Path) -> None:
    pytest.importorskip("ffcv")
    path = tmp_path / "train.beton"
    write_photos(folder, path, PhotoSettings(max_resolution=40, compress_probability=0.5, jpeg_quality=95))
    for number, (image, _) in enumerate(read(path, 12)):
        original = Image.fromarray(pixels(folder, number))
        share = min(1, 40 / max(original.size))
        size = tuple(int(share * side) for side in original.size)
        assert (image.shape[1], image.shape[0]) == size
        assert max(image.shape) <= 40
        expected = np.asarray(original.resize(size, Image.Resampling.BOX), np.float64)
        off = np.abs(image - expected).mean()
        assert off < 12 if is_jpeg(number, 0.5) else off == 0
    numbers = np.array([is_jpeg(number, 0.3) for number in range(10_000)])
    assert abs(numbers.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 10_000)
    assert not any(is_jpeg(number, 0.0) for number in range(1000))
    assert all(is_jpeg(number, 1.0) for number in range(1000))


def test_a_border_is_cut_off_before_anything_else(folder: ImageFolder, tmp_path: Path) -> None:
    pytest.importorskip("ffcv")
    path = tmp_path / "a.beton"
    write_photos(folder, path, replace(RAW, border=2))
    for number, (image, _) in enumerate(read(path, 12)):
        assert (image == pixels(folder, number)[2:-2, 2:-2]).all()
    with pytest.raises(UsageError, match="made with other border"):
        write_photos(folder, path, RAW)
    with pytest.raises(DataError, match="left of it by --border 40"):
        write_photos(folder, tmp_path / "b.beton", replace(RAW, border=40))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stops_after(pages: int) -> Callable[[int, int, int], None]:
    """Return a witness who stops the writer when so many pages are on the disk."""
    seen = []

    def told(done: int, of: int, skipped: int) -> None:
        seen.append(done)
        if len(seen) > pages:
            raise KeyboardInterrupt

    return told


@pytest.mark.parametrize("pages", [0, 1, 2])
def test_it_goes_on_after_a_stop_with_the_same_bytes(
    pages: int, folder: ImageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once, in_two = tmp_path / "a.beton", tmp_path / "b.beton"
    settings = PhotoSettings(compress_probability=0.3)
    about = write_photos(folder, at_once, settings, threads=2)
    with pytest.raises(KeyboardInterrupt):
        write_photos(folder, in_two, settings, told=stops_after(pages))
    assert not in_two.exists()
    journal = in_two.with_name("b.beton.part.jsonl")
    assert len(journal.read_text().splitlines()) == 1 + pages
    with journal.open("a") as file:
        file.write('{"images": 3, "made_of"')  # as a power cut leaves it
    encoded: list[int] = []
    encode = photo_writer.encode
    monkeypatch.setattr(
        photo_writer, "encode", lambda folder, settings, n: encoded.append(n) or encode(folder, settings, n)
    )
    assert write_photos(folder, in_two, settings) == about
    assert digest(in_two) == digest(at_once)
    assert (min(encoded) > 0) == (pages > 0)
    before = digest(in_two)
    assert write_photos(folder, in_two, settings) == about
    assert (digest(in_two), len(encoded) <= 12) == (before, True)


@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_files_that_are_no_whole_images_are_counted_and_named(
    damage: str, folder: ImageFolder, tmp_path: Path
) -> None:
    broken = [folder.root / folder.files[number] for number in (0, 7)]
    whole = [path.read_bytes() for path in broken]
    for path, data in zip(broken, whole, strict=True):
        path.write_bytes({"cut": data[: len(data) // 2], "text": b"no image", "empty": b""}[damage])
    out = tmp_path / "train.beton"
    with pytest.raises(DataError, match=r"2 of 12 files in .* are no whole images: ") as told:
        write_photos(folder, out, RAW)
    assert all(str(path.relative_to(folder.root)) in str(told.value) for path in broken)
    assert not out.exists()
    about = write_photos(folder, out, RAW, skip_corrupt=True)
    assert about["skipped"] == [folder.files[0], folder.files[7]]
    assert about["n"] == 10
    if pytest.importorskip("ffcv"):
        kept = [number for number in range(12) if number not in (0, 7)]
        for number, (image, label) in zip(kept, read(out, 10), strict=True):
            assert label == folder.labels_N[number]
            assert (image == pixels(folder, number)).all()


def test_what_was_mended_is_written_anew_from_its_page_on(folder: ImageFolder, tmp_path: Path) -> None:
    path = folder.root / folder.files[11]
    data = path.read_bytes()
    path.write_bytes(data[:50])
    with pytest.raises(DataError, match="1 of 12 files"):
        write_photos(folder, tmp_path / "a.beton", RAW)
    path.write_bytes(data)
    looked_at: list[int] = []
    write_photos(folder, tmp_path / "a.beton", RAW, told=lambda done, of, skipped: looked_at.append(done))
    assert looked_at[0] > 0
    write_photos(folder, tmp_path / "b.beton", RAW)
    assert digest(tmp_path / "a.beton") == digest(tmp_path / "b.beton")


def test_other_settings_start_anew_and_a_finished_file_is_left_alone(
    folder: ImageFolder, tmp_path: Path
) -> None:
    path = tmp_path / "a.beton"
    with pytest.raises(KeyboardInterrupt):
        write_photos(folder, path, RAW, told=stops_after(1))
    smaller = PhotoSettings(compress_probability=0.0, max_resolution=20)
    write_photos(folder, path, smaller)
    write_photos(folder, tmp_path / "b.beton", smaller)
    assert digest(path) == digest(tmp_path / "b.beton")
    with pytest.raises(UsageError, match="made with other max_resolution"):
        write_photos(folder, path, RAW)


def test_what_does_not_fit_a_page_is_named(folder: ImageFolder, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((90, 90, 3), np.uint8)).save(folder.root / folder.files[2])
    with pytest.raises(DataError, match=r"takes 24,300 bytes, more than a page .*--max-resolution"):
        write_photos(folder, tmp_path / "a.beton", RAW)


def test_a_full_disk_is_told_and_what_was_done_is_kept(
    folder: ImageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(photo_writer, "finish", full)
    with pytest.raises(StorageError, match="No space left on device"):
        write_photos(folder, tmp_path / "a.beton", RAW)
    monkeypatch.undo()
    assert not (tmp_path / "a.beton").exists()
    monkeypatch.setattr(beton, "PAGE_BYTES", 1 << 14)
    monkeypatch.setattr(photo_writer, "PAGE_BYTES", 1 << 14)
    monkeypatch.setattr(photo_writer, "encode", lambda *_: pytest.fail("encodes again"))
    assert write_photos(folder, tmp_path / "a.beton", RAW)["n"] == 12


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"compress_probability": 1.5}, "--compress-probability 1.5: it must be from 0 to 1"),
        ({"jpeg_quality": 0}, "--jpeg-quality 0: it must be from 1 to 100"),
        ({"max_resolution": -1}, "--max-resolution -1"),
        ({"border": -1}, "--border -1"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PhotoSettings(**values)


def test_a_folder_is_scanned_as_torchvision_does(tmp_path: Path) -> None:
    root = draw_folder(tmp_path / "images", (2, 1))
    (root / "a" / "deeper").mkdir()
    (root / "a" / "0.jpg").rename(root / "a" / "deeper" / "0.JPG")
    (root / "a" / "notes.txt").write_text("no image")
    (root / "stray.jpg").write_text("of no class")
    found = scan(root)
    assert (found.classes, found.labels_N.tolist()) == (("a", "b"), [0, 0, 1])
    assert found.files == ("a/1.jpg", "a/deeper/0.JPG", "b/0.jpg")
    (root / "c").mkdir()
    with pytest.raises(DataError, match="c has no image"):
        scan(root)
    with pytest.raises(DataError, match="has no folder in it"):
        scan(root / "b")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        scan(root / "nowhere")


def test_more_classes_than_two_bytes_count_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = draw_folder(tmp_path / "images", (1, 1, 1))
    monkeypatch.setattr(image_folder, "MOST_CLASSES", 2)
    with pytest.raises(DataError, match="has 3 folders, and there are at most 2 classes"):
        scan(root)


def test_a_file_that_says_nothing_of_itself_is_refused(folder: ImageFolder, tmp_path: Path) -> None:
    path = tmp_path / "a.beton"
    write_photos(folder, path, RAW)
    beside = tmp_path / "a.beton.json"
    beside.write_text(json.dumps({"format": "other"}))
    with pytest.raises(DataError, match=r"does not say what a\.beton holds"):
        about_photos(path)
    beside.unlink()
    with pytest.raises(DataError, match=r"cannot be read .*python -m airbench_var photos"):
        about_photos(path)


@pytest.mark.parametrize("left", ["nothing", "a page", "none of the last page"])
def test_a_journal_is_believed_as_far_as_its_pages_are_there(
    left: str, folder: ImageFolder, tmp_path: Path
) -> None:
    clean, path = tmp_path / "clean.beton", tmp_path / "a.beton"
    about = write_photos(folder, clean, RAW)
    with pytest.raises(KeyboardInterrupt):
        write_photos(folder, path, RAW, told=stops_after(2))
    part = path.with_name("a.beton.part")
    if left == "nothing":
        part.unlink()
    else:
        with part.open("r+b") as file:
            file.truncate(part.stat().st_size - (1 if left == "none of the last page" else 1 << 14))
    assert write_photos(folder, path, RAW) == about
    assert digest(path) == digest(clean)


def test_killed_when_the_file_has_its_name_leaves_a_journal_that_misleads_nobody(
    folder: ImageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: Path, missing_ok: bool = False) -> None:
        raise KeyboardInterrupt

    clean, path = tmp_path / "clean.beton", tmp_path / "a.beton"
    about = write_photos(folder, clean, RAW)
    journal = path.with_name("a.beton.part.jsonl")
    unlink = Path.unlink
    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", lambda p, **how: (killed if p == journal else unlink)(p, **how))
        with pytest.raises(KeyboardInterrupt):
            write_photos(folder, path, RAW)
    assert write_photos(folder, path, RAW) == about
    assert journal.exists()
    path.unlink()
    path.with_name("a.beton.json").unlink()
    assert write_photos(folder, path, RAW) == about
    assert digest(path) == digest(clean)


def test_a_second_writer_is_refused_and_disturbs_nothing(folder: ImageFolder, tmp_path: Path) -> None:
    clean, path = tmp_path / "clean.beton", tmp_path / "a.beton"
    about = write_photos(folder, clean, RAW)

    def told(done: int, of: int, skipped: int) -> None:
        with pytest.raises(UsageError, match=r"a\.beton is being written by another process"):
            write_photos(folder, path, PhotoSettings(max_resolution=20))

    assert write_photos(folder, path, RAW, told=told) == about
    assert digest(path) == digest(clean)


def test_pages_that_are_on_the_disk_are_no_longer_in_memory(
    folder: ImageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []
    finish = photo_writer.finish

    def seen(file: Any, pages: list[beton.Page], *more: Any) -> None:
        held.extend(len(page.content) for page in pages)
        finish(file, pages, *more)

    monkeypatch.setattr(photo_writer, "finish", seen)
    write_photos(folder, tmp_path / "a.beton", RAW)
    assert len(held) > 3
    assert not any(held)


def test_what_the_disk_does_not_give_is_no_broken_image(
    folder: ImageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that was left out for it would be missing for ever, since its file never changes."""
    whole = Image.open

    def fails(path: Path) -> Any:
        if path.name == Path(folder.files[5]).name and path.parent.name == Path(folder.files[5]).parent.name:
            raise OSError(5, "Input/output error")
        return whole(path)

    path = tmp_path / "a.beton"
    with monkeypatch.context() as broken:
        broken.setattr(Image, "open", fails)
        with pytest.raises(DataError, match="cannot be read: Input/output error"):
            write_photos(folder, path, RAW, skip_corrupt=True)
    assert write_photos(folder, path, RAW)["n"] == 12


def test_a_link_to_nothing_is_no_whole_image(tmp_path: Path) -> None:
    root = draw_folder(tmp_path / "images", (2, 2))
    (root / "a" / "9.jpg").symlink_to(tmp_path / "nowhere.jpg")
    linked = scan(root)
    with pytest.raises(DataError, match=r"1 of 5 files .*a/9\.jpg"):
        write_photos(linked, tmp_path / "a.beton", RAW)
    assert write_photos(linked, tmp_path / "a.beton", RAW, skip_corrupt=True)["skipped"] == ["a/9.jpg"]


def test_a_file_whose_description_is_lost_can_be_written_anew(folder: ImageFolder, tmp_path: Path) -> None:
    path = tmp_path / "a.beton"
    write_photos(folder, path, RAW)
    path.with_name("a.beton.json").unlink()
    with pytest.raises(DataError, match=r"Remove a\.beton and write it anew"):
        write_photos(folder, path, RAW)
