import io
import pickle
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from airbench_var.data import corruptions
from airbench_var.data.corruptions import KINDS, SEVERITIES, Corrupted
from airbench_var.data.dataset import Split

ALL = [(kind, severity) for kind in KINDS for severity in SEVERITIES]


@pytest.fixture(scope="module")
def split() -> Split:
    """Pictures with edges, areas and colours: a disc on a slope, for 33 labels."""
    y, x = np.mgrid[:32, :32]
    images = []
    for i in range(33):
        disc = (y - 10 - i % 12) ** 2 + (x - 8 - i % 16) ** 2 < 49
        slope = np.stack([4 * x + 3 * y, 6 * y + i, 250 - 7 * x], axis=-1)
        images.append(np.where(disc[..., None], [200, 40, 5 * i], slope).clip(0, 255))
    return Split(images_NHWC=np.array(images, np.uint8), labels_N=np.arange(33, dtype=np.uint8) % 10)


def made(split: Split, kind: str, severity: int, size: int = 2000) -> np.ndarray:
    blocks = Corrupted(base=split, kind=kind, severity=severity).blocks(size)
    return np.concatenate([block.images_NHWC for block in blocks])


@pytest.mark.parametrize(("kind", "severity"), ALL)
def test_images_keep_shape_labels_and_order(split: Split, kind: str, severity: int) -> None:
    corrupted = Corrupted(base=split, kind=kind, severity=severity)
    [block] = corrupted.blocks(100)
    assert block.images_NHWC.shape == split.images_NHWC.shape
    assert block.images_NHWC.dtype == np.uint8
    assert np.array_equal(block.labels_N, split.labels_N)
    distance_NN = np.abs(
        block.images_NHWC.astype(int)[:, None] - split.images_NHWC.astype(int)[None, ::8]
    ).mean(axis=(2, 3, 4))
    if kind in ("noise", "pixelate", "jpeg"):  # the others make images more alike
        assert np.array_equal(distance_NN[::8].argmin(axis=1), np.arange(len(distance_NN[::8])))


@pytest.mark.parametrize("kind", list(KINDS))
def test_each_severity_changes_more(split: Split, kind: str) -> None:
    clean = split.images_NHWC.astype(int)
    changes = [np.abs(made(split, kind, severity).astype(int) - clean).mean() for severity in SEVERITIES]
    assert changes[0] > 0.3
    assert all(a < b for a, b in pairwise(changes))


@pytest.mark.parametrize("kind", list(KINDS))
def test_an_image_does_not_depend_on_the_others(split: Split, kind: str) -> None:
    whole, few = made(split, kind, 3), made(split.first(5), kind, 3)
    assert np.array_equal(whole[:5], few)
    assert np.array_equal(whole, made(split, kind, 3, size=7))


