"""The command for a GPU machine, whole, at tiny sizes on the CPU: no section makes up a number."""

import json
from pathlib import Path
from typing import Any

import pytest

from airbench_var.errors import DeviceError, UsageError
from bench.__main__ import main as bench
from bench.gpu import command
from bench.gpu.command import SECTIONS, main
from bench.gpu.report import NEEDS_CUDA
from bench.gpu.session import FULL

STAND_IN = Path(__file__).with_name("stand_in_peer.py")
QUICK = ["--device", "cpu", "--quick"]
ALWAYS = [section for section in SECTIONS if not section.by_name]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder after a whole call."""
    folder = tmp_path_factory.mktemp("gpu") / "out"
    assert main([*QUICK, "--out", str(folder), "--peer", str(STAND_IN)]) == 0
    return folder


@pytest.fixture
def sections(out: Path) -> dict[str, Any]:
    numbers = json.loads((out / "numbers.json").read_text())
    found: dict[str, Any] = numbers["sections"]
    return found


def test_every_section_is_done_in_order(sections: dict[str, Any]) -> None:
    assert list(sections) == [section.name for section in ALWAYS]
    assert {section["status"] for section in sections.values()} == {"done"}


def test_every_row_says_what_it_is_of(sections: dict[str, Any]) -> None:
    rows = [row for section in sections.values() for row in section["rows"]]
    assert len(rows) == 4 + 3 + 1 + 3 + 3
    for row in rows:
        assert row["n"] >= 2
        assert 0 < row["min"] <= row["p50"] <= row["p95"]
        assert row["first"] > 0
        assert row["share_of_ceiling"] > 0
        assert row["device"]
        assert row["commit"]
        for package in ("torch", "triton", "numpy", "Python"):
            assert package in row["versions"]


def test_what_only_a_gpu_can_say_is_not_said(sections: dict[str, Any]) -> None:
    missing = {
        (name, figure)
        for name, section in sections.items()
        for figure, value in section["figures"].items()
        if value == NEEDS_CUDA
    }
    assert missing == {
        ("tests", "tests_passed"),
        ("per_run", "compile_and_capture_s"),
        ("equivalence", "captured_and_uncaptured_give_equal_bits"),
    }


def test_figures_are_those_that_the_issue_asks_for(sections: dict[str, Any]) -> None:
    figures = {name: section["figures"] for name, section in sections.items()}
    assert set(figures["at_a_time"]["networks_per_hour_by_number_at_a_time"]) == {"1", "2", "4"}
    assert 0 < figures["per_run"]["mean_accuracy_synthetic"] < 1
    assert 0 <= figures["profile"]["idle_share"] < 1
    assert sum(v for k, v in figures["profile"].items() if k.startswith("share_")) == pytest.approx(1)
    for test_set in ("synthetic", "synthetic-tta"):
        difference = figures["equivalence"][test_set]["difference_on_this_test_set"]
        assert difference["low"] < difference["value"] < difference["high"]
    assert figures["equivalence"]["runs_reference"] == 6
    assert figures["peer"]["peer_call_s_over_ours"] > 0
    assert [row["p50"] for row in sections["peer"]["rows"] if "own clock" in row["variant"]] == [1234.5]


def test_the_table_is_for_people(out: Path) -> None:
    text = (out / "table.txt").read_text()
    for shown in (
        "driver",
        "commit",
        "data: Synthetic",
        "needs CUDA",
        *(section.title for section in ALWAYS),
    ):
        assert shown in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_logs_of_others_are_kept_and_nothing_else(out: Path) -> None:
    names = ["numbers.json", "peer.txt", "table.txt", "tests.txt", "tests.xml"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert "1.2345" in (out / "peer.txt").read_text()


def test_one_section_is_added_to_what_is_there(out: Path, sections: dict[str, Any]) -> None:
    before = (out / "numbers.json").read_text()
    try:
        assert main([*QUICK, "--out", str(out), "--only", "ceilings"]) == 0
        after = json.loads((out / "numbers.json").read_text())["sections"]
    finally:
        (out / "numbers.json").write_text(before)
    assert after.keys() == sections.keys()
    assert after["kernels"] == sections["kernels"]
    assert after["ceilings"]["rows"] != sections["ceilings"]["rows"]


def test_numbers_of_another_machine_are_not_mixed(
    tmp_path: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = json.loads((out / "numbers.json").read_text())
    numbers["machine"]["name"] = "another"
    (tmp_path / "numbers.json").write_text(json.dumps(numbers))
    assert main([*QUICK, "--out", str(tmp_path), "--only", "ceilings"]) == UsageError.exit_code
    assert "of another machine" in capsys.readouterr().err
    assert json.loads((tmp_path / "numbers.json").read_text()) == numbers


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--device", "cuda:77"], DeviceError.exit_code, "cuda:77"),
        ([*QUICK, "--peer", "nowhere"], UsageError.exit_code, "there is no airbench94_muon.py"),
        ([*QUICK, "--data-dir", "nowhere"], 3, "does not exist"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(
    options: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(["gpu", "--out", str(tmp_path / "out"), *options]) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_predictions_fit_the_budget_and_the_issue() -> None:
    assert sum(section.predicted_s for section in ALWAYS) <= command.BUDGET_S < 8 * 60
    assert FULL.runs[0] >= 50
    assert FULL.at_a_time == (1, 2, 4)
    assert FULL.recipe.name == "airbench94"
