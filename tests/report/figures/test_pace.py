"""Seconds of runs and runs per hour, from the records of a store."""

import numpy as np
import pytest

from airbench_var.report.figures.pace import draw_pace, draw_seconds

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure as Canvas


def records(seconds: "list[float]") -> "np.ndarray[tuple[int], np.dtype[np.void]]":
    made = np.zeros(len(seconds), [("run_id", "<u8"), ("worker", "<u4"), ("train_s", "<f8")])
    made["run_id"], made["train_s"] = np.arange(len(seconds)), seconds
    made["worker"] = made["run_id"] % 2
    return made


def test_runs_without_a_time_are_left_out_and_workers_told_apart() -> None:
    axis = Canvas().subplots()
    draw_seconds(axis, records([1.0, 2.0, float("nan"), 4.0]))
    assert [dots.get_label() for dots in axis.collections] == ["worker 0", "worker 1"]
    assert [dots.get_offsets().tolist() for dots in axis.collections] == [[[0, 1]], [[1, 2], [3, 4]]]


def test_pace_is_3600_over_the_mean_seconds_of_neighbours() -> None:
    axis = Canvas().subplots()
    draw_pace(axis, records([2.0] * 10 + [1.0] * 5 + [3.0] * 5 + [4.0]))
    [line] = axis.lines
    assert line.get_xdata().tolist() == [0, 10, 20, 21]
    assert line.get_ydata().tolist() == [1800, 1800, 900, 900]
