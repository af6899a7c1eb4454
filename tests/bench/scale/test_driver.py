"""What is timed is a real campaign: its runs are in the store, and its view has been written."""

from pathlib import Path

import numpy as np
import pytest

from airbench_var.report.display import Mode
from airbench_var.store import Store, verify
from bench.scale.driver import Stretch, gained_bytes, memory_bytes, spread, sustained
from bench.scale.runs import DistinctRuns


@pytest.mark.parametrize(("mode", "drawn"), [("quiet", False), ("plain", False), ("auto", True)])
def test_every_result_that_is_counted_is_in_the_store(
    tmp_path: Path, mode: Mode, drawn: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = DistinctRuns(43)
    ready = sustained(runs, tmp_path / "store", 100, 40, mode, drawn=drawn)
    assert [stretch.runs for stretch in ready.stretches] == [40, 80]
    assert all(stretch.rate > 0 and stretch.cpu_us > 0 for stretch in ready.stretches)
    assert ready.making_s > 0
    assert verify(tmp_path / "store").committed == 100
    predicted = Store.open(tmp_path / "store").predicted("fake")
    np.testing.assert_array_equal(predicted[99], runs.result(99).predictions["fake"].predicted)
    assert "".join(capsys.readouterr()) == ""


def test_what_is_gained_is_from_the_first_stretch_on() -> None:
    sizes = (10, 30, 25)
    assert gained_bytes([Stretch(runs=1, rate=1.0, cpu_us=1.0, memory_bytes=size) for size in sizes]) == 15
    assert memory_bytes() > 1e7
    assert spread([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)
