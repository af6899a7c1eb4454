"""Photographs of any size into one FFCV file (.beton), page by page, so that it can be gone on with.

PATH.part             the file as it grows; it gets its name when it is whole
PATH.part.jsonl       a line for the settings, then one for each page that is on the disk: what is in it, and
                      from which files it was made
PATH.json             what the finished file is of, beside it

Names of settings, and the choice between JPEG and raw pixels for each image, are FFCV's (its
fields/rgb_image.py); its own writer can neither be gone on with nor tell which image it could not read. Here
the choice follows from the number of the image, so that the same images give the same bytes.
"""

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from airbench_var.data.beton import JPEG, PAGE_BYTES, RAW, Page, data_start, finish
from airbench_var.data.image_folder import ImageFolder
from airbench_var.errors import DataError, DeviceError, StorageError, UsageError
from airbench_var.philox import philox4x32

FORMAT, VERSION = "airbench_var photographs", 1
#: Of files that are no images, so many are named.
MOST_NAMED = 10
#: Images that are encoded ahead of the one that is written, for each thread.
AHEAD = 8
#: Key of the choice between JPEG and raw pixels.
CHOICE_KEY = 0x6A706567


@dataclass(frozen=True, kw_only=True)
class PhotoSettings:
    """How photographs are kept."""

    max_resolution: int = 500  #: a longer side is reduced to it; 0 keeps all sizes
    compress_probability: float = 0.5  #: share of the images that are kept as JPEG, the others as raw pixels
    jpeg_quality: int = 90
    border: int = 0  #: pixels that are cut from every side first, such as ObjectNet's frame

    def __post_init__(self) -> None:
        """Raise UsageError for a value out of its range."""
        for name, low, high in (
            ("max_resolution", 0, 65_535),
            ("compress_probability", 0, 1),
            ("jpeg_quality", 1, 100),
            ("border", 0, 65_535),
        ):
            if not low <= getattr(self, name) <= high:
                option = name.replace("_", "-")
                raise UsageError(f"--{option} {getattr(self, name)}: it must be from {low} to {high}.")


@dataclass
class Done:
    """What is on the disk of a file that grows."""

    pages: list[Page] = field(default_factory=list)
    images: int = 0  #: of the folder, looked at so far
    skipped: list[str] = field(default_factory=list)  #: those among them that are no whole images

    @property
    def written(self) -> int:
        """How many images are kept."""
        return sum(len(page.mode_N) for page in self.pages)


Told = Callable[[int, int, int], None]  #: images looked at, of how many, of which no whole images


def write_photos(
    folder: ImageFolder,
    path: Path,
    settings: PhotoSettings,
    *,
    threads: int = 1,
    skip_corrupt: bool = False,
    told: Told = lambda done, of, skipped: None,
) -> dict[str, Any]:
    """Write the images of a folder to `path`, or go on where that was stopped; return what `path`.json says.

    What is no whole image is counted and named at the end: then the file is not finished, unless they are
    left out with `skip_corrupt`. The same call goes on from there, also after some were mended: pages before
    the first changed file are kept.

    Raises: DataError for images that cannot be read, or do not fit a page; StorageError when the disk does
    not take it; UsageError when `path` was made of other images or with other settings; DeviceError without
    Pillow.
    """
    try:
        import PIL.Image  # noqa: F401 (is named before anything is made)
    except ModuleNotFoundError as error:
        raise DeviceError("writing photographs needs Pillow: pip install 'airbench_var[ffcv]'.") from error
    asked = {
        "format": FORMAT,
        "version": VERSION,
        "classes": list(folder.classes),
        "images": len(folder),
        **asdict(settings),
    }
    part, journal = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.jsonl")
    if path.exists():
        return _finished(path, asked)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        done = _gone_on_with(journal, asked, folder)
        with part.open("r+b" if part.exists() else "w+b") as file, journal.open("a") as lines:
            told(done.images, len(folder), len(done.skipped))
            _write_pages(folder, settings, done, file, lines, threads, told)
            if done.skipped and not skip_corrupt:
                raise DataError(_named(folder, done.skipped))
            if not done.written:
                raise DataError(f"{folder.root} has no image that can be read.")
            kept_N = _kept(folder, done)
            about = {**asked, "n": done.written, **_fingerprint(done, folder.labels_N[kept_N])}
            about["skipped"] = done.skipped
            finish(file, done.pages, folder.labels_N[kept_N], data_start(len(folder)))
        _beside(path).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
        journal.unlink()
    except OSError as error:
        raise StorageError(
            f"Cannot write {path}: {error}. Make room; the same command goes on where it was."
        ) from error
    return about


