"""Corruptions of test images at five severities, made when they are first read; ours, in integer arithmetic.

| kind | severity 1 ... 5 |
|---|---|
| noise | added to every value, std 10, 20, 30, 45, 60 (a sum of four uniform bytes) |
| blur | binomial kernel, std 0.71, 1, 1.41, 1.73, 2 pixels |
| contrast | distance to the image's mean times 38, 28, 19, 12, 7 over 64 |
| jpeg | quality 40, 25, 15, 10, 6 (Pillow) |
| pixelate | blocks of 1 x 2, 2 x 2, 3 x 3, 4 x 4, 6 x 6 pixels of one colour |
| greyscale | the brightness, mixed with the colours: 16, 32, 48, 58, 64 over 64 |
| sketch | edges, dark on white, mixed with the image: 24, 34, 44, 54, 64 over 64 |

Like those of CIFAR-10-C (Hendrycks and Dietterich, ICLR 2019) in kind, not in their numbers.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from airbench_var.data.dataset import Examples, Split
from airbench_var.errors import DeviceError

SEVERITIES = (1, 2, 3, 4, 5)
_BLOCK = 2000

Images = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Corrupted:
    """Examples whose images are corrupted; labels and order stay. What is made is kept in memory."""

    base: Examples
    kind: str  #: of KINDS
    severity: int  #: 1 ... 5

    def __len__(self) -> int:
        return len(self.base)

    @property
    def labels_N(self) -> Images:
        """The labels of the base, uint8 (N,)."""
        return self.base.labels_N

    def blocks(self, size: int) -> Iterator[Split]:
        """Yield all examples in order, see `Examples`; raises DeviceError where jpeg lacks Pillow."""
        return self._made.blocks(size)

    @cached_property
    def fingerprint(self) -> dict[str, str | int]:
        """Kind, severity, and what `Split` says of the images that came out."""
        return {"kind": self.kind, "severity": self.severity, **self._made.fingerprint}

    @cached_property
    def _made(self) -> Split:
        corrupt, blocks, first = KINDS[self.kind], list[Images](), 0
        for block in self.base.blocks(_BLOCK):
            blocks.append(corrupt(block.images_NHWC, self.severity - 1, first))
            first += len(block)
        return Split(images_NHWC=np.concatenate(blocks), labels_N=self.labels_N)

    def __getstate__(self) -> dict[str, object]:
        """Leave out the images: a worker makes its own sooner than it is sent them."""
        return {"base": self.base, "kind": self.kind, "severity": self.severity}


def _clipped(values: Integers) -> Images:
    return np.clip(values, 0, 255).astype(np.uint8)


def _mixed(images_NHWC: Images, others: Integers, share: int) -> Images:
    """Return images and others mixed, `share` of 64 of the others."""
    return _clipped((images_NHWC.astype(np.int32) * (64 - share) + others * share + 32) >> 6)


def _noise(images_NHWC: Images, severity: int, first: int) -> Images:
    std = (10, 20, 30, 45, 60)[severity]
    values = images_NHWC[0].size
    noise_N = np.empty((len(images_NHWC), values), np.int32)
    ticks = -(-values // 8)  # a tick of Philox4x64 has 32 bytes, a value takes four
    for row in range(len(images_NHWC)):
        words = np.random.Philox(key=severity, counter=[0, first + row, 0, 0]).random_raw(4 * ticks)
        quads = words.astype("<u8", copy=False).view(np.uint8).reshape(-1, 4)[:values]
        noise_N[row] = quads.sum(axis=1, dtype=np.int32) - 510  # std 147.8
    scaled = (noise_N * (2 * std) + 148) // (2 * 148)
    return _clipped(images_NHWC.astype(np.int32) + scaled.reshape(images_NHWC.shape))


def _blur(images_NHWC: Images, severity: int, first: int) -> Images:
    passes = (1, 2, 4, 6, 8)[severity]
    values = images_NHWC.astype(np.int64)
    for axis in (1, 2):
        for _ in range(passes):
            before, after = np.roll(values, 1, axis), np.roll(values, -1, axis)
            edge = [slice(None)] * 4
            for end, shifted in ((0, before), (-1, after)):  # the edge goes on beyond itself
                edge[axis] = end  # type: ignore[call-overload]
                shifted[tuple(edge)] = values[tuple(edge)]
            values = before + 2 * values + after
    weight = 16**passes
    return np.asarray((values + weight // 2) // weight, np.uint8)


def _contrast(images_NHWC: Images, severity: int, first: int) -> Images:
    kept = (38, 28, 19, 12, 7)[severity]
    values = images_NHWC.astype(np.int32)
    means = values.sum(axis=(1, 2, 3), keepdims=True) // values[0].size
    return _mixed(images_NHWC, np.broadcast_to(means, values.shape), 64 - kept)


def _jpeg(images_NHWC: Images, severity: int, first: int) -> Images:
    try:
        from PIL import Image
    except ImportError as error:
        raise DeviceError("jpeg needs Pillow, which is not installed: pip install pillow.") from error
    made = np.empty_like(images_NHWC)
    for image_HWC, target_HWC in zip(images_NHWC, made, strict=True):
        file = io.BytesIO()
        Image.fromarray(image_HWC).save(file, "JPEG", quality=(40, 25, 15, 10, 6)[severity])
        target_HWC[:] = np.asarray(Image.open(file))
    return made


def _pixelate(images_NHWC: Images, severity: int, first: int) -> Images:
    values = images_NHWC.astype(np.int32)
    for axis, side in zip((1, 2), ((1, 2), (2, 2), (3, 3), (4, 4), (6, 6))[severity], strict=True):
        starts = np.arange(0, values.shape[axis], side)
        sizes = np.diff(np.append(starts, values.shape[axis]))
        shape = [1, 1, 1, 1]
        shape[axis] = len(sizes)
        means = np.add.reduceat(values, starts, axis) // sizes.reshape(shape)
        values = np.repeat(means, sizes, axis)
    return values.astype(np.uint8)


def _brightness(images_NHWC: Images) -> Integers:
    """Return (N, H, W, 1), 0 ... 255: the weights of ITU-R BT.601 in 1/256."""
    weights = np.array([[77], [150], [29]], np.int32)
    return np.asarray((images_NHWC.astype(np.int32) @ weights) >> 8)


def _greyscale(images_NHWC: Images, severity: int, first: int) -> Images:
    grey = np.broadcast_to(_brightness(images_NHWC), images_NHWC.shape)
    return _mixed(images_NHWC, grey, (16, 32, 48, 58, 64)[severity])


def _sketch(images_NHWC: Images, severity: int, first: int) -> Images:
    grey = np.pad(_brightness(images_NHWC)[..., 0], ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = grey[:, 2:, :-2] + 2 * grey[:, 2:, 1:-1] + grey[:, 2:, 2:]
    up = grey[:, :-2, :-2] + 2 * grey[:, :-2, 1:-1] + grey[:, :-2, 2:]
    right = grey[:, :-2, 2:] + 2 * grey[:, 1:-1, 2:] + grey[:, 2:, 2:]
    left = grey[:, :-2, :-2] + 2 * grey[:, 1:-1, :-2] + grey[:, 2:, :-2]
    edges = 255 - np.minimum(255, (np.abs(down - up) + np.abs(right - left)) // 2)
    return _mixed(
        images_NHWC, np.broadcast_to(edges[..., None], images_NHWC.shape), (24, 34, 44, 54, 64)[severity]
    )


#: Images uint8 (N, H, W, 3), severity 0 ... 4 and the index of the first image, to images.
KINDS: Mapping[str, Callable[[Images, int, int], Images]] = MappingProxyType(
    {
        "noise": _noise,
        "blur": _blur,
        "contrast": _contrast,
        "jpeg": _jpeg,
        "pixelate": _pixelate,
        "greyscale": _greyscale,
        "sketch": _sketch,
    }
)