@pytest.mark.parametrize("kind", list(KINDS))
def test_blocks_that_are_made_one_after_the_other_are_as_one(
    split: Split, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of noise above all: the second block is no copy of the first."""
    whole = made(split, kind, 3)
    monkeypatch.setattr(corruptions, "_BLOCK", 10)
    assert np.array_equal(made(split, kind, 3), whole)


def test_noise_has_its_std_and_no_mean(split: Split) -> None:
    grey = Split(images_NHWC=np.full((200, 32, 32, 3), 128, np.uint8), labels_N=np.zeros(200, np.uint8))
    for severity, std in zip((1, 2, 3), (10, 20, 30), strict=True):
        noise = made(grey, "noise", severity).astype(float) - 128
        assert abs(noise.mean()) < 4 * std / np.sqrt(noise.size) + 0.02  # rounding is to the nearest
        assert abs(noise.std() / std - 1) < 0.01
        assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.08


def test_blur_keeps_constant_areas_and_what_it_is_blurred_to() -> None:
    point = np.zeros((1, 32, 32, 3), np.uint8)
    point[0, 16, 16] = 255
    dots = Split(images_NHWC=point, labels_N=np.zeros(1, np.uint8))
    assert made(dots, "blur", 1)[0, 15:18, 15:18, 0].tolist() == [[16, 32, 16], [32, 64, 32], [16, 32, 16]]
    flat = Split(images_NHWC=np.full((1, 32, 32, 3), 77, np.uint8), labels_N=np.zeros(1, np.uint8))
    assert np.all(made(flat, "blur", 5) == 77)


def test_greyscale_at_its_worst_has_no_colour(split: Split) -> None:
    grey = made(split, "greyscale", 5)
    assert np.array_equal(grey[..., 0], grey[..., 1])
    assert np.array_equal(grey[..., 0], grey[..., 2])


def test_workers_are_not_sent_the_images(split: Split) -> None:
    corrupted = Corrupted(base=split, kind="noise", severity=1)
    size = len(pickle.dumps(corrupted))
    before = corrupted.fingerprint
    assert len(pickle.dumps(corrupted)) == size  # also when they were made
    assert pickle.loads(pickle.dumps(corrupted)).fingerprint == before
    assert before["kind"] == "noise"
    assert before["images_sha256"] != split.fingerprint["images_sha256"]
    assert before["labels_sha256"] == split.fingerprint["labels_sha256"]


def one(image_HWC: np.ndarray) -> Split:
    return Split(images_NHWC=image_HWC[None].astype(np.uint8), labels_N=np.zeros(1, np.uint8))


@pytest.mark.parametrize(("severity", "std"), list(zip(SEVERITIES, (0.71, 1, 1.41, 1.73, 2), strict=True)))
def test_a_blurred_line_is_as_wide_as_the_table_says(severity: int, std: float) -> None:
    for axis in (0, 1):
        line = np.zeros((32, 32, 3))
        line[(slice(None),) * axis + (16,)] = 255
        profile = made(one(line), "blur", severity)[0].astype(float).mean(axis=(1 - axis, 2))
        variance = profile @ (np.arange(32) - 16) ** 2 / profile.sum()
        assert np.sqrt(variance) == pytest.approx(std, abs=0.06)  # values are rounded to whole ones


def test_an_edge_of_the_image_goes_on_beyond_itself() -> None:
    slope = np.broadcast_to(8 * np.arange(32)[:, None], (32, 32))[..., None].repeat(3, axis=2)
    assert made(one(255 - slope), "blur", 1)[0, 0, 5, 0] == 255 - 2  # of 255, 255 and 247, by 1, 2 and 1
    assert made(one(slope), "blur", 1)[0, 31, 5, 0] == 246
    assert made(one(slope.swapaxes(0, 1)), "blur", 1)[0, 5, 31, 0] == 246


@pytest.mark.parametrize(("severity", "kept"), list(zip(SEVERITIES, (38, 28, 19, 12, 7), strict=True)))
def test_contrast_keeps_a_share_of_the_distance_to_the_mean(severity: int, kept: int) -> None:
    halves = np.zeros((32, 32, 3))
    halves[:16] = 200
    low, high = (round(100 + sign * 100 * kept / 64) for sign in (-1, 1))
    values = made(one(halves), "contrast", severity)
    assert np.all(np.abs(values[0, :16].astype(int) - high) <= 1)
    assert np.all(np.abs(values[0, 16:].astype(int) - low) <= 1)
    assert abs(values.mean() - 100) <= 0.5  # rounded to the nearest, both ways


@pytest.mark.parametrize(("severity", "quality"), list(zip(SEVERITIES, (40, 25, 15, 10, 6), strict=True)))
def test_jpeg_is_of_its_quality(split: Split, severity: int, quality: int) -> None:
    file = io.BytesIO()
    Image.fromarray(split.images_NHWC[3]).save(file, "JPEG", quality=quality)
    assert np.array_equal(made(split, "jpeg", severity)[3], np.asarray(Image.open(file)))


@pytest.mark.parametrize(
    ("severity", "sides"), list(zip(SEVERITIES, ((1, 2), (2, 2), (3, 3), (4, 4), (6, 6)), strict=True))
)
def test_pixels_are_blocks_of_one_colour_that_is_their_mean(
    split: Split, severity: int, sides: tuple[int, int]
) -> None:
    pixels, (height, width) = made(split, "pixelate", severity), sides
    for top in range(0, 32, height):
        for left in range(0, 32, width):
            block = np.s_[:, top : top + height, left : left + width]
            assert np.all(np.ptp(pixels[block], axis=(1, 2)) == 0)
            mean = split.images_NHWC[block].mean(axis=(1, 2))
            assert np.abs(pixels[:, top, left] - mean).max() < 2  # rounded down twice


@pytest.mark.parametrize(("severity", "share"), list(zip(SEVERITIES, (16, 32, 48, 58, 64), strict=True)))
@pytest.mark.parametrize(("channel", "weight"), [(0, 0.299), (1, 0.587), (2, 0.114)])
def test_colours_fade_to_their_brightness(channel: int, weight: float, severity: int, share: int) -> None:
    """That of ITU-R BT.601."""
    colour = np.zeros((4, 4, 3))
    colour[..., channel] = 200
    values = made(one(colour), "greyscale", severity)[0, 0, 0].astype(float)
    expected = colour[0, 0] * (1 - share / 64) + 200 * weight * share / 64
    assert np.abs(values - expected).max() <= 1.5  # brightness is rounded down, the mixture to the nearest


@pytest.mark.parametrize(("severity", "share"), list(zip(SEVERITIES, (24, 34, 44, 54, 64), strict=True)))
def test_a_sketch_has_dark_edges_on_white(severity: int, share: int) -> None:
    step = np.full((32, 32, 3), 100)
    step[:, 16:] = 140
    for image_HWC in (step, step.swapaxes(0, 1)):
        values = made(one(image_HWC), "sketch", severity)[0, ..., 0]
        across = values[5] if image_HWC is step else values[:, 5]
        plain, edge = (image_HWC.reshape(-1)[0] * (64 - share) + drawn * share for drawn in (255, 255 - 80))
        assert abs(int(across[3]) - plain / 64) <= 1
        assert abs(int(across[15]) - edge / 64) <= 1


def test_severities_of_noise_are_drawn_anew() -> None:
    grey = one(np.full((32, 32, 3), 128))
    first, second = (made(grey, "noise", severity).astype(float).ravel() for severity in (1, 2))
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(first.size)
