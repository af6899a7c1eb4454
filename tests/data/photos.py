"""Folders of small photographs of many sizes, drawn from a seed: a class is a colour and a direction."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = ((200, 60, 60), (60, 200, 60), (60, 60, 200), (200, 200, 60), (60, 200, 200))


def draw_folder(root: Path, images: tuple[int, ...], *, low: int = 24, high: int = 64, seed: int = 0) -> Path:
    """Write so many JPEGs of each class, sides between low and high; return the root."""
    generator = np.random.default_rng(seed)
    for label, n in enumerate(images):
        folder = root / "abcde"[label]
        folder.mkdir(parents=True)
        for number in range(n):
            height, width = generator.integers(low, high, 2)
            rows, columns = np.mgrid[:height, :width]
            stripes = np.sin((rows if label % 2 else columns) / 3 + generator.uniform(0, 6))
            noise = generator.normal(0, 25, (height, width, 3))
            pixels = np.array(COLOURS[label]) + 40 * stripes[..., None] + noise
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(
                folder / f"{number}.jpg", quality=95
            )
    return root
