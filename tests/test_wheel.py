"""What is built from the sources holds all that the package needs, and works without them."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("airbench_var", "kernels")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, as building writes beside what it builds."""
    copy, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(out), str(copy)], check=True, capture_output=True, text=True)
    [built] = out.iterdir()
    return built


def test_every_file_of_the_package_is_in_it(wheel: Path) -> None:
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "airbench_var").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    } | {
        f"airbench_var/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / "kernels").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == expected
    assert {"airbench_var/report/html/report.css", "airbench_var/example/tiny/runs.npy"} <= held


def test_it_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 4e6


def test_it_works_alone(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-m", "airbench_var", "analyze", "--example", "--json"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["runs"] == 100
