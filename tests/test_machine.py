import shutil
import subprocess
from pathlib import Path

import pytest

from airbench_var import machine


def test_the_commit_of_a_tracked_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual environment in somebody else's checkout does not make their commit ours."""
    module = tmp_path / "checkout" / "machine.py"
    module.parent.mkdir()
    shutil.copy(machine.__file__, module)
    monkeypatch.setattr(machine, "__file__", str(module))

    def git(*arguments: str) -> str:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(module.parent), *who, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "theirs")
    assert machine.commit() is None
    git("add", "machine.py")
    git("commit", "-q", "-m", "ours")
    assert machine.commit() == git("rev-parse", "HEAD")
    module.write_text("changed")
    assert machine.commit() == git("rev-parse", "HEAD") + "+"


def test_a_short_commit_still_says_that_files_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    for whole, short in (
        ("0123456789abcdef", "01234567"),
        ("0123456789abcdef+", "01234567+"),
        (None, "unknown"),
    ):
        monkeypatch.setattr(machine, "commit", lambda whole=whole: whole)
        assert machine.short_commit() == short


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023",
            "535.104.05",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.124  Release Build", "570.124"),
        ("something else", None),
    ],
)
def test_the_driver_of_a_gpu(
    text: str, version: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "NVIDIA", tmp_path / "version")
    assert machine.nvidia_driver() is None
    (tmp_path / "version").write_text(text)
    assert machine.nvidia_driver() == version


def test_the_processor_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
    assert machine.cpu_name()
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: Fast 9000\n")
    assert machine.cpu_name() == "Fast 9000"
