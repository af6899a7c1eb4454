"""Mappings of the form that ObjectNet publishes: which classes of ImageNet are right for its folders."""

import json
from pathlib import Path

import numpy as np
import pytest

from airbench_var.data.objectnet import read_meanings
from airbench_var.errors import DataError

IDS = tuple(f"n{number:08d}" for number in range(1000))
#: Their labels are in another order than the classes, as in the published files.
LINES = np.random.default_rng(0).permutation(1000)
LABELS = {
    7: "analog clock",
    530: "digital clock",
    423: "barber chair",
    559: "folding chair",
    765: "rocking chair, rocker",
    134: "crane",
    517: "crane",
}


@pytest.fixture
def mappings(tmp_path: Path) -> Path:
    folder = tmp_path / "objectnet.mappings"
    folder.mkdir()
    lines = [""] * 1000
    for place, line in enumerate(LINES):
        lines[line] = LABELS.get(place, f"thing {place}, of which there are some")
    files = {
        "folder_to_objectnet_label.json": {
            "air_freshener": "Air freshener",
            "alarm_clock": "Alarm clock",
            "chair": "Chair",
        },
        "objectnet_to_imagenet_1k.json": {
            "Alarm clock": "analog clock; digital clock",
            "Chair": "barber chair; folding chair; rocking chair, rocker",
        },
        "pytorch_to_imagenet_2012_id.json": {str(place): int(line) for place, line in enumerate(LINES)},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "imagenet_to_label_2012_v2").write_text("\n".join(lines) + "\n")
    return folder


def test_folders_mean_the_classes_of_their_labels(mappings: Path) -> None:
    """Two classes have one label, as in the published files."""
    assert read_meanings(mappings, IDS) == {
        "alarm_clock": (IDS[7], IDS[530]),
        "chair": (IDS[423], IDS[559], IDS[765]),
    }


@pytest.mark.parametrize(
    "trained", [IDS[:100], tuple(f"class {number:04}" for number in range(1000))], ids=["few", "other names"]
)
def test_places_are_those_of_all_wordnet_ids(mappings: Path, trained: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=r"of the 1,000 classes of ImageNet .*objectnet\.classes\.json"):
        read_meanings(mappings, trained)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("folder_to_objectnet_label.json", None),
        ("objectnet_to_imagenet_1k.json", '{"Alarm clock": "sundial"}'),
        ("objectnet_to_imagenet_1k.json", "[]"),
        ("objectnet_to_imagenet_1k.json", '{"Chair": "crane"}'),
        ("pytorch_to_imagenet_2012_id.json", '{"0": 1000}'),
        ("imagenet_to_label_2012_v2", ""),
    ],
)
def test_what_is_not_of_the_form_is_refused(mappings: Path, file: str, content: str | None) -> None:
    if content is None:
        (mappings / file).unlink()
    else:
        (mappings / file).write_text(content)
    with pytest.raises(DataError, match=r"cannot be read as ObjectNet's .*Copy the folder as it is"):
        read_meanings(mappings, IDS)
