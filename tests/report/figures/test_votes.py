"""Reliability: a share is between 0 and 1, and so is what is drawn of its uncertainty."""

import numpy as np
import pytest

from airbench_var.analysis.calibration import BINS, Reliability, reliability
from airbench_var.report.figures.votes import draw_reliability
from airbench_var.stats import PredictionCounts

pytest.importorskip("matplotlib")

from matplotlib.collections import LineCollection
from matplotlib.figure import Figure as Canvas


def test_bars_end_where_shares_end_and_elsewhere_are_two_standard_errors() -> None:
    weight_B, error_B = np.full(BINS, 0.1), np.full(BINS, 0.001)
    error_B[:2], error_B[-1], weight_B[3] = 0.2, 0.2, 0.0  # three bins that hardly anything is in, one empty
    middle_B = (np.arange(BINS) + 0.5) / BINS
    found = Reliability(
        gap_B=np.zeros(BINS), weight_B=weight_B, label_B=middle_B * weight_B, standard_error_B=error_B
    )
    axis = Canvas().subplots()
    draw_reliability(axis, found, "red")
    [bars] = [one for one in axis.collections if isinstance(one, LineCollection)]
    ends = np.array([[low, high] for (_, low), (_, high) in bars.get_segments()])
    middle_B = np.delete(middle_B, 3)
    assert ends[[0, 1, -1]] == pytest.approx(np.array([[0, 1]] * 3))
    assert ends[2:-1] == pytest.approx(np.stack([middle_B - 0.02, middle_B + 0.02], axis=1)[2:-1])
    assert axis.get_ylim() == axis.get_xlim() == (-0.05, 1.05)


def test_dots_are_shares_of_labels_by_shares_of_votes() -> None:
    """Votes that are right more often than they are sure: the gap to the middle of a bin may lead above 1."""
    rng = np.random.default_rng(0)
    labels_N = rng.integers(0, 5, 600).astype(np.uint8)
    right_RN = rng.random((12, 600)) < 0.7
    predicted_RN = np.where(right_RN, labels_N, rng.integers(0, 5, (12, 600))).astype(np.uint8)
    counts = PredictionCounts.of(5, labels_N, predicted_RN)
    found = reliability(counts, [counts])
    assert found is not None
    middle_B = (np.arange(BINS) + 0.5) / BINS
    assert np.nanmax(middle_B + found.gap_B / np.where(found.weight_B > 0, found.weight_B, np.nan)) > 1
    axis = Canvas().subplots()
    draw_reliability(axis, found, "red")
    across_D, upwards_D = axis.lines[-1].get_data()
    for place, (across, upwards) in zip(
        np.flatnonzero(found.weight_B), zip(across_D, upwards_D, strict=True), strict=True
    ):
        others_RNK = counts.votes_NK - (predicted_RN[:, :, None] == np.arange(5))
        pairs_RNK = np.minimum(BINS - 1, BINS * others_RNK // 11) == place
        is_label_RNK = np.broadcast_to(labels_N[:, None] == np.arange(5), pairs_RNK.shape)
        assert upwards == pytest.approx(is_label_RNK[pairs_RNK].mean())
        assert across == pytest.approx((predicted_RN[:, :, None] == np.arange(5))[pairs_RNK].mean())
