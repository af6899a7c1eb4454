"""Files of shifted test sets as they are published, with images that are told apart by their labels."""

from pathlib import Path

import numpy as np
import pytest

from airbench_var.data import shifted
from airbench_var.data.cifar10 import CLASSES

#: Images of a severity of CIFAR-10-C, and of a class of CINIC-10, in place of 10,000 and 7,000.
A_SEVERITY, A_CINIC_CLASS = 30, 3


def make_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the large test sets be small; they are otherwise the real thing."""
    monkeypatch.setattr(shifted, "A_SEVERITY", A_SEVERITY)
    monkeypatch.setattr(shifted, "A_CINIC_CLASS", A_CINIC_CLASS)


def images_of(labels_N: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return random images whose first value is the label, and whose next two are the index."""
    images_NHWC = np.random.default_rng(seed).integers(0, 256, (len(labels_N), 32, 32, 3), dtype=np.uint8)
    images_NHWC[:, 0, 0, 0] = labels_N
    images_NHWC[:, 0, 0, 1], images_NHWC[:, 0, 0, 2] = np.divmod(np.arange(len(labels_N)), 256)
    return images_NHWC


def write_cifar10_1(folder: Path, version: str) -> np.ndarray:
    """Write CIFAR-10.1, sorted by class as the published one is; return the labels."""
    labels_N = np.sort(np.arange(shifted.CIFAR10_1_SIZES[version]) % 10).astype("<i4")
    np.save(folder / f"cifar10.1_{version}_data.npy", images_of(labels_N))
    np.save(folder / f"cifar10.1_{version}_labels.npy", labels_N)
    return labels_N


def write_cifar10_2(folder: Path, **changes: object) -> np.ndarray:
    """Write CIFAR-10.2 with all its keys, of which some are changed; return the labels."""
    labels_N = np.repeat(np.arange(10), 200)
    arrays = {
        "images": images_of(labels_N),
        "labels": labels_N,
        "label_names": np.array(CLASSES),
        "ti_indices": np.arange(2000),
        "keywords": np.array(["cat"] * 2000),
    }
    kept = {name: array for name, array in (arrays | changes).items() if array is not None}
    np.savez(folder / "cifar102_test.npz", **kept)  # type: ignore[arg-type]
    return labels_N


def write_cifar10_c(folder: Path, *kinds: str) -> np.ndarray:
    """Write kinds of CIFAR-10-C, each with other images; return the labels of all severities."""
    (folder / "CIFAR-10-C").mkdir(exist_ok=True)
    labels_N = np.tile(np.random.default_rng(1).integers(0, 10, A_SEVERITY, dtype=np.uint8), 5)
    np.save(folder / "CIFAR-10-C" / "labels.npy", labels_N)
    for seed, kind in enumerate(kinds):
        np.save(folder / "CIFAR-10-C" / f"{kind}.npy", images_of(labels_N, seed))
    return labels_N


def write_cinic10(folder: Path) -> np.ndarray:
    """Write the test part of CINIC-10 in no order of names, with a grey image and those of CIFAR-10.

    Return the images (N, 32, 32, 3) in the order of class, then name.
    """
    from PIL import Image

    images_NHWC = images_of(np.repeat(np.arange(10), A_CINIC_CLASS))
    images_NHWC[4] = images_NHWC[4, ..., :1]
    for label in reversed(range(10)):
        place = folder / "CINIC-10" / "test" / CLASSES[label]
        place.mkdir(parents=True)
        for i, name in reversed([*enumerate(("n02691156_9", "n02691157_1", "n12345678_10029"))]):
            image_HWC = images_NHWC[label * A_CINIC_CLASS + i]
            is_grey = label * A_CINIC_CLASS + i == 4
            Image.fromarray(image_HWC[..., 0] if is_grey else image_HWC).save(place / f"{name}.png")
        Image.fromarray(255 - images_NHWC[0]).save(place / f"cifar10-train-{label}.png")
        (place / ".DS_Store").write_bytes(b"no image")
    return images_NHWC
