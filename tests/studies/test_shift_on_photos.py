"""The study of shift on photographs, through real FFCV: `val`, a part of the classes, and numbered ones."""

import json
from pathlib import Path

import pytest

from airbench_var.data.image_folder import scan
from airbench_var.data.photo_encoder import PhotoSettings
from airbench_var.data.photo_writer import write_photos
from tests.cli.running import run
from tests.data.photos import draw_folder
from tests.photos.small import write_data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_data(tmp_path / "data")
    part, numbered = (
        draw_folder(tmp_path / name, (20, 20), seed=seed) for name, seed in (("r", 2), ("v2", 3))
    )
    for place, name in enumerate("ab"):
        (numbered / name).rename(numbered / str(place))
    for images in (part, numbered):
        write_photos(scan(images), folder / f"{images.name}.beton", PhotoSettings())
    return folder


def test_every_run_is_tested_on_all_and_they_are_compared(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ffcv")
    out = tmp_path / "out"
    command = ["study", "shift", "--data", "photos", "--data-dir", str(folder), "--out", str(out)]
    code, _, told = run([*command, "--workers", "1"], capsys)
    assert (code, "needs --test-sets" in told) == (2, True)
    code, printed, told = run(
        [*command, "--test-sets", "r,v2,sketch", "--skip-missing-test-sets", "--workers", "1", "--quiet"],
        capsys,
    )
    assert code == 0, told
    assert "skipped test set sketch" in told
    assert "On every shifted test set" in printed
    document = json.loads((out / "numbers.json").read_text())
    assert document["arms"][0]["test_sets"] == ["r", "v2"]
    of = {number["arm"] for number in document["numbers"] if number["name"] == "mean_accuracy"}
    assert of == {"val", "r", "v2"}
    pairs = {number["arm"] for number in document["numbers"] if number["name"] == "correlation_of_whole"}
    assert pairs <= {"val and r", "val and v2", "r and v2"}
    assert (out / "figures" / "spread.png").exists()
