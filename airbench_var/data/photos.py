"""A data set of photographs on the disk: one file to train on, others to test on, each with what it is of."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from airbench_var.data.beton import read_rows
from airbench_var.data.photo_writer import about_photos
from airbench_var.errors import DataError

#: The file to train on, and the one that every run is tested on.
TRAIN, VALIDATION, ENDING = "train", "val", ".beton"
#: Of ImageNet's training images, per channel, as published everywhere in units of 0 ... 1.
MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)


@dataclass(frozen=True, kw_only=True)
class Photos:
    """The photographs of one file, which stay on the disk."""

    path: Path
    about: Mapping[str, Any]  #: what `photo_writer` wrote beside it

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of its classes."""
        return tuple(self.about["classes"])

    @cached_property
    def labels_N(self) -> npt.NDArray[np.uint8]:
        """The labels (N,)."""
        return read_rows(self.path)["label"].astype(np.uint8)

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """Number of images, and the hashes of their bytes as they are kept and of their labels."""
        return {name: self.about[name] for name in ("n", "images_sha256", "labels_sha256")}


@dataclass(frozen=True, kw_only=True)
class PhotoData:
    """What networks are trained and tested on."""

    name: str
    title: str  #: for people
    source: str  #: where it lies, for people
    classes: tuple[str, ...]
    train: Photos
    tests: Mapping[str, Photos]

    @property
    def fingerprint(self) -> dict[str, dict[str, str | int]]:
        """What a store holds fixed of the data, by split."""
        return {"train": self.train.fingerprint} | {n: one.fingerprint for n, one in self.tests.items()}


def load(folder: Path | None) -> PhotoData:
    """Return what a folder holds: train.beton and val.beton, as `photos` writes them; no image is read.

    Raises: DataError for what is missing, cut short, or has other classes than the training images.
    """
    if folder is None:
        raise DataError(
            "--data photos needs --data-dir: the folder of train.beton and val.beton, which "
            "`python -m airbench_var photos FOLDER --out FILE` writes from folders of images."
        )
    train, test = (_photos(folder, name) for name in (TRAIN, VALIDATION))
    if test.classes != train.classes:
        raise DataError(
            f"{test.path} has other classes than {train.path}: {_first_other(train.classes, test.classes)}."
        )
    return PhotoData(
        name="photos",
        title=f"photographs in {len(train.classes):,} classes",
        source=str(folder),
        classes=train.classes,
        train=train,
        tests={VALIDATION: test},
    )


def _photos(folder: Path, name: str) -> Photos:
    path = folder / f"{name}{ENDING}"
    if not path.is_file():
        raise DataError(
            f"{path} is not there. Write it: `python -m airbench_var photos IMAGES/{name} --out {path}`."
        )
    about = about_photos(path)
    if len(read_rows(path)) != about["n"]:
        raise DataError(f"{path} is not the file that {path.name}.json is of. Write it anew.")
    return Photos(path=path, about=about)


def _first_other(ours: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    for name in (*ours, *theirs):
        if (name in ours) != (name in theirs):
            return f"{name!r} is in one alone"
    return "they are in another order"
