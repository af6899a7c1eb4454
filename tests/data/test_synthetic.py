import hashlib
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import stats

from airbench_var.data import synthetic
from airbench_var.data.dataset import Split

GOLDEN = {
    ("train", 0): "4c8f4ab076123a51805cde3ff1019b48daddd1cddf4ef388783c85024b430f82",
    ("train", 19_990): "c25b108f894596ecaad24fe84594f3b056a25c1fce2952616fc317dd9c7203b4",
    ("test", 0): "c01cd9655d628a034f103aae5845b8c8cd8f8070a4582b25efcb5bfbb630d6c5",
    (2, 10**9): "4e6e8e26dfbbe62d5679ac9479a94bcbae1244a6a3d617097753dfdedaa45c2b",
}


@pytest.fixture(scope="module")
def fresh() -> Split:
    return synthetic.sample(2, 0, 20_000)


@pytest.mark.parametrize(("stream", "start"), GOLDEN)
def test_the_bits_of_a_few_examples_are_fixed_for_good(stream: str | int, start: int) -> None:
    ten = synthetic.sample(stream, start, 10)
    digest = hashlib.sha256(ten.images_NHWC.tobytes() + ten.labels_N.tobytes()).hexdigest()
    assert digest == GOLDEN[stream, start]


def by_the_book(stream: int, i: int, seed: int) -> tuple[list[list[list[int]]], int]:
    """Draw one example in plain Python integers, as the module's description says."""
    words = np.random.Philox(key=seed, counter=[98 * i, 0, stream, 0]).random_raw(98 * 4).tolist()
    halves: Iterator[int] = iter([half for word in words[:8] for half in (word & 0xFFFFFFFF, word >> 32)])
    noise = b"".join(word.to_bytes(8, "little") for word in words[8:])

    def below(bound: int) -> int:
        return next(halves) * bound >> 32

    fields = synthetic._prototypes(seed).reshape(10, 3, 2, 52, 52, 3).tolist()
    label = below(10)
    other = (label + 1 + below(9)) % 10
    windows = []
    for k in (label, other):
        mode, mirrored, top, left = below(3), below(2), below(21), below(21)
        windows.append([row[left : left + 32] for row in fields[k][mode][mirrored][top : top + 32]])
    contrast = 32 + below(32)
    share = 28 + below(16) if below(4) == 0 else 36 + below(28)
    brightness = [below(64) - 32 for _ in range(3)]
    image = [[[0] * 3 for _ in range(32)] for _ in range(32)]
    for y, x, c in itertools.product(range(32), range(32), range(3)):
        own, distractor = (window[y][x][c] for window in windows)
        mixed = (contrast * share // 64 * own + contrast * (64 - share) // 64 * distractor) // 64
        value = 128 + brightness[c] + mixed + noise[(y * 32 + x) * 3 + c] * 80 // 256 - 40
        image[y][x][c] = min(255, max(0, value))
    return image, label


def test_the_description_in_plain_integers_gives_the_same_images() -> None:
    for i in (0, 1, 499, 500, 12_345):
        image, label = by_the_book(stream=7, i=i, seed=3)
        found = synthetic.sample(7, i, 1, seed=3)
        assert found.labels_N[0] == label
        assert np.array_equal(found.images_NHWC[0], image)


def test_prototypes_are_as_described() -> None:
    fields = synthetic._prototypes(synthetic.SEED).reshape(10, 3, 2, 52, 52, 3).astype(int)
    assert np.abs(fields).max() <= 127
    # Without clipping the means would be 0 and 64, up to rounding.
    assert np.abs(fields.mean((3, 4))).max() < 5
    magnitude = np.abs(fields).mean((3, 4, 5))
    assert 58 < magnitude.min() <= magnitude.max() <= 64
    assert np.array_equal(fields[:, :, 1], fields[:, :, 0, :, ::-1])
    assert len(np.unique(fields[:, :, 0].reshape(30, -1), axis=0)) == 30


@pytest.mark.parametrize(("start", "count"), [(0, 1), (3, 7), (499, 2), (480, 1100), (1999, 1), (5, 0)])
def test_any_slice_of_a_stream_is_the_same(start: int, count: int, fresh: Split) -> None:
    part = synthetic.sample(2, start, count)
    assert np.array_equal(part.images_NHWC, fresh.images_NHWC[start : start + count])
    assert np.array_equal(part.labels_N, fresh.labels_N[start : start + count])
    assert part.images_NHWC.shape == (count, 32, 32, 3)


def test_no_image_comes_twice_in_or_across_streams_and_seeds(fresh: Split) -> None:
    others = [synthetic.sample(s, 0, 1000) for s in ("train", "test", 3)] + [
        synthetic.sample(2, 0, 1000, seed=2)
    ]
    images = np.concatenate([s.images_NHWC for s in (fresh, *others)])
    assert len({image.tobytes() for image in images}) == len(images)


def test_streams_are_independent(fresh: Split) -> None:
    """Labels of two streams, position by position: chi-square of independence at the 0.1 % level."""
    other = synthetic.sample(3, 0, len(fresh))
    table = np.zeros((10, 10), int)
    np.add.at(table, (fresh.labels_N, other.labels_N), 1)
    assert stats.chi2_contingency(table).pvalue > 0.001


@pytest.mark.parametrize("stream", ["train", "test", 2])
def test_classes_are_equally_likely(stream: str | int) -> None:
    """Chi-square against equal shares at the 0.1 % level."""
    labels = synthetic.sample(stream, 0, 10_000).labels_N
    assert stats.chisquare(np.bincount(labels, minlength=10)).pvalue > 0.001


def test_the_noise_covers_its_range_and_is_centred() -> None:
    """Chi-square of the drawn bytes, over 16 ranges of five values, at the 0.1 % level."""
    words = synthetic._words(1, 0, 2, 0, 98 * 200).reshape(200, -1)[:, 8:]
    noise = (words.copy().view(np.uint8).astype(int) * 80 >> 8) - 40
    assert (noise.min(), noise.max()) == (-40, 39)
    assert stats.chisquare(np.bincount((noise + 40).ravel() // 5, minlength=16)).pvalue > 0.001


def test_the_data_set() -> None:
    data = synthetic.load()
    assert (len(data.train), len(data.test), len(data.classes)) == (20_000, 10_000, 10)
    pixels = data.train.images_NHWC.reshape(-1, 3)
    assert np.allclose(pixels.mean(axis=0), data.mean, atol=0.1)
    assert np.allclose(pixels.std(axis=0), data.std, atol=0.1)


def test_an_image_shows_its_class_only_in_part() -> None:
    """The nearest class mean stays far below the 90 % that a small network reaches, and above chance."""
    train, test = synthetic.sample("train", 0, 5000), synthetic.sample("test", 0, 2000)
    means = np.stack([train.images_NHWC[train.labels_N == k].mean(axis=0).ravel() for k in range(10)])
    flat = test.images_NHWC.reshape(len(test), -1).astype(np.float64)
    distance = (means**2).sum(axis=1) - 2 * flat @ means.T
    accuracy = (distance.argmin(axis=1) == test.labels_N).mean()
    assert 0.15 < accuracy < 0.5


@pytest.mark.parametrize(
    "arguments", [("valid", 0, 1), (0, 0, 1), (1, 0, 1), (-1, 0, 1), (2, -1, 1), (2, 0, -1)]
)
def test_what_does_not_exist_is_refused(arguments: tuple[str | int, int, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        synthetic.sample(*arguments)
