"""Photographs of three classes that a narrow ResNet-18 learns in seconds."""

from pathlib import Path

from airbench_var.data.image_folder import scan
from airbench_var.data.photo_encoder import PhotoSettings
from airbench_var.data.photo_writer import write_photos
from tests.data.photos import draw_folder

SHORT = {
    "network.width": 8,
    "resolution": 32,
    "first_resolution": 32,
    "test_resolution": 32,
    "batch_size": 16,
    "epochs": 3,
    "warmup_epochs": 1,
    "optimizer.lr": 0.05,
    "precision": "single",
}


def write_data(folder: Path, classes: int = 3) -> Path:
    """Write train.beton and val.beton into a folder; return it."""
    for name, n, seed in (("train", 40, 0), ("val", 23, 1)):
        images = draw_folder(folder / "images" / name, (n,) * classes, seed=seed)
        write_photos(scan(images), folder / f"{name}.beton", PhotoSettings())
    return folder
