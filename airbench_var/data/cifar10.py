"""CIFAR-10 from the layouts people have: the Python or the binary version, as a folder or as its archive.

Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009;
https://www.cs.toronto.edu/~kriz/cifar.html describes both versions.
"""

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from airbench_var.cache import user_cache
from airbench_var.data.dataset import Dataset, Split
from airbench_var.data.download import Remote
from airbench_var.data.download import download as fetch
from airbench_var.data.unpickle import Array, unpickle
from airbench_var.errors import DataError

ENVIRONMENT = "AIRBENCH_VAR_DATA"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
#: Of the training images, per channel, as published everywhere in units of 0 ... 1.
MEAN = (0.4914 * 255, 0.4822 * 255, 0.4465 * 255)
STD = (0.2470 * 255, 0.2435 * 255, 0.2616 * 255)

BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
BATCH_IMAGES, PIXELS = 10_000, 3 * 32 * 32

#: md5 of the six files of the Python version.
PYTHON_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
#: Downloaded in preference to the Python version: no pickle.
BINARY_ARCHIVE = Remote(
    urls=(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz",
    ),
    size_bytes=170_052_171,
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)

_TITLES = {
    True: "CIFAR-10",
    False: "CIFAR-10 (not the official files)",
    None: "CIFAR-10 (not checked: the binary files have no published digests)",
}
_ADVICE = "Name the folder with --data-dir, or try without any files: --data synthetic."


@dataclass(frozen=True)
class Layout:
    """One of the four shapes in which CIFAR-10 lies on a disk."""

    name: str
    binary: bool
    archive: bool

    @property
    def members(self) -> tuple[str, ...]:
        """The six files, training batches first."""
        return tuple(f"{batch}.bin" for batch in BATCHES) if self.binary else BATCHES

    def is_at(self, path: Path) -> bool:
        """Whether path is this layout: by its name, or (a folder) by any of its files."""
        if self.archive:
            return path.name == self.name and path.is_file()
        return path.is_dir() and (path.name == self.name or any((path / m).is_file() for m in self.members))


_BINARY_ARCHIVE_LAYOUT = Layout("cifar-10-binary.tar.gz", binary=True, archive=True)
LAYOUTS = (
    Layout("cifar-10-batches-py", binary=False, archive=False),
    Layout("cifar-10-batches-bin", binary=True, archive=False),
    _BINARY_ARCHIVE_LAYOUT,
    Layout("cifar-10-python.tar.gz", binary=False, archive=True),
)


def load(data_dir: Path | None = None, *, download: bool = True, progress: bool = True) -> Dataset:
    """Return CIFAR-10, images uint8 (50000 and 10000, 32, 32, 3), from where `find` finds it or downloaded.

    Raises DataError when there is none, or when a file is not what it claims to be.
    """
    found = find(data_dir)
    if found is None:
        nowhere = f"No CIFAR-10 in ${ENVIRONMENT} or {user_cache()}"
        if not download:
            raise DataError(f"{nowhere}. {_ADVICE}")
        found = user_cache() / _BINARY_ARCHIVE_LAYOUT.name, _BINARY_ARCHIVE_LAYOUT
        try:
            fetch(BINARY_ARCHIVE, found[0], progress=progress)
        except DataError as error:
            raise DataError(f"{nowhere}, and {error}. {_ADVICE}") from error
    return read(*found)


def find(data_dir: Path | None = None) -> tuple[Path, Layout] | None:
    """Return the first layout in data_dir, else in $AIRBENCH_VAR_DATA, else in the user cache.

    A data_dir that was named is the only place looked at. Raises DataError when it holds none.
    """
    if data_dir is not None:
        if (found := _layout_in(data_dir)) is None:
            what = "holds no CIFAR-10" if data_dir.exists() else "does not exist"
            raise DataError(
                f"--data-dir {data_dir} {what}: expected one of {', '.join(x.name for x in LAYOUTS)} in it. "
                f"Name another folder, leave --data-dir out to download it, or try --data synthetic."
            )
        return found
    named = os.environ.get(ENVIRONMENT)
    return (_layout_in(Path(named)) if named else None) or _layout_in(user_cache())


def _layout_in(place: Path) -> tuple[Path, Layout] | None:
    """Return the path and kind of the layout that place is or holds."""
    try:
        itself = ((place, layout) for layout in LAYOUTS if layout.is_at(place))
        inside = ((place / layout.name, layout) for layout in LAYOUTS if layout.is_at(place / layout.name))
        return next(itself, None) or next(inside, None)
    except OSError as error:
        raise DataError(f"{place} cannot be read: {error}. {_ADVICE}") from error


