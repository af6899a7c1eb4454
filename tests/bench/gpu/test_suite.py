"""What pytest says of the tests for a GPU decides the section."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from airbench_var.data.dataset import Dataset
from bench.gpu.report import NEEDS_CUDA, Report
from bench.gpu.session import QUICK, Deadline, Session
from bench.gpu.suite import section
from bench.schema import CheckFailedError

Says = tuple[int, str]  # exit code, what is in the file of results

GREEN = '<testsuites><testsuite tests="3" failures="0" errors="0" skipped="1"/></testsuites>'
RED = GREEN.replace('failures="0"', 'failures="1"')
SKIPPED = GREEN.replace('skipped="1"', 'skipped="3"')


def outcome(device: str, says: Says, data: Dataset, out: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Run the section where pytest ends so."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[4:8] == ["-m", "gpu", "-k", "not compiled"]
        assert any(part.endswith("test_triton.py") for part in command)
        if says[1]:
            (out / "tests.xml").write_text(says[1])
        return subprocess.CompletedProcess(command, says[0])

    session = Session(device=torch.device("cpu"), sizes=QUICK, data=data, out=out)
    report = Report(session.machine)
    monkeypatch.setattr(subprocess, "run", run)
    session.device = torch.device(device)
    section(session, report, Deadline(0))
    return report


def test_on_a_gpu_some_must_pass_and_none_fail(
    small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = outcome("cuda", (0, GREEN), small_data, tmp_path, monkeypatch)
    assert (report.figures["tests_passed"], report.figures["tests"]) == (2, 3)


@pytest.mark.parametrize("says", [(1, RED), (0, SKIPPED), (2, ""), (1, GREEN)])
def test_anything_else_fails_the_section(
    says: Says, small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tests.xml").write_text(GREEN)  # of a call before
    with pytest.raises(CheckFailedError, match="exit code"):
        outcome("cuda", says, small_data, tmp_path, monkeypatch)


def test_on_a_cpu_all_are_skipped_and_that_is_said(
    small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = outcome("cpu", (0, SKIPPED), small_data, tmp_path, monkeypatch)
    assert report.figures["tests_passed"] == NEEDS_CUDA
    monkeypatch.undo()
    with pytest.raises(CheckFailedError):
        outcome("cpu", (1, RED), small_data, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("device", "visible", "seen"),
    [("cuda", None, "0"), ("cuda:1", None, "1"), ("cuda:1", "4,7", "7"), ("cpu", "4,7", "4,7")],
)
def test_other_processes_see_the_gpu_that_is_measured(
    device: str,
    visible: str | None,
    seen: str,
    small_data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    session = Session(device=torch.device(device), sizes=QUICK, data=small_data, out=tmp_path)
    assert session.environment["CUDA_VISIBLE_DEVICES"] == seen
