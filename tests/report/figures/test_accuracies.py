"""Histograms, laws and axes: bars hold all runs, laws are those of numpy, stragglers squash nobody."""

import numpy as np
import pytest

from airbench_var.report.figures.accuracies import (
    MOST_POINTS,
    draw_examples,
    draw_halves,
    draw_histogram,
    draw_laws,
    keep_the_middle,
    same_scales,
)
from airbench_var.stats import CorrectnessCounts
from tests.statistical.generator import count, simulate

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure as Canvas


@pytest.fixture(scope="module")
def counts() -> CorrectnessCounts:
    return simulate(np.random.default_rng(0), n=1000, runs=200, distribution_wise_std=0.003).counts


@pytest.mark.parametrize("density", [False, True])
def test_bars_are_of_one_width_and_hold_every_run(counts: CorrectnessCounts, density: bool) -> None:
    axis = Canvas().subplots()
    draw_histogram(axis, counts, "red", density=density)
    bars = [(bar.get_x(), bar.get_width(), bar.get_height()) for bar in axis.patches]
    assert 6 <= len(bars) <= 40
    for left, width, height in bars:
        inside = np.count_nonzero((counts.k_R / 10 > left) & (counts.k_R / 10 < left + width))
        assert width == pytest.approx(bars[0][1])
        assert height * (width * counts.R if density else 1) == pytest.approx(inside)
    total = sum(height * (width * counts.R if density else 1) for _, width, height in bars)
    assert total == pytest.approx(counts.R)


@pytest.mark.parametrize("runs", [2, 7, 100, 101, 250])
def test_bars_of_examples_are_no_comb(runs: int) -> None:
    """As many examples are right in each number of runs: but for the first, all bars are as high."""
    correct_RN = np.arange(1, runs + 1)[:, None] > np.repeat(np.arange(runs + 1), 4)
    axis = Canvas().subplots()
    draw_examples(axis, count(correct_RN), "red")
    heights = [bar.get_height() for bar in axis.patches]
    assert sum(heights) == 4 * (runs + 1)
    assert set(heights[1:]) == {heights[-1]}
    low, high = axis.get_xlim()
    assert low < axis.patches[0].get_x() < 0
    assert 100 < axis.patches[-1].get_x() + axis.patches[-1].get_width() < high


def test_a_cloud_is_drawn_on_axes_of_one_scale() -> None:
    axis = Canvas().subplots()
    axis.set_xlim(10, 20)
    axis.set_ylim(50, 53)
    same_scales(axis)
    assert (axis.get_xlim(), axis.get_ylim()) == ((10, 20), (46.5, 56.5))


def test_runs_of_two_recipes_have_the_same_bars(counts: CorrectnessCounts) -> None:
    """Of 200 runs and of 30 that spread three times as far: alone, each would have bars of its own."""
    other = simulate(np.random.default_rng(1), n=1000, runs=30, distribution_wise_std=0.01).counts
    axis = Canvas().subplots()
    for one in (counts, other):
        draw_histogram(axis, one, "red", density=True, beside=(counts, other))
    lefts, widths = zip(*((bar.get_x(), bar.get_width()) for bar in axis.patches), strict=True)
    assert np.ptp(widths) < 1e-9
    steps = (np.array(lefts) - lefts[0]) / widths[0]
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
    assert len(np.unique(np.round(steps))) < len(lefts)  # they overlap
    assert sum(bar.get_height() * bar.get_width() for bar in axis.patches) == pytest.approx(2)


def test_a_run_far_off_costs_one_bar(counts: CorrectnessCounts) -> None:
    correct_RN = np.random.default_rng(0).random((100, 10_000)) < 0.9
    correct_RN[0] = np.random.default_rng(1).random(10_000) < 0.1
    axis = Canvas().subplots()
    far = count(correct_RN)
    draw_histogram(axis, far, "red")
    assert len(axis.patches) < 40
    assert keep_the_middle(axis, 100 * far.k_R / far.n) == 1
    low, high = axis.get_xlim()
    assert 87 < low < 90 < high < 93


def test_an_axis_without_stragglers_stays(counts: CorrectnessCounts) -> None:
    axis = Canvas().subplots()
    axis.set_xlim(0, 1)
    assert keep_the_middle(axis, 100 * counts.k_R / counts.n) == 0
    assert axis.get_xlim() == (0, 1)


def test_laws_have_the_moments_of_their_names(counts: CorrectnessCounts) -> None:
    axis = Canvas().subplots()
    draw_laws(axis, counts)
    p_N, p = counts.c_N / counts.R, counts.S1 / (counts.R * counts.n)
    variances = {"independent errors": (p_N * (1 - p_N)).sum(), "binomial law": counts.n * p * (1 - p)}
    assert {line.get_label() for line in axis.lines} == set(variances)
    for line in axis.lines:
        x, density = line.get_xydata().T
        weight = density * 100 / counts.n  # from a density over percent to probabilities of counts
        assert weight.sum() == pytest.approx(1, abs=2e-4)
        assert weight @ x == pytest.approx(100 * p, rel=1e-4)
        variance = weight @ (x - 100 * p) ** 2 * (counts.n / 100) ** 2
        assert variance == pytest.approx(variances[line.get_label()], rel=5e-3)


def test_halves_are_percent_and_many_runs_are_an_image(counts: CorrectnessCounts) -> None:
    axis = Canvas().subplots()
    draw_halves(axis, counts, "red")
    [points] = axis.collections
    even_R = counts.even_R / 5
    assert np.allclose(points.get_offsets(), np.stack([even_R, counts.k_R / 5 - even_R], axis=1))
    assert not points.get_rasterized()
    many = count(np.random.default_rng(0).random((MOST_POINTS + 1, 8)) < 0.5)
    draw_halves(axis, many, "red")
    assert axis.collections[1].get_rasterized()
