"""Published test sets with the classes of CIFAR-10 and other images, from their own files.

| name | files, in the folder in which CIFAR-10 lies | examples |
|---|---|---|
| cifar10.1-v4, cifar10.1-v6 | cifar10.1_v4_data.npy and cifar10.1_v4_labels.npy, or v6 | 2,021, 2,000 |
| cifar10.2 | cifar102_test.npz | 2,000 |
| cifar10-c-KIND-S | CIFAR-10-C/KIND.npy and CIFAR-10-C/labels.npy; severity S of 5 | 10,000 |
| cinic10 | CINIC-10/test/airplane/n*.png and so on; not its images of CIFAR-10 | 70,000 |

CIFAR-10.1 has class after class, and so may CIFAR-10.2; CINIC-10 is put in the order of class, then name. Of
these, fewer examples are taken at even distances; of CIFAR-10-C, which has the order of the test images, the
first. The 70,000 files of CINIC-10 take a while to read (15 s where it was tried).

Sources: Recht et al., "Do CIFAR-10 classifiers generalize to CIFAR-10?", 2018; Lu et al., "Harder or
different?", 2020; Hendrycks and Dietterich, "Benchmarking neural network robustness", ICLR 2019; Darlow et
al., "CINIC-10 is not ImageNet or CIFAR-10", 2018, and github.com/BayesWatch/cinic-10, README.md, for the
numbers of its images and their names. Digests are those of the publishers. Of all these files only the labels
of CIFAR-10.1 have been met; the others were tried as files written in their format.
"""

import hashlib
import re
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from airbench_var.data.cifar10 import CLASSES
from airbench_var.data.dataset import Examples, Split
from airbench_var.errors import DataError, DeviceError

CIFAR10_1_SIZES = {"v4": 2021, "v6": 2000}
CIFAR10_2_SIZE = 2000
SEVERITIES, A_SEVERITY = 5, 10_000  # of CIFAR-10-C: how many, and the images of each
A_CINIC_CLASS = 7000  #: images from ImageNet in each class of a part of CINIC-10; 2,000 more are of CIFAR-10

#: md5 of CIFAR-10-C/NAME.npy.
CIFAR10_C_MD5 = {
    "brightness": "0a81ef75e0b523c3383219c330a85d48",
    "contrast": "3c8262171c51307f916c30a3308235a8",
    "defocus_blur": "7d1322666342a0702b1957e92f6254bc",
    "elastic_transform": "9421657c6cd452429cf6ce96cc412b5f",
    "fog": "7b397314b5670f825465fbcd1f6e9ccd",
    "frost": "31f6ab3bce1d9934abfb0cc13656f141",
    "gaussian_blur": "c33370155bc9b055fb4a89113d3c559d",
    "gaussian_noise": "ecaf8b9a2399ffeda7680934c33405fd",
    "glass_blur": "7361fb4019269e02dbf6925f083e8629",
    "impulse_noise": "2090e01c83519ec51427e65116af6b1a",
    "jpeg_compression": "2b9cc4c864e0193bb64db8d7728f8187",
    "motion_blur": "fffa5f852ff7ad299cfe8a7643f090f4",
    "pixelate": "0f14f7e2db14288304e1de10df16832f",
    "saturate": "1cfae0964219c5102abbb883e538cc56",
    "shot_noise": "3a7239bb118894f013d9bf1984be7f11",
    "snow": "bb238de8555123da9c282dea23bd6e55",
    "spatter": "8a5a3903a7f8f65b59501a6093b4311e",
    "speckle_noise": "ef00b87611792b00df09c0b0237a1e30",
    "zoom_blur": "6ea8e63f1c5cdee1517533840641641b",
    "labels": "c439b113295ed5254878798ffe28fd54",
}
KINDS = tuple(name for name in CIFAR10_C_MD5 if name != "labels")  #: of CIFAR-10-C: 15, and 4 extra ones
_EXTRA = ("gaussian_blur", "saturate", "spatter", "speckle_noise")
BENCHMARK = tuple(kind for kind in KINDS if kind not in _EXTRA)  #: the 15 that results are usually given for

