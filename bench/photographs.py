"""Folders of images drawn from CIFAR-10: scaled up to sides that differ, one JPEG each, a folder a class.

    python -m bench.photographs --data-dir data --out runs/photographs --train 5000 --val 5000 --sides 64,128

They have the sizes and the cost of photographs, and what is on them is CIFAR-10. The command
`python -m airbench_var photos` makes a .beton of such a folder.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from airbench_var.data import cifar10
from airbench_var.data.dataset import Split

QUALITY = 90
#: Longer side over shorter side of what is drawn, at most.
LONGEST = 4 / 3


def draw(split: Split, classes: Sequence[str], root: Path, sides: tuple[int, int], seed: int = 0) -> Path:
    """Write the images of a split below root; shorter sides are between `sides`, and return the root."""
    generator = np.random.default_rng(seed)
    for number, (pixels, label) in enumerate(zip(split.images_NHWC, split.labels_N, strict=True)):
        short = int(generator.integers(sides[0], sides[1] + 1))
        long = int(short * generator.uniform(1, LONGEST))
        size = (long, short) if generator.random() < 0.5 else (short, long)
        image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
        folder = root / classes[label]
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{number:06}.jpg", quality=QUALITY)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the first images of both splits."""
    parser = argparse.ArgumentParser(prog="python -m bench.photographs", description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where CIFAR-10 lies")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="train and val go there")
    parser.add_argument("--train", type=int, default=5000, metavar="N", help="images (default 5000)")
    parser.add_argument("--val", type=int, default=5000, metavar="N", help="images (default 5000)")
    parser.add_argument("--sides", default="64,128", metavar="A,B", help="shorter sides (default 64,128)")
    options = parser.parse_args(arguments)
    low, high = map(int, options.sides.split(","))
    data = cifar10.load(options.data_dir)
    for name, split, n, seed in (("train", data.train, options.train, 0), ("val", data.test, options.val, 1)):
        draw(split.first(n), data.classes, options.out / name, (low, high), seed)
        print(f"{options.out / name}: {n:,} images", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
