"""Photographs of any size into one FFCV file (.beton), page by page, so that it can be gone on with.

PATH.part             the file as it grows; it gets its name when it is whole
PATH.part.jsonl       a line for the settings, then one for each page that is on the disk: what is in it, and
                      from which files it was made
PATH.json             what the finished file is of, beside it

Whoever writes holds a lock on PATH.part. FFCV's own writer can neither be gone on with nor tell which image
it could not read.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from airbench_var.cache import arriving_at
from airbench_var.data.beton import PAGE_BYTES, Page, data_start, finish, rows_sha256
from airbench_var.data.image_folder import ImageFolder
from airbench_var.data.photo_encoder import Encoded, PhotoSettings, encode
from airbench_var.errors import DataError, DeviceError, StorageError, UsageError, what_helps

FORMAT, VERSION = "airbench_var photographs", 2
#: Of files that are no images, so many are named.
MOST_NAMED = 10
#: Images that are encoded ahead of the one that is written, for each thread.
AHEAD = 8


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
        part.touch()
        with ExitStack() as opened:
            file = opened.enter_context(part.open("r+b"))
            _hold(file, part, path)
            done = _gone_on_with(journal, part.stat().st_size, asked, folder)
            lines = opened.enter_context(journal.open("a", encoding="utf-8"))
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
            about["rows_sha256"] = rows_sha256(part)
            with arriving_at(_beside(path)) as beside:
                beside.write((json.dumps(about, indent=1) + "\n").encode())
            part.replace(path)
            journal.unlink()  # last: without it, all of a file that grows would be written again
    except OSError as error:
        raise StorageError(
            f"Cannot write {path}: {error}. {what_helps(error)}; the same command goes on where it was."
        ) from error
    return about


def about_photos(path: Path) -> dict[str, Any]:
    """Return what a finished file is of; raises DataError where that is not said, or not of such a file."""
    try:
        about: dict[str, Any] = json.loads(_beside(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{_beside(path)}, which says what {path.name} is of, cannot be read ({error}). Remove "
            f"{path.name} and write it anew: `python -m airbench_var photos FOLDER --out FILE`."
        ) from error
    if about.get("format") != FORMAT or about.get("version") != VERSION:
        raise DataError(
            f"{_beside(path)} does not say what {path.name} holds. Remove both and write them anew."
        )
    return about


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _finished(path: Path, asked: dict[str, Any]) -> dict[str, Any]:
    about = about_photos(path)
    other = [key for key, value in asked.items() if about.get(key) != value]
    if other:
        raise UsageError(
            f"{path} is there, and was made with other {', '.join(other)}. Name another --out, or remove it."
        )
    return about


def _hold(file: IO[bytes], part: Path, path: Path) -> None:
    """Lock the file that grows until it is closed; raises UsageError when somebody else writes it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        gone = not part.exists() or not os.path.samestat(os.fstat(file.fileno()), part.stat())
    except BlockingIOError:
        gone = True
    if gone:
        raise UsageError(f"{path} is being written by another process. Wait for it, or name another --out.")


def _gone_on_with(journal: Path, size: int, asked: dict[str, Any], folder: ImageFolder) -> Done:
    """Return what is there of the pages, as far as it was made of these files; cut the journal to that.

    A page beyond the size of the file that grows is not there, whatever the journal says.
    """
    text = journal.read_text(encoding="utf-8") if journal.exists() else ""
    whole = text[: text.rfind("\n") + 1].splitlines()  # the last line may be cut
    done, kept = Done(), [json.dumps(asked)]
    if whole and json.loads(whole[0]) == asked:
        for line in whole[1:]:
            page = json.loads(line)
            files = folder.files[done.images : done.images + page["images"]]
            is_there = page["start"] + sum(page["bytes"]) <= size
            if not is_there or page["made_of"] != _made_of(folder, files):
                break
            done.pages.append(Page.from_json(page))
            done.images += page["images"]
            done.skipped += page["skipped"]
            kept.append(line)
    with arriving_at(journal) as file:
        file.write(("\n".join(kept) + "\n").encode())
    return done


def _made_of(folder: ImageFolder, files: Sequence[str]) -> str:
    """Return the hash of names, sizes and times of files, by which it is seen that one was changed."""
    digest = hashlib.sha256()
    for name in files:
        path = folder.root / name
        stat = path.stat() if path.exists() else path.lstat()  # a link to nothing is no image
        digest.update(os.fsencode(name) + f"\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
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
        page.leave()
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


def _encoded(
    folder: ImageFolder, settings: PhotoSettings, first: int, threads: int
) -> Iterator[Encoded | None]:
    """Yield the images from this number on, in order; None for what is no whole image."""
    with ThreadPoolExecutor(threads) as pool:
        waiting = [
            pool.submit(encode, folder, settings, number)
            for number in range(first, min(first + AHEAD * threads, len(folder)))
        ]
        following = iter(range(first + len(waiting), len(folder)))
        try:
            while waiting:
                yield waiting.pop(0).result()
                for number in following:
                    waiting.append(pool.submit(encode, folder, settings, number))
                    break
        finally:
            pool.shutdown(cancel_futures=True)


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
    names = os.fsencode(", ".join(skipped[:MOST_NAMED])).decode(errors="replace")
    return (
        f"{len(skipped):,} of {len(folder):,} files in {folder.root} are no whole images: {names}{more}. "
        "Mend them and give the same command again, or leave them out with --skip-corrupt."
    )