def read(path: Path, layout: Layout) -> Dataset:
    """Return the data set at path; raises DataError, naming the file, when it is not what it claims to be."""
    n = BATCH_IMAGES * len(BATCHES)
    images_NHWC, labels_N = np.empty((n, 32, 32, 3), np.uint8), np.empty(n, np.uint8)
    official: bool | None = None
    for name, content in _contents(path, layout):
        place = path / name  # of an archive's member too: it names both
        planes, labels = _read_binary(content, place) if layout.binary else _read_python(content, place)
        if not 0 <= labels.min() <= labels.max() < len(CLASSES):
            raise DataError(f"{place}: labels {labels.min()} ... {labels.max()}, expected 0 ... 9. {_ADVICE}")
        first = layout.members.index(name) * BATCH_IMAGES
        rows = slice(first, first + BATCH_IMAGES)
        images_NHWC[rows] = planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        labels_N[rows] = labels
        if name in PYTHON_MD5:  # the first file that differs settles it
            official = official is not False and _md5(content) == PYTHON_MD5[name]
    if layout.binary and layout.archive:
        official = _official_archive(path)
    test = n - BATCH_IMAGES
    return Dataset(
        name="cifar10",
        title=_TITLES[official],
        source=str(path),
        classes=CLASSES,
        mean=MEAN,
        std=STD,
        train=Split(images_NHWC=images_NHWC[:test], labels_N=labels_N[:test]),
        test=Split(images_NHWC=images_NHWC[test:], labels_N=labels_N[test:]),
        folder=path.parent if path.name == layout.name else path,
    )


def _official_archive(path: Path) -> bool:
    """Whether the binary archive is the published one; its digest is computed only when its size is right."""
    if path.stat().st_size != BINARY_ARCHIVE.size_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == BINARY_ARCHIVE.sha256


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _contents(path: Path, layout: Layout) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each of the six files, once; an archive is read in memory, in its own order."""
    missing = set(layout.members)
    try:
        for name, content in _unpack(path, missing) if layout.archive else _open(path, layout.members):
            missing.discard(name)
            yield name, content
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read: {error}. It may be cut off: fetch it again. {_ADVICE}"
        ) from error
    if missing:
        raise DataError(f"{path} lacks {', '.join(sorted(missing))}. Fetch it again. {_ADVICE}")


def _open(path: Path, names: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        if (path / name).is_file():
            yield name, (path / name).read_bytes()


def _unpack(path: Path, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the wanted members of an archive, by their last name; not links, not second copies."""
    with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in archive:
            name = PurePosixPath(member.name).name
            if name in wanted and member.isfile() and member.size < 2 * BATCH_IMAGES * PIXELS:
                file = archive.extractfile(member)
                assert file is not None
                yield name, file.read()
        while stream.read(1 << 20):  # to the very end, where gzip keeps its checksum: tarfile stops before it
            pass


Batch = tuple[npt.NDArray[np.uint8], npt.NDArray[np.integer]]  # planes (10000, 3072), labels (10000,)


def _read_binary(content: bytes, place: Path) -> Batch:
    """Rows of one label byte, then 1024 red, green and blue bytes each."""
    expected = BATCH_IMAGES * (1 + PIXELS)
    if len(content) != expected:
        raise DataError(f"{place}: {len(content):,} bytes, expected {expected:,}. Fetch it again. {_ADVICE}")
    rows = np.frombuffer(content, np.uint8).reshape(BATCH_IMAGES, 1 + PIXELS)
    return rows[:, 1:], rows[:, 0]


def _read_python(content: bytes, place: Path) -> Batch:
    """A pickled dictionary with `data`, uint8 (10000, 3072), and `labels`, a list."""
    try:
        batch = unpickle(content)
        if not isinstance(batch, dict):
            raise ValueError(f"a pickled {type(batch).__name__}, expected a dictionary")
        data, labels = (_array(batch.get(key, batch.get(key.encode()))) for key in ("data", "labels"))
        if data.shape != (BATCH_IMAGES, PIXELS) or data.dtype != np.uint8:
            raise ValueError(f"data is {data.dtype} {data.shape}, expected uint8 ({BATCH_IMAGES}, {PIXELS})")
        if labels.shape != (BATCH_IMAGES,) or labels.dtype.kind not in "iu":
            raise ValueError(f"labels are {labels.dtype} {labels.shape}, expected {BATCH_IMAGES} integers")
    except ValueError as error:
        raise DataError(f"{place}: {error}. {_ADVICE}") from error
    return data.astype(np.uint8, copy=False), labels


def _array(value: object) -> npt.NDArray[Any]:
    return value.values() if isinstance(value, Array) else np.asarray(value)
