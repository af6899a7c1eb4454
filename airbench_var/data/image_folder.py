"""A folder of photographs with one folder a class, as torchvision's ImageFolder has it: files and labels.

Source: torchvision, datasets/folder.py, for the order: classes by name, and the files of a class by path.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from airbench_var.errors import DataError

#: Endings of files that are images; all others are left alone.
ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
#: Labels are kept in two bytes.
MOST_CLASSES = 65_536
#: The folders of a data set that may hold what is trained on, and what runs are tested on.
TRAIN, VALIDATION = ("train", "training"), ("val", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """The images of one split; labels_N uint16 (N,) count the classes in the order of their names."""

    root: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]  #: below the root
    labels_N: npt.NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.files)


def scan(root: Path) -> ImageFolder:
    """Return what a folder holds; no image is opened.

    Raises: DataError where there is no such folder, no class in it, or a class without any image.
    """
    try:
        classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    except OSError as error:
        raise DataError(f"{root} cannot be read: {error.strerror}. Give a folder of images.") from error
    if not classes:
        raise DataError(
            f"{root} has no folder in it: expected is one folder for each class, with its images. (Of a data "
            f"set with {'/'.join((TRAIN[0], VALIDATION[0]))} give each on its own.)"
        )
    if len(classes) > MOST_CLASSES:
        raise DataError(
            f"{root} has {len(classes):,} folders, and there are at most {MOST_CLASSES:,} classes."
        )
    files, labels = list[str](), list[int]()
    for label, name in enumerate(classes):
        own = sorted(_images_below(root, name))
        if not own:
            raise DataError(
                f"{root / name} has no image ({', '.join(ENDINGS)}). In {root} every folder is taken for a "
                "class: is it the right one? Otherwise give that folder images, or move it elsewhere."
            )
        files += own
        labels += [label] * len(own)
    return ImageFolder(
        root=root, classes=tuple(classes), files=tuple(files), labels_N=np.array(labels, np.uint16)
    )


def _images_below(root: Path, name: str) -> Iterator[str]:
    for folder, _, names in os.walk(root / name, followlinks=True):
        for file in names:
            if file.lower().endswith(ENDINGS):
                yield str(Path(folder, file).relative_to(root))


def split_folder(root: Path, names: tuple[str, ...]) -> Path:
    """Return the folder of a split, under the first of these names that is there; raises DataError."""
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise DataError(f"{root} has no folder {' or '.join(names)}: it is no data set of images in folders.")
