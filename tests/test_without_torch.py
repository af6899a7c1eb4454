"""The analysing half passes its tests where torch is not installed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


PARTS = ("stats", "analysis", "report", "store/test_format.py", "store/test_reader.py")


def test_the_analysing_half_needs_no_torch() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not statistics", "-p", "no:cacheprovider"]
    tests = [f"tests/{part}" for part in PARTS]
    ran = subprocess.run(
        [*command, "-p", "tests.without_torch", *tests], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " skipped" not in ran.stdout


def test_the_plugin_hides_torch() -> None:
    code = "import tests.without_torch, torch"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "ModuleNotFoundError: No module named 'torch'" in ran.stderr