#: Algorithm and digest of the official files; "git" is the id of a blob.
DIGESTS = {
    "cifar10.1_v4_data.npy": ("git", "1094f59a54cf768f7b1ca5029eb4a94b8c635ebe"),
    "cifar10.1_v4_labels.npy": ("md5", "6b7b8e6d26b5addd368440d9e0a24ead"),
    "cifar10.1_v6_data.npy": ("git", "24349cc5f3fb59648d75cd8015b5a184b1f5c250"),
    "cifar10.1_v6_labels.npy": ("md5", "09a97fb7c430502fcbd69d95093a3f85"),
    "cifar102_test.npz": ("sha256", "e4fd6462bd5141ed293acd52ea570952f65d1bfd4ec9b068f87742f75a7a632e"),
    **{f"CIFAR-10-C/{name}.npy": ("md5", digest) for name, digest in CIFAR10_C_MD5.items()},
}
_ADVICE = "Fetch it again, or leave out this test set."

Array = npt.NDArray[Any]
Labels = npt.NDArray[np.uint8]


class Published:
    """A test set in files that somebody published; `folder` is that in which CIFAR-10 lies."""

    def __init__(self, where: str, files: tuple[str, ...], size: int) -> None:
        self.where = where  #: it was published
        self.files = files  #: paths in the folder
        self.size = size  #: examples

    def missing(self, folder: Path) -> list[str]:
        """Return those of `files` that are not there."""
        with _reading(folder):
            return [file for file in self.files if not (folder / file).exists()]

    def doubt(self, folder: Path) -> str:
        """Return why these may not be the official files, or ''; the files are read in full, once."""
        others = [file for file in self.files if not _is_official(folder / file, *DIGESTS[file])]
        return f"not the official {', '.join(others)}" if others else ""

    def load(self, folder: Path, n: int | None = None) -> Examples:
        """Return n of the examples, by default all; raises DataError that names a file which is not right."""
        raise NotImplementedError


class Cifar10_1(Published):
    """CIFAR-10.1, in two versions that share nine tenths of their images."""

    def __init__(self, version: str) -> None:
        files = f"cifar10.1_{version}_data.npy", f"cifar10.1_{version}_labels.npy"
        super().__init__("https://github.com/modestyachts/CIFAR-10.1", files, CIFAR10_1_SIZES[version])

    def load(self, folder: Path, n: int | None = None) -> Split:
        """Return images and labels, see `Published`."""
        images, labels = (folder / file for file in self.files)
        return _evenly(
            Split(
                images_NHWC=_images(_mapped(images), images, self.size),
                labels_N=_labels(_mapped(labels), labels, self.size),
            ),
            n,
        )


class Cifar10_2(Published):
    """The test set of CIFAR-10.2, 200 images a class."""

    def __init__(self) -> None:
        where = "https://github.com/modestyachts/cifar-10.2"
        super().__init__(where, ("cifar102_test.npz",), CIFAR10_2_SIZE)

    def load(self, folder: Path, n: int | None = None) -> Split:
        """Return images and labels, see `Published`; what else the file has is not looked at."""
        path = folder / self.files[0]
        with _reading(path), path.open("rb") as file:  # which NumPy leaves open when it is no archive
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{path} is no .npz file. {_ADVICE}")
            if missing := {"images", "labels"} - {*archive.files}:
                raise DataError(f"{path} has no array {' and none '.join(sorted(missing))}. {_ADVICE}")
            images, labels = (np.asarray(archive[key]) for key in ("images", "labels"))
        return _evenly(
            Split(
                images_NHWC=_images(images, path / "images", self.size),
                labels_N=_labels(labels, path / "labels", self.size),
            ),
            n,
        )


