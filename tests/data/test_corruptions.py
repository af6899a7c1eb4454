import pickle
from itertools import pairwise

import numpy as np
import pytest

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
