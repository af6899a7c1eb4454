"""Whole epochs of photographs as ResNet-18 takes them: our loader through FFCV, a DataLoader on the folder.

A call is an epoch whose batches are dropped as they come: random resized crops, flips, normalised, channels
last. Both read the same images; ours from a .beton that was written before, with half of them as JPEG. Their
crops differ, so that form, labels and moments are compared, and no bits.
"""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from airbench_var.data.crops import flips, random_crops
from airbench_var.data.dataset import Dataset
from airbench_var.data.image_folder import ImageFolder, scan
from airbench_var.data.photo_encoder import PhotoSettings
from airbench_var.data.photo_writer import write_photos
from airbench_var.data.photos import MEAN, STD, Photos
from airbench_var.photos.trainer import to_input
from airbench_var.seeds import epoch_order, seeds_of_run
from bench.loaders import Batches, same_epoch, variant
from bench.peers.image_folder import Folder
from bench.photographs import draw
from bench.schema import OURS, Case, copying

SIDE, WORKERS = 192, 2
SEEDS = seeds_of_run(0, 0)
AREA_FROM, RATIO_FROM = 0.08, 0.75


def cases(images: Dataset, n: int, sides: tuple[int, int], batch_size: int) -> Iterator[Case]:
    """Yield the one case, on the first n images; batch_size divides n. Removes all files that it made."""
    assert n % batch_size == 0, "else the last batches have other shapes"
    with TemporaryDirectory() as name:
        place = Path(name)
        folder = scan(draw(images.train.first(n), images.classes, place / "images", sides))
        ours = {
            OURS: through_ffcv(folder, place / "half.beton", 0.5, batch_size),
            "ours, all JPEG": through_ffcv(folder, place / "jpeg.beton", 1.0, batch_size),
        }
        drawn: dict[str, Callable[[], Batches]] = {
            "dataloader": loader(folder, batch_size, 0),
            f"dataloader, {WORKERS} workers": loader(folder, batch_size, WORKERS),
        }
        moved = n * SIDE * SIDE * 3 * 5
        yield Case(
            name=f"photos, shorter sides {sides[0]} to {sides[1]} made {SIDE}, batches of {batch_size}",
            variants={name: variant(epoch) for name, epoch in (ours | drawn).items()},
            bytes_moved=moved,
            ceiling=copying(moved, torch.device("cpu")),
            agree=dict.fromkeys(["ours, all JPEG", *drawn], same_epoch),
            notes={f"dataloader, {WORKERS} workers": f"{WORKERS} processes besides this one"},
            items=n,
            item="images",
        )


def through_ffcv(
    folder: ImageFolder, path: Path, compress_probability: float, batch_size: int
) -> Callable[[], Batches]:
    """Return what gives the next epoch a call, from a file that is written first."""
    from airbench_var.data.photo_loader import PhotoLoader

    settings = PhotoSettings(compress_probability=compress_probability)
    about = write_photos(folder, path, settings)
    K = len(folder.classes)
    photos = Photos(path=path, about=about, meanings=tuple((k,) for k in range(K)), trained=K)
    reader, numbers = PhotoLoader(path, batch_size, SIDE), count()
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    labels_N = torch.from_numpy(photos.labels_M.astype("int64"))

    def epoch() -> Batches:
        number = next(numbers)
        crops_N4 = random_crops(
            SEEDS.aug,
            number,
            reader.height_N,
            reader.width_N,
            area_from=AREA_FROM,
            ratio_from=RATIO_FROM,
        )
        flipped_N = torch.from_numpy(flips(SEEDS.aug, number, reader.n))
        for images_BHWC, rows_B in reader.batches(epoch_order(SEEDS.order, number, reader.n), crops_N4):
            rows = torch.from_numpy(rows_B)
            yield to_input(images_BHWC, flipped_N[rows], mean, std, torch.float32), labels_N[rows]

    return epoch


def loader(folder: ImageFolder, batch_size: int, workers: int) -> Callable[[], Batches]:
    """Return what gives an epoch a call, from a DataLoader whose workers stay."""
    how: dict[str, Any] = {
        "num_workers": workers,
        "persistent_workers": bool(workers),
        "multiprocessing_context": "fork" if workers else None,  # as in a script, on Linux
    }
    found = DataLoader(Folder(folder, SIDE, MEAN, STD), batch_size, shuffle=True, drop_last=True, **how)

    def epoch() -> Iterator[tuple[Tensor, Tensor]]:
        for images_BCHW, labels_B in found:
            yield images_BCHW.contiguous(memory_format=torch.channels_last), labels_B

    return epoch