def about_photos(path: Path) -> dict[str, Any]:
    """Return what a finished file is of; raises DataError where that is not said, or not of such a file."""
    try:
        about: dict[str, Any] = json.loads(_beside(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{_beside(path)}, which says what {path.name} is of, cannot be read ({error}). Write the file "
            "anew: `python -m airbench_var photos FOLDER --out FILE`."
        ) from error
    if about.get("format") != FORMAT or about.get("version") != VERSION:
        raise DataError(f"{_beside(path)} does not say what photographs a .beton holds. Write the file anew.")
    return about


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _finished(path: Path, asked: dict[str, Any]) -> dict[str, Any]:
    about = about_photos(path)
    before = {"border": 0, **about}  # which files from before there was one do not say
    other = [key for key, value in asked.items() if before.get(key) != value]
    if other:
        raise UsageError(
            f"{path} is there, and was made with other {', '.join(other)}. Name another --out, or remove it."
        )
    return about


def _gone_on_with(journal: Path, asked: dict[str, Any], folder: ImageFolder) -> Done:
    """Return what is there of the pages, as far as it was made of these files; cut the journal to that."""
    text = journal.read_text(encoding="utf-8") if journal.exists() else ""
    whole = text[: text.rfind("\n") + 1].splitlines()  # the last line may be cut
    done, kept = Done(), [json.dumps(asked)]
    if whole and json.loads(whole[0]) == asked:
        for line in whole[1:]:
            page = json.loads(line)
            files = folder.files[done.images : done.images + page["images"]]
            if page["made_of"] != _made_of(folder, files):
                break
            done.pages.append(Page.from_json(page))
            done.images += page["images"]
            done.skipped += page["skipped"]
            kept.append(line)
    journal.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return done


def _made_of(folder: ImageFolder, files: Sequence[str]) -> str:
    """Return the hash of names, sizes and times of files, by which it is seen that one was changed."""
    digest = hashlib.sha256()
    for name in files:
        stat = (folder.root / name).stat()
        digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _write_pages(
    folder: ImageFolder,
    settings: PhotoSettings,
    done: Done,
    file: IO[bytes],
    lines: IO[str],
    threads: int,
    told: Told,
) -> None:
    """Encode what is left of the images in order, and write a page as soon as it is full."""
    start, first = data_start(len(folder)), done.images
    page, skipped = Page.at(start + len(done.pages) * PAGE_BYTES), list[str]()
    file.truncate(page.start)  # what other settings left would be seen in the gaps

    def close(images: int) -> None:
        """Put the page on the disk, then the line that says so."""
        nonlocal page, skipped
        made_of = folder.files[done.images : images]
        file.seek(page.start)
        file.write(page.content)
        file.flush()
        os.fsync(file.fileno())
        line = {"images": len(made_of), "made_of": _made_of(folder, made_of), "skipped": skipped}
        lines.write(json.dumps(page.to_json() | line) + "\n")
        lines.flush()
        os.fsync(lines.fileno())
        done.pages.append(page)
        done.images = images
        done.skipped += skipped
        page, skipped = Page.at(page.start + PAGE_BYTES), []
        told(images, len(folder), len(done.skipped))

    for number, encoded in enumerate(_encoded(folder, settings, first, threads), first):
        if encoded is None:
            skipped.append(folder.files[number])
            continue
        if len(encoded.data) > PAGE_BYTES:
            raise DataError(
                f"{folder.root / folder.files[number]} takes {len(encoded.data):,} bytes, more than a page "
                f"of {PAGE_BYTES:,}. Reduce it with --max-resolution 1500, or keep more as JPEG."
            )
        if not page.has_room(len(encoded.data)):
            close(number)
        page.add(encoded.mode, encoded.width, encoded.height, encoded.data)
    if done.images < len(folder):
        close(len(folder))


@dataclass(frozen=True)
class _Encoded:
    mode: int
    width: int
    height: int
    data: bytes


def _encoded(
    folder: ImageFolder, settings: PhotoSettings, first: int, threads: int
) -> Iterator[_Encoded | None]:
    """Yield the images from this number on, in order; None for what is no whole image."""
    with ThreadPoolExecutor(threads) as pool:
        waiting = [
            pool.submit(_encode, folder, settings, number)
            for number in range(first, min(first + AHEAD * threads, len(folder)))
        ]
        following = iter(range(first + len(waiting), len(folder)))
        try:
            while waiting:
                yield waiting.pop(0).result()
                for number in following:
                    waiting.append(pool.submit(_encode, folder, settings, number))
                    break
        finally:
            pool.shutdown(cancel_futures=True)


def _encode(folder: ImageFolder, settings: PhotoSettings, number: int) -> _Encoded | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(folder.root / folder.files[number]) as opened:
            image = opened.convert("RGB")
    except FileNotFoundError as error:
        raise DataError(
            f"{folder.root / folder.files[number]} is gone. Give the same command again."
        ) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None  # as Pillow tells of files that are cut short, broken, or no images
    if cut := settings.border:
        width, height = image.size
        if min(width, height) <= 2 * cut:
            raise DataError(
                f"{folder.root / folder.files[number]} is of {height} x {width} pixels: nothing would be "
                f"left of it by --border {cut}."
            )
        image = image.crop((cut, cut, width - cut, height - cut))
    longest = max(image.size)
    if settings.max_resolution and longest > settings.max_resolution:
        share = settings.max_resolution / longest
        width, height = (max(1, int(share * side)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BOX)
    if is_jpeg(number, settings.compress_probability):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=settings.jpeg_quality)
        return _Encoded(JPEG, *image.size, buffer.getvalue())
    return _Encoded(RAW, *image.size, image.tobytes())


def is_jpeg(number: int, share: float) -> bool:
    """Return whether the image of this number is kept as JPEG: a coin of this share, the same every time."""
    return int(philox4x32(CHOICE_KEY, number & 0xFFFFFFFF)[0]) < share * 2**32


def _kept(folder: ImageFolder, done: Done) -> npt.NDArray[np.int64]:
    left_out = set(done.skipped)
    return np.array([number for number, name in enumerate(folder.files) if name not in left_out], np.int64)


def _fingerprint(done: Done, labels_N: npt.NDArray[np.uint16]) -> dict[str, str]:
    pages = hashlib.sha256("".join(page.sha256 for page in done.pages).encode())
    return {
        "images_sha256": pages.hexdigest(),
        "labels_sha256": hashlib.sha256(labels_N.astype("<u2").tobytes()).hexdigest(),
    }


def _named(folder: ImageFolder, skipped: Sequence[str]) -> str:
    more = f" and {len(skipped) - MOST_NAMED:,} more" if len(skipped) > MOST_NAMED else ""
    names = ", ".join(skipped[:MOST_NAMED])
    return (
        f"{len(skipped):,} of {len(folder):,} files in {folder.root} are no whole images: {names}{more}. "
        "Mend them and give the same command again, or leave them out with --skip-corrupt."
    )
