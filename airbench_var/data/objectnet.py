"""What classes of ObjectNet mean on ImageNet, from the four files that its authors publish in `mappings`.

folder_to_objectnet_label.json   {"alarm_clock": "Alarm clock", ...}: of 313 folders
objectnet_to_imagenet_1k.json    {"Alarm clock": "analog clock; digital clock", ...}: of the 113 that have any
imagenet_to_label_2012_v2        a line for each class of ImageNet: its label, in an order of its own
pytorch_to_imagenet_2012_id.json {"0": line, ...}: by the place of a class among the 1,000 WordNet ids
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airbench_var.errors import DataError

#: A folder of ImageNet is named by this; their order is the one that places are counted in.
WORDNET_ID = re.compile(r"n\d{8}")


def read_meanings(mappings: Path, trained: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return, by ObjectNet's folder, the training classes that are right for its images.

    Raises: DataError unless the training classes are the 1,000 of ImageNet by WordNet id, and for files that
    are missing or not of this form.
    Source: Barbu et al., "ObjectNet", NeurIPS 2019; the folder `mappings` of objectnet-1.0.
    """
    try:
        folders = _read_json(mappings / "folder_to_objectnet_label.json")
        labels = _read_json(mappings / "objectnet_to_imagenet_1k.json")
        lines = (mappings / "imagenet_to_label_2012_v2").read_text(encoding="utf-8").splitlines()
        line_of = _read_json(mappings / "pytorch_to_imagenet_2012_id.json")
        places: dict[str, list[int]] = {}
        for k, line in line_of.items():
            places.setdefault(lines[int(line)].strip(), []).append(int(k))
        # Two classes of ImageNet are called "crane", the bird and the machine: no folder means either.
        meant = {
            folder: tuple(_only(places[one.strip()]) for one in labels[label].split(";"))
            for folder, label in folders.items()
            if label in labels
        }
        if not meant:
            raise ValueError("no folder has a class of ImageNet")
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise DataError(
            f"{mappings} cannot be read as ObjectNet's mappings: {type(error).__name__}: {error}. Copy the "
            "folder as it is in objectnet-1.0."
        ) from error
    if len(trained) != len(line_of) or not all(map(WORDNET_ID.fullmatch, trained)):
        raise DataError(
            f"{mappings} is of the {len(line_of):,} classes of ImageNet by WordNet id, and the networks are "
            f"trained on {len(trained):,} classes such as {trained[0]!r}. Say what each class of ObjectNet "
            f"means in {mappings.with_suffix('.classes.json')}."
        )
    ids = sorted(trained)
    return {folder: tuple(ids[k] for k in chosen) for folder, chosen in meant.items()}


def _only(places: Sequence[int]) -> int:
    """Return the one place that a label has; raises ValueError where it has several."""
    if len(places) > 1:
        raise ValueError(f"a label that is used is that of {len(places)} classes")
    return places[0]


def _read_json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
