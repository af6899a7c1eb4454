"""A section that fails is reported and the others run; the numbers so far are always on the disk."""

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from airbench_var.data.dataset import Dataset
from bench.gpu import sections as module
from bench.gpu.report import Report
from bench.gpu.sections import Section, Sections
from bench.gpu.session import QUICK, Deadline, Session

Run = Any


def section(name: str, run: Run, predicted_s: float = 1.0) -> Section:
    return Section(name=name, title=f"Section {name}", predicted_s=predicted_s, run=run)


@pytest.fixture
def all_sections(tmp_path: Path, small_data: Dataset) -> Sections:
    session = Session(
        device=torch.device("cpu"),
        sizes=QUICK,
        data=small_data,
        out=tmp_path,
        options=["--out", str(tmp_path)],
    )
    return Sections(session, 100.0, Console(file=io.StringIO()))


def numbers(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "numbers.json").read_text())["sections"]
    return found


def test_a_failing_section_keeps_what_it_had_and_stops_nobody(all_sections: Sections, tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    def fails(session: Session, report: Report, deadline: Deadline) -> None:
        report.figure("before", 1)
        report.check("holds", False, "it was 3")

    def looks(session: Session, report: Report, deadline: Deadline) -> None:
        seen.append(numbers(tmp_path))

    assert all_sections.run([section("a", fails), section("b", looks)]) == ["a"]
    assert seen[0]["a"]["status"] == "failed"
    assert seen[0]["a"]["figures"] == {"before": 1, "holds": False}
    assert seen[0]["a"]["error"] == "CheckFailedError: holds: it was 3"
    assert numbers(tmp_path)["b"]["status"] == "done"
    assert "it was 3" in (tmp_path / "a.traceback.txt").read_text()
    assert not (tmp_path / "b.traceback.txt").exists()
    table = (tmp_path / "table.txt").read_text()
    assert "Section a: failed" in table
    assert "holds: NO" in table


def test_a_section_has_its_share_of_what_is_left(all_sections: Sections) -> None:
    left_s: list[float] = []

    def looks(session: Session, report: Report, deadline: Deadline) -> None:
        left_s.append(deadline.left_s)

    all_sections.run([section("a", looks, 1), section("b", looks, 1), section("c", looks, 2)])
    assert left_s == pytest.approx([25, 100 / 3, 100], rel=0.05)


def test_a_deadline_never_cuts_below_the_least() -> None:
    now_s = 0.0
    deadline = Deadline(10, clock=lambda: now_s)
    assert deadline.more(done=7, bounds=(5, 8))
    assert not deadline.more(done=8, bounds=(5, 8))
    now_s = 11
    assert deadline.left_s == -1
    assert deadline.more(done=4, bounds=(5, 8))
    assert not deadline.more(done=5, bounds=(5, 8))


def test_after_an_error_that_cuda_keeps_the_others_run_in_a_new_process(
    all_sections: Sections, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(session: Session, report: Report, deadline: Deadline) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def unreached(session: Session, report: Report, deadline: Deadline) -> None:
        raise AssertionError

    called: list[list[str]] = []

    def run(command: list[str], check: bool) -> None:
        called.append(command)
        there = json.loads((tmp_path / "numbers.json").read_text())
        there["sections"]["b"] = {"status": "done"}
        (tmp_path / "numbers.json").write_text(json.dumps(there))

    monkeypatch.setattr(module, "answers", lambda device: False)
    monkeypatch.setattr(subprocess, "run", run)
    assert all_sections.run([section("a", fails), section("b", unreached), section("c", unreached)]) == [
        "a",
        "c",
    ]
    command = called[0]
    assert command[1:6] == ["-m", "bench", "gpu", "--out", str(tmp_path)]
    assert command[6] == "--budget"
    assert 90 < float(command[7]) <= 100
    assert command[8:] == ["--only", "b", "c"]


def test_a_device_that_answers_computes() -> None:
    assert module.answers(torch.device("cpu"))
    assert not module.answers(torch.device("meta"))
