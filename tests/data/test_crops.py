"""Crops: in bounds, of the shares and ratios asked for, and a function of seed, epoch and example."""

import numpy as np
import pytest

from airbench_var.data.crops import centre_crops, flips, largest_crops, random_crops

N = 20_000
HOW = {"area_from": 0.08, "ratio_from": 0.75}


def sides(low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.integers(low, high, N), generator.integers(low, high, N)


def test_crops_lie_within_and_have_the_area_and_ratio_that_is_asked_for() -> None:
    height_N, width_N = sides(200, 500)
    row, column, h, w = random_crops(7, 0, height_N, width_N, **HOW).T
    assert (row >= 0).all()
    assert (column >= 0).all()
    assert (row + h <= height_N).all()
    assert (column + w <= width_N).all()
    share = h * w / (height_N * width_N)
    assert 0.075 < share.min() < 0.085
    assert share.max() > 0.95
    ratio = w / h
    assert 0.73 < ratio.min() < 0.77
    assert 1.30 < ratio.max() < 1.36
    assert abs(np.log(ratio).mean()) < 4 * np.log(ratio).std() / np.sqrt(N)


def test_in_a_square_that_all_shapes_fit_in_areas_are_uniform_and_places_are_too() -> None:
    """Areas up to 3/4: then every ratio fits. Uniform: mean 1/2, variance 1/12, of the range."""
    side_N = np.full(N, 1000)
    row, column, h, w = random_crops(3, 5, side_N, side_N, **HOW).T
    share = h * w / 1e6
    small = share < 0.7
    u = (share[small] - 0.08) / (0.7 - 0.08)
    assert abs(u.mean() - 0.5) < 4 / np.sqrt(12 * small.sum())
    for first, length in ((row, h), (column, w)):
        inside = length < 1000
        v = (first[inside] + 0.5) / (1000 - length[inside] + 1)
        assert abs(v.mean() - 0.5) < 4 / np.sqrt(12 * inside.sum())
        assert abs(v.var() - 1 / 12) < 0.005


def test_they_follow_from_seed_epoch_and_example_alone() -> None:
    height_N, width_N = sides(50, 90)
    found = random_crops(7, 2, height_N, width_N, **HOW)
    assert (random_crops(7, 2, height_N, width_N, **HOW) == found).all()
    assert (random_crops(7, 2, height_N[:100], width_N[:100], **HOW) == found[:100]).all()
    for seed, epoch in ((8, 2), (7, 3), (7 + 2**40, 2)):
        other = random_crops(seed, epoch, height_N, width_N, **HOW)
        assert (other == found).all(axis=1).mean() < 0.01


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(10, 100, (0, 43, 10, 13)), (100, 10, (43, 0, 13, 10))]
)
def test_where_nothing_fits_it_is_the_largest_in_the_middle(height, width, expected) -> None:
    """A strip: crops of the whole area never fit, so that all ten attempts fail."""
    sizes = np.full(50, height), np.full(50, width)
    found = random_crops(1, 0, *sizes, area_from=1.0, ratio_from=0.75)
    assert (found == expected).all()
    assert (largest_crops(*sizes, 0.75) == expected).all()


def test_the_middle_is_a_square_of_a_share_of_the_shorter_side() -> None:
    found = centre_crops(np.array([256, 300, 1]), np.array([320, 200, 1]), 0.875)
    assert found.tolist() == [[16, 48, 224, 224], [62, 12, 175, 175], [0, 0, 1, 1]]


def test_flips_are_fair_and_independent_of_crops_and_epochs() -> None:
    first, second = flips(5, 0, N), flips(5, 1, N)
    bound = 4 * np.sqrt(0.25 / N)
    for coin_N in (first, first == second, first == flips(6, 0, N)):
        assert abs(coin_N.mean() - 0.5) < bound
    assert (flips(5, 0, 10) == first[:10]).all()
    height_N, width_N = sides(60, 90)
    rows_N = random_crops(5, 0, height_N, width_N, **HOW)[:, 0]
    assert abs(np.corrcoef(rows_N, first)[0, 1]) < 4 / np.sqrt(N)
