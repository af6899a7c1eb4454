"""Where the time of a step goes: named, complete, and added up."""

import pytest

from bench.__main__ import main
from bench.operations import condensed

SMALL = ["--set", "batch_size=20", "--set", "network.widths=8,8,8"]


def test_each_engine_has_its_table_of_operations(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["operations", "--engines", "eager", *SMALL]) == 0
    shown = capsys.readouterr().out
    assert "step of tiny, 20 images, eager" in shown
    assert "aten::convolution_backward" in shown
    assert "n = 5 steps" in shown


def test_small_operations_are_added_up() -> None:
    times_ms = {"large": 9.8, "small": 0.1, "smaller": 0.1}
    assert condensed(times_ms) == pytest.approx({"large": 9.8, "2 others": 0.2})
