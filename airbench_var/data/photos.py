"""A data set of photographs on the disk: one file to train on, others to test on, each with what it is of.

The classes of a further test set are told in one of four ways, of which the first that fits is taken:

NAME.classes.json     beside it, {"its class": ["training class", ...]}: a prediction of any of these is
                      right, and images of a class without any are left out
NAME.mappings         beside it, the folder that is published with ObjectNet, which says the same
equal names           a part of the training classes (ImageNet-R, Sketch)
numbers from 0 on     the places of the training classes (ImageNet-V2)

Predicted is the largest among the classes that the test set has, as the authors of ImageNet-R do it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from airbench_var.data.beton import read_rows, rows_sha256
from airbench_var.data.objectnet import read_meanings
from airbench_var.data.photo_writer import about_photos
from airbench_var.errors import DataError, UsageError
from airbench_var.store.rows import label_dtype

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
    #: Of each of its classes, the training classes that it means; empty where it has no counterpart.
    meanings: tuple[tuple[int, ...], ...]
    trained: int  #: number of training classes

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of its classes."""
        return tuple(self.about["classes"])

    @cached_property
    def examples_M(self) -> npt.NDArray[np.int64]:
        """The numbers in the file of the images whose class has a counterpart."""
        has_one = np.array([bool(meaning) for meaning in self.meanings])
        return np.flatnonzero(has_one[self._classes_N])

    @cached_property
    def labels_M(self) -> npt.NDArray[Any]:
        """The labels of these, among the training classes: the first of those that are right."""
        first = np.array([meaning[0] if meaning else 0 for meaning in self.meanings])
        labels_M: npt.NDArray[Any] = first[self._classes_N[self.examples_M]]
        return labels_M.astype(label_dtype(self.trained))

    @cached_property
    def _classes_N(self) -> npt.NDArray[np.int64]:
        return np.asarray(read_rows(self.path)["label"], np.int64)

    def predicted(self, logits_MK: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Return the largest of the classes that the test set has, (M,); of those that are right, the first.

        NaN counts as the largest.
        """
        meant = sorted({k for meaning in self.meanings for k in meaning})
        same_K = np.arange(self.trained)
        for meaning in self.meanings:
            same_K[list(meaning)] = meaning[0] if meaning else 0
        chosen_M = np.array(meant)[logits_MK[:, meant].argmax(axis=1)]
        predicted_M: npt.NDArray[Any] = same_K[chosen_M]
        return predicted_M.astype(label_dtype(self.trained))

    @property
    def fingerprint(self) -> dict[str, str | int]:
        """Number of images, and the hashes of their bytes as they are kept and of their labels."""
        fingerprint = {name: self.about[name] for name in ("n", "images_sha256", "labels_sha256")}
        if self.meanings == tuple((k,) for k in range(self.trained)):
            return fingerprint
        text = json.dumps(self.meanings, separators=(",", ":"))
        return fingerprint | {"meanings_sha256": hashlib.sha256(text.encode()).hexdigest()}


@dataclass(frozen=True, kw_only=True)
class PhotoData:
    """What networks are trained and tested on."""

    name: str
    title: str  #: for people
    source: str  #: where it lies, for people
    classes: tuple[str, ...]
    train: Photos
    tests: Mapping[str, Photos]
    folder: Path

    @property
    def test_set_names(self) -> tuple[str, ...]:
        """The names of the test sets."""
        return tuple(self.tests)

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
    about, path = _about(folder, TRAIN)
    classes = tuple(about["classes"])
    same = tuple((k,) for k in range(len(classes)))
    train = Photos(path=path, about=about, meanings=same, trained=len(classes))
    test = _test_set(folder, VALIDATION, classes)
    if test.classes != classes:
        raise DataError(f"{test.path} has other classes than {path}: {_first_other(classes, test.classes)}.")
    return PhotoData(
        name="photos",
        title=f"photographs in {len(classes):,} classes",
        source=str(folder),
        classes=classes,
        train=train,
        tests={VALIDATION: test},
        folder=folder,
    )


def with_further(
    data: PhotoData, names: Sequence[str], *, skip_missing: bool, say: Callable[[str], None]
) -> PhotoData:
    """Return the data with further test sets, which lie beside the others as NAME.beton.

    Those that are not there are left out with `skip_missing`, and `say` is told.

    Raises: UsageError for a name that is given twice; DataError for what is missing, cut short, or of classes
    that are none of the training classes.
    """
    tests = dict(data.tests)
    for name in names:
        if name in tests:
            raise UsageError(f"test set {name!r} is there already: leave it out.")
        if skip_missing and not (data.folder / f"{name}{ENDING}").is_file():
            say(f"skipped test set {name}: {data.folder / name}{ENDING} is not there.")
            continue
        tests[name] = _test_set(data.folder, name, data.classes)
    return replace(data, tests=tests)


def _test_set(folder: Path, name: str, trained: tuple[str, ...]) -> Photos:
    about, path = _about(folder, name)
    classes = tuple(about["classes"])
    meanings = _meanings(path, classes, trained)
    return Photos(path=path, about=about, meanings=meanings, trained=len(trained))


def _meanings(path: Path, classes: tuple[str, ...], trained: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    """Return the training classes that each class means, see above."""
    place = {name: k for k, name in enumerate(trained)}
    told, mappings = path.with_suffix(".classes.json"), path.with_suffix(".mappings")
    if told.is_file():
        return _meanings_told(told, _told(told), classes, place)
    if mappings.is_dir():
        return _meanings_told(mappings, read_meanings(mappings, trained), classes, place)
    if all(name in place for name in classes):
        return tuple((place[name],) for name in classes)
    if all(name.isdecimal() and int(name) < len(trained) for name in classes):
        return tuple((int(name),) for name in classes)
    other = next(name for name in classes if name not in place)
    raise DataError(
        f"{path} has a class {other!r}, which is none of the training classes. What its classes mean goes "
        f'into {told}: {{"its class": ["training class", ...], ...}}.'
    )


def _told(told: Path) -> dict[str, tuple[str, ...]]:
    try:
        by_name = json.loads(told.read_text(encoding="utf-8"))
        return {name: tuple(meaning) for name, meaning in by_name.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{told} cannot be read as a mapping of classes: {error}.") from error


def _meanings_told(
    told: Path, by_name: Mapping[str, tuple[str, ...]], classes: tuple[str, ...], place: Mapping[str, int]
) -> tuple[tuple[int, ...], ...]:
    meanings = tuple(by_name.get(name, ()) for name in classes)
    seen = set[str]()
    for name, meaning in zip(classes, meanings, strict=True):
        for one in meaning:
            if one not in place:
                raise DataError(f"{told}: {name!r} means {one!r}, which is none of the training classes.")
            if one in seen:
                raise DataError(f"{told}: {one!r} is meant twice; a prediction of it would be right on both.")
            seen.add(one)
    if not seen:
        raise DataError(f"{told} gives no class of its file a meaning.")
    return tuple(tuple(place[one] for one in meaning) for meaning in meanings)


def _about(folder: Path, name: str) -> tuple[Mapping[str, Any], Path]:
    path = folder / f"{name}{ENDING}"
    if not path.is_file():
        raise DataError(
            f"{path} is not there. Write it: `python -m airbench_var photos IMAGES/{name} --out {path}`."
        )
    about = about_photos(path)
    if rows_sha256(path) != about["rows_sha256"]:
        raise DataError(f"{path} is not the file that {path.name}.json is of. Write it anew.")
    return about, path


def _first_other(ours: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    for name in (*ours, *theirs):
        if (name in ours) != (name in theirs):
            return f"{name!r} is in one alone"
    return "they are in another order"
