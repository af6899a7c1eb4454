"""Leaving out chunks: exact for a mean, also when the chunks differ in size."""

import numpy as np
import pytest

from airbench_var.analysis.agreement import errors
from airbench_var.analysis.jackknife import chunk_standard_error
from airbench_var.stats import PredictionCounts


def mean_error(counts: PredictionCounts) -> float:
    return float(errors(counts).mean())


def test_of_a_mean_over_runs_it_is_the_standard_error_of_the_mean() -> None:
    labels_N, rows_RN = (
        np.zeros(30, np.uint8),
        np.random.default_rng(0).integers(0, 2, (20, 30)).astype(np.uint8),
    )
    total = PredictionCounts.of(2, labels_N, rows_RN)
    chunks = [PredictionCounts.of(2, labels_N, row[None]) for row in rows_RN]
    expected = rows_RN.mean(1).std(ddof=1) / np.sqrt(20)
    assert float(chunk_standard_error(total, chunks, mean_error)) == pytest.approx(expected)


def test_chunks_of_other_sizes_are_weighted() -> None:
    """The mean square of the standard error over many draws is the variance of the mean."""
    rng, labels_N = np.random.default_rng(1), np.zeros(25, np.uint8)
    squares, means = [], []
    for _ in range(1500):
        chance_R = 0.5 + 0.2 * rng.standard_normal(12).clip(-2, 2)
        rows_RN = (rng.random((12, 25)) < chance_R[:, None]).astype(np.uint8)
        chunks = [PredictionCounts.of(2, labels_N, part) for part in np.split(rows_RN, [5, 7, 8, 11])]
        total = PredictionCounts.of(2, labels_N, rows_RN)
        squares.append(float(chunk_standard_error(total, chunks, mean_error)) ** 2)
        means.append(mean_error(total))
    assert np.mean(squares) == pytest.approx(np.var(means), rel=0.1)