class Cifar10C(Published):
    """One corruption of CIFAR-10-C at one severity, 1 ... 5."""

    def __init__(self, kind: str, severity: int) -> None:
        files = f"CIFAR-10-C/{kind}.npy", "CIFAR-10-C/labels.npy"
        super().__init__("https://doi.org/10.5281/zenodo.2535967", files, A_SEVERITY)
        self.severity = severity

    def load(self, folder: Path, n: int | None = None) -> "Mapped":
        """Return images and labels, see `Published`; the images are not read before they are needed."""
        images, labels = (folder / file for file in self.files)
        _images(_mapped(images), images, SEVERITIES * self.size)
        labels_N = _labels(_mapped(labels), labels, SEVERITIES * self.size)
        first = (self.severity - 1) * self.size
        n = self.size if n is None else n
        return Mapped(path=images.absolute(), first=first, labels_N=labels_N[first : first + n].copy())


class Cinic10(Published):
    """The test part of CINIC-10 without its images of CIFAR-10, of which some are training images."""

    def __init__(self) -> None:
        folders = tuple(f"CINIC-10/test/{name}" for name in CLASSES)
        super().__init__("https://doi.org/10.7488/ds/2448", folders, len(CLASSES) * A_CINIC_CLASS)

    def doubt(self, folder: Path) -> str:
        """Return that nothing can be said, see `Published`."""
        return "not checked: the images of CINIC-10 have no published digests"

    def load(self, folder: Path, n: int | None = None) -> Split:
        """Return images and labels, see `Published`; raises DeviceError where Pillow is missing."""
        paths = [path for file in self.files for path in _imagenet_images(folder / file)]
        chosen_N = _even_rows(len(paths), n)
        images_NHWC = np.empty((len(chosen_N), 32, 32, 3), np.uint8)
        for row, chosen in enumerate(chosen_N):
            images_NHWC[row] = _png(paths[chosen])
        return Split(images_NHWC=images_NHWC, labels_N=(chosen_N // A_CINIC_CLASS).astype(np.uint8))


def published(name: str) -> Published | None:
    """Return the test set of that name, or None when it is not one of NAMES."""
    if name not in NAMES:
        return None
    if name == "cinic10":
        return Cinic10()
    if name == "cifar10.2":
        return Cifar10_2()
    start, _, last = name.rpartition("-")
    return Cifar10_1(last) if start == "cifar10.1" else Cifar10C(start.removeprefix("cifar10-c-"), int(last))


#: Every name that `published` knows.
NAMES = (
    *(f"cifar10.1-{version}" for version in CIFAR10_1_SIZES),
    "cifar10.2",
    "cinic10",
    *(f"cifar10-c-{kind}-{severity}" for kind in KINDS for severity in range(1, SEVERITIES + 1)),
)


def lacking(folder: Path, missing: Mapping[Published, list[str]]) -> str:
    """Return in words which files the folder lacks, each once, and where they were published."""
    of_places: dict[str, dict[str, None]] = {}
    for one, files in missing.items():
        of_places.setdefault(one.where, {}).update(dict.fromkeys(files))
    lists = (f"{', '.join(files)} (published at {where})" for where, files in of_places.items())
    return f"{folder}, where CIFAR-10 lies, lacks {'; '.join(lists)}"


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """Examples whose images are rows of a .npy file from `first` on, read whenever they are needed."""

    path: Path
    first: int
    labels_N: Labels
    #: The fingerprint where the command was given; a worker, perhaps on another machine, must find the same.
    known: dict[str, str | int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels_N)

    def blocks(self, size: int) -> Iterator[Split]:
        """Yield all examples in order, see `Examples`; raises DataError where the file has become another."""
        return self._split.blocks(size)

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """That of these rows alone, see `Split`."""
        return self.known or self._split.fingerprint

    @cached_property
    def _split(self) -> Split:
        rows = slice(self.first, self.first + len(self))
        split = Split(images_NHWC=_mapped(self.path)[rows], labels_N=self.labels_N)
        if self.known and split.fingerprint != self.known:
            raise DataError(
                f"{self.path} has other images than when the command was given, or than on the machine where "
                "it was. Give all machines the same file, and give the command again."
            )
        return split

    def __getstate__(self) -> dict[str, object]:
        """Leave out the images: a worker maps its own."""
        own = {"path": self.path, "first": self.first, "labels_N": self.labels_N}
        return {**own, "known": self.fingerprint}


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Name the file in whatever NumPy, zipfile or Pillow raise for bytes that are not what they should be."""
    try:
        yield
    except (OSError, ValueError, EOFError, SyntaxError, tokenize.TokenError, MemoryError) as error:
        raise DataError(f"{path} cannot be read: {error}. {_ADVICE}") from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path} is damaged: {error}. {_ADVICE}") from error


def _mapped(path: Path) -> Array:
    """Return the array of a .npy file without reading it; nothing in it is ever unpickled."""
    with _reading(path):
        return np.lib.format.open_memmap(path, mode="r")  # as np.load, which also opens archives


def _images(array: Array, place: Path, n: int) -> npt.NDArray[np.uint8]:
    expected = (n, 32, 32, 3)
    if array.dtype != np.uint8 or array.shape != expected:
        raise DataError(f"{place}: {array.dtype} {array.shape}, expected uint8 {expected}. {_ADVICE}")
    return array


def _labels(array: Array, place: Path, n: int) -> Labels:
    if array.dtype.kind not in "iu" or array.shape != (n,):
        raise DataError(f"{place}: {array.dtype} {array.shape}, expected {n} integers. {_ADVICE}")
    if not 0 <= array.min() <= array.max() < len(CLASSES):
        raise DataError(f"{place}: labels {array.min()} ... {array.max()}, expected 0 ... 9. {_ADVICE}")
    return array.astype(np.uint8)


def _even_rows(size: int, n: int | None) -> npt.NDArray[np.int64]:
    return np.arange(size) if n is None else np.arange(n) * size // n


def _evenly(split: Split, n: int | None) -> Split:
    """Return n examples at even distances, or all, in memory."""
    rows_N = _even_rows(len(split), n)
    return Split(images_NHWC=split.images_NHWC[rows_N], labels_N=split.labels_N[rows_N])


def _imagenet_images(folder: Path) -> list[Path]:
    with _reading(folder):
        paths = sorted(path for path in folder.iterdir() if re.fullmatch(r"n\d+_\d+\.png", path.name))
    if len(paths) != A_CINIC_CLASS:
        raise DataError(
            f"{folder} has {len(paths):,} images n*.png, expected {A_CINIC_CLASS:,}. Unpack CINIC-10.tar.gz "
            "in CINIC-10 once more, or leave out this test set."
        )
    return paths


def _png(path: Path) -> npt.NDArray[np.uint8]:
    """Return an image, uint8 (32, 32, 3); a grey one gets three equal channels."""
    try:
        from PIL import Image
    except ImportError as error:
        raise DeviceError("cinic10 needs Pillow, which is not installed: pip install pillow.") from error
    try:
        with _reading(path), Image.open(path, formats=["PNG"]) as image:
            if image.size != (32, 32) or image.mode not in ("RGB", "L"):
                found = f"{image.size[0]} x {image.size[1]} pixels of mode {image.mode}"
                raise DataError(f"{path}: {found}, expected 32 x 32 of RGB or L. {_ADVICE}")
            return np.asarray(image.convert("RGB"))
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: {error}. {_ADVICE}") from error


def _is_official(path: Path, algorithm: str, digest: str) -> bool:
    with _reading(path):
        status = path.stat()
        return _digest(path, algorithm, status.st_size, status.st_mtime_ns) == digest


@cache  # the five severities of a corruption have one file
def _digest(path: Path, algorithm: str, size: int, changed_ns: int) -> str:
    is_git = algorithm == "git"
    digest = hashlib.new("sha1" if is_git else algorithm, usedforsecurity=False)
    if is_git:
        digest.update(b"blob %d\0" % size)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
