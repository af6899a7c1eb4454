"""Where photographs are cut: at random, by seed, epoch and example alone, or in the middle.

Axis letters: N examples; the four numbers of a crop are its first row, first column, height and width.
"""

import numpy as np
import numpy.typing as npt

from airbench_var.philox import Words, philox4x32

Crops = npt.NDArray[np.int64]
Int64 = npt.NDArray[np.int64]

#: Third counter words of the augmentation seed; 0 and 1 are taken, see `seeds`.
CROP_STREAM, FLIP_STREAM = 2, 3
ATTEMPTS = 10


def random_crops(
    aug_seed: int, epoch: int, height_N: Int64, width_N: Int64, *, area_from: float, ratio_from: float
) -> Crops:
    """Return a rectangle (N, 4) in each image, of a share of its area in [area_from, 1].

    Its width over its height is in [ratio_from, 1 / ratio_from], uniform in the logarithm. What does not fit
    in is drawn again; after ten attempts it is the largest one in the middle. Source: torchvision,
    RandomResizedCrop.get_params, and FFCV, fields/rgb_image.py, whose draws cannot be seeded.
    """
    crops_N4 = largest_crops(height_N, width_N, ratio_from)
    left_N = np.arange(len(height_N))
    for attempt in range(ATTEMPTS):
        words = philox4x32(aug_seed, left_N, epoch, CROP_STREAM, attempt)
        area, ratio, row, column = map(_uniform, words)
        height, width = height_N[left_N], width_N[left_N]
        target = height * width * (area_from + (1 - area_from) * area)
        times = np.exp(np.log(ratio_from) * (1 - 2 * ratio))
        h, w = (np.rint(np.sqrt(part)).astype(np.int64) for part in (target / times, target * times))
        fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
        first_row = ((height - h + 1) * row).astype(np.int64)
        first_column = ((width - w + 1) * column).astype(np.int64)
        crops_N4[left_N[fits]] = np.stack([first_row, first_column, h, w], axis=1)[fits]
        left_N = left_N[~fits]
        if not len(left_N):
            break
    return crops_N4


def largest_crops(height_N: Int64, width_N: Int64, ratio_from: float) -> Crops:
    """Return the largest rectangle in the middle whose sides' ratio is in range, (N, 4)."""
    w_N = np.minimum(width_N, np.rint(height_N / ratio_from).astype(np.int64))
    h_N = np.minimum(height_N, np.rint(width_N / ratio_from).astype(np.int64))
    return _in_the_middle(height_N, width_N, h_N, w_N)


def centre_crops(height_N: Int64, width_N: Int64, share: float) -> Crops:
    """Return the square in the middle whose side is this share of the shorter one, (N, 4)."""
    side_N = np.maximum(1, (share * np.minimum(height_N, width_N)).astype(np.int64))
    return _in_the_middle(height_N, width_N, side_N, side_N)


def flips(aug_seed: int, epoch: int, n: int) -> npt.NDArray[np.bool_]:
    """Return whether each image is mirrored, (N,): a fair coin."""
    word_N = philox4x32(aug_seed, np.arange(n), epoch, FLIP_STREAM)[0]
    return np.asarray(word_N >> np.uint64(31) == 1)


def _in_the_middle(height_N: Int64, width_N: Int64, h_N: Int64, w_N: Int64) -> Crops:
    return np.stack([(height_N - h_N) // 2, (width_N - w_N) // 2, h_N, w_N], axis=1)


def _uniform(words: Words) -> npt.NDArray[np.float64]:
    return np.asarray(words / 2.0**32)
