"""Python in the documentation runs as it stands, page by page, in one namespace."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks(page)))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def test_some_page_has_python() -> None:
    assert any(blocks(page) for page in PAGES)


def test_the_digits_are_trained_and_found_again(tmp_path: Path) -> None:
    example = [sys.executable, str(ROOT / "docs" / "examples" / "digits.py"), "3", str(tmp_path / "digits")]
    for _ in range(2):
        done = subprocess.run(example, capture_output=True, text=True, timeout=300, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    analyze = [sys.executable, "-m", "airbench_var", "analyze", str(tmp_path / "digits")]
    shown = subprocess.run(analyze, capture_output=True, text=True, check=True).stdout
    assert "digits-mlp, made on" in shown
    assert "3 runs, 797 test examples" in shown
