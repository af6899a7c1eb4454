"""Reliability: a share is between 0 and 1, and so is what is drawn of its uncertainty."""

import numpy as np
import pytest

from airbench_var.analysis.calibration import BINS, Reliability
from airbench_var.report.figures.votes import draw_reliability

pytest.importorskip("matplotlib")

from matplotlib.collections import LineCollection
from matplotlib.figure import Figure as Canvas


def test_bars_end_where_shares_end_and_elsewhere_are_two_standard_errors() -> None:
    weight_B, error_B = np.full(BINS, 0.1), np.full(BINS, 0.001)
    error_B[:2], error_B[-1], weight_B[3] = 0.2, 0.2, 0.0  # three bins that hardly anything is in, one empty
    found = Reliability(gap_B=np.zeros(BINS), weight_B=weight_B, standard_error_B=error_B)
    axis = Canvas().subplots()
    draw_reliability(axis, found, "red")
    [bars] = [one for one in axis.collections if isinstance(one, LineCollection)]
    ends = np.array([[low, high] for (_, low), (_, high) in bars.get_segments()])
    middle_B = np.delete((np.arange(BINS) + 0.5) / BINS, 3)
    assert ends[[0, 1, -1]] == pytest.approx(np.array([[0, 1]] * 3))
    assert ends[2:-1] == pytest.approx(np.stack([middle_B - 0.02, middle_B + 0.02], axis=1)[2:-1])
    assert axis.get_ylim() == axis.get_xlim() == (-0.05, 1.05)
