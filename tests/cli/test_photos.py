"""From folders of images to an analysis: photos, then the main job on what it wrote."""

import json
from pathlib import Path

import pytest

from airbench_var.errors import DataError, UsageError
from airbench_var.store import Store
from tests.cli.running import run
from tests.data.photos import draw_folder
from tests.photos.small import SHORT


def test_images_become_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ffcv")
    for name, n, seed in (("train", 30, 0), ("val", 9, 1)):
        images = draw_folder(tmp_path / "images" / name, (n, n), seed=seed)
        out = str(tmp_path / "data" / f"{name}.beton")
        code, printed, told = run(["photos", str(images), "--out", out], capsys)
        assert (code, f"{2 * n} images in 2 classes" in printed) == (0, True)
        assert f"{2 * n} of {2 * n} images" in told
    values = [f"--set={key}={value}" for key, value in {**SHORT, "epochs": 1}.items()]
    command = ["--recipe", "resnet18-imagenet", "--data-dir", str(tmp_path / "data"), *values]
    command += ["--out", str(tmp_path / "store"), "--devices", "cpu"]
    code, printed, told = run(["--runs", "2", *command, "--workers", "1"], capsys)
    assert (code, "val" in printed) == (0, True)
    assert "resnet18-imagenet on photographs in 2 classes" in printed
    assert "loader   ffcv: photographs stay on the disk" in told
    store = Store.open(tmp_path / "store")
    assert store.test_sets == ("val",)
    first_RN = store.correct_RN("val")[:]
    code, printed, _ = run(
        ["--runs", "3", *command, "--executor", "pool", "--workers", "1", "--json"], capsys
    )
    assert (code, json.loads(printed)["runs"]) == (0, 3)
    assert (Store.open(tmp_path / "store").correct_RN("val")[:2] == first_RN).all()
    train = tmp_path / "data" / "train.beton"
    train.write_bytes(train.read_bytes()[: 1 << 20])
    code, _, told = run(["--runs", "4", *command, "--workers", "1"], capsys)
    assert (code, "train.beton is no .beton, or was cut short" in told) == (DataError.exit_code, True)


def test_broken_images_are_named_and_left_out_as_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = draw_folder(tmp_path / "images", (3, 3))
    (images / "b" / "1.jpg").write_bytes(b"no image")
    command = ["photos", str(images), "--out", str(tmp_path / "a.beton")]
    code, _, told = run(command, capsys)
    assert (code, "1 of 6 files in" in told, "b/1.jpg" in told) == (DataError.exit_code, True, True)
    code, printed, _ = run([*command, "--skip-corrupt", "--json"], capsys)
    assert (code, json.loads(printed)["skipped"]) == (0, ["b/1.jpg"])
    code, printed, _ = run([*command, "--skip-corrupt"], capsys)
    assert (code, "1 file left out" in printed) == (0, True)


def test_mistakes_are_told_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = str(draw_folder(tmp_path / "images", (3, 3)))
    for command, exit_code, message in (
        ([images, "--out", "a.ffcv"], UsageError.exit_code, "ends in .beton"),
        ([images, "--out", str(tmp_path / "a.beton"), "--jpeg-quality", "0"], 2, "from 1 to 100"),
        (
            [str(tmp_path), "--out", str(tmp_path / "a.beton")],
            DataError.exit_code,
            "every folder is taken for a class",
        ),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        code, _, told = run(["photos", *command], capsys)
        assert (code, message in told) == (exit_code, True), told
    assert not list(tmp_path.glob("a.*"))
    code, _, told = run(["--runs", "1", "--recipe", "resnet18-imagenet"], capsys)
    assert (code, "--data photos needs --data-dir" in told) == (DataError.exit_code, True)
