"""Photographs through real FFCV: the pixels are those of our table of crops, whatever threads and epochs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from airbench_var.data.crops import centre_crops, random_crops
from airbench_var.data.image_folder import scan
from airbench_var.data.photo_encoder import PhotoSettings
from airbench_var.data.photo_writer import write_photos
from airbench_var.errors import DataError, DeviceError
from tests.data.photos import draw_folder

pytest.importorskip("ffcv")
import cv2

from airbench_var.data.ffcv_loader import Reader
from airbench_var.data.photo_loader import PhotoLoader

SIDE, BATCH = 40, 16


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty images, half of them JPEG."""
    folder = tmp_path_factory.mktemp("photos")
    write_photos(scan(draw_folder(folder / "images", (20, 30))), folder / "a.beton", PhotoSettings())
    return folder / "a.beton"


@pytest.fixture(scope="module")
def pixels(written: Path) -> list[np.ndarray]:
    """What a .beton holds, by FFCV's own description of it and Pillow."""
    import io

    from ffcv.reader import Reader

    reader, content = Reader(str(written)), np.fromfile(written, np.uint8)
    found = []
    for row, allocation in zip(reader.metadata, reader.alloc_table, strict=True):
        image, start = row["f0"], int(allocation["ptr"])
        data = content[start : start + int(allocation["size"])]
        if image["mode"]:
            found.append(data.reshape(image["height"], image["width"], 3))
        else:
            found.append(np.asarray(Image.open(io.BytesIO(data.tobytes()))))
    return found


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def loader(written: Path) -> PhotoLoader:
    torch.set_num_threads(1)
    return PhotoLoader(written, BATCH, SIDE)


def all_of(loader: PhotoLoader, order_N: np.ndarray, crops_N4: np.ndarray) -> np.ndarray:
    return np.concatenate([images.numpy().copy() for images, _ in loader.batches(order_N, crops_N4)])


def crops(loader: PhotoLoader, seed: int = 5, epoch: int = 0) -> np.ndarray:
    return random_crops(seed, epoch, loader.height_N, loader.width_N, area_from=0.08, ratio_from=0.75)


def test_every_image_is_what_its_crop_says(loader: PhotoLoader, pixels: list[np.ndarray]) -> None:
    order_N = np.random.default_rng(0).permutation(50)
    for crops_N4 in (crops(loader), centre_crops(loader.height_N, loader.width_N, 0.875)):
        found = all_of(loader, order_N, crops_N4)
        assert found.shape == (50, SIDE, SIDE, 3)
        for image, example in zip(found, order_N, strict=True):
            row, column, h, w = crops_N4[example]
            part = np.ascontiguousarray(pixels[example][row : row + h, column : column + w])
            expected = cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(int)
            # Two decoders of JPEG may round a value to the one or the other side.
            assert np.abs(image.astype(int) - expected).max() <= 4, example


def test_the_numbers_of_examples_go_with_their_images(loader: PhotoLoader) -> None:
    order_N, crops_N4 = np.arange(50)[::-1].copy(), crops(loader)
    straight = all_of(loader, np.arange(50), crops_N4)
    seen = 0
    for images, rows_B in loader.batches(order_N, crops_N4):
        assert (images.numpy() == straight[rows_B]).all()
        seen += len(rows_B)
    assert seen == 50


def test_crops_are_those_of_the_epoch_and_not_of_the_one_before(loader: PhotoLoader) -> None:
    order_N = np.arange(50)
    first, second = (all_of(loader, order_N, crops(loader, epoch=epoch)) for epoch in (0, 1))
    assert (first != second).any(axis=(1, 2, 3)).all()
    assert (all_of(loader, order_N, crops(loader)) == first).all()


def test_leaving_an_epoch_early_leaves_the_next_one_whole(loader: PhotoLoader) -> None:
    order_N, crops_N4 = np.arange(50), crops(loader)
    whole = all_of(loader, order_N, crops_N4)
    for _ in loader.batches(order_N, crops(loader, epoch=3)):
        break
    assert (all_of(loader, order_N, crops_N4) == whole).all()


def test_a_jpeg_that_was_damaged_is_named_and_not_taken_for_another(written: Path, tmp_path: Path) -> None:
    from ffcv.reader import Reader as Described

    content = bytearray(written.read_bytes())
    images = Described(str(written)).metadata["f0"]
    number = int(np.flatnonzero(images["mode"] == 0)[3])
    start = int(images["data_ptr"][number])
    content[start : start + 20] = bytes(20)
    (tmp_path / "a.beton").write_bytes(content)
    damaged = PhotoLoader(tmp_path / "a.beton", BATCH, SIDE)
    with pytest.raises(DataError, match=rf"a\.beton: image {number} is no JPEG any more"):
        all_of(damaged, np.arange(50), crops(damaged))


def test_no_room_for_batches_is_said_with_a_way_out(
    loader: PhotoLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("can't allocate memory")

    monkeypatch.setattr("ffcv.pipeline.graph.Graph.allocate_memory", full)
    with pytest.raises(DeviceError, match=r"no room for the batches of .*--max-resolution"):
        all_of(loader, np.arange(50), crops(loader))


@pytest.mark.usefixtures("two_threads")
def test_two_threads_give_the_same_pixels(written: Path, loader: PhotoLoader) -> None:
    """FFCV's own draws come from a generator a thread, none of which can be seeded."""
    parallel = PhotoLoader(written, BATCH, SIDE)
    order_N, crops_N4 = np.arange(50), crops(loader)
    several = all_of(parallel, order_N, crops_N4)
    torch.set_num_threads(1)
    assert (all_of(loader, order_N, crops_N4) == several).all()


def test_what_ffcv_draws_itself_cannot_be_repeated(written: Path) -> None:
    """The wrong way fails the same test: with all seeds set that one can set, the crops are others."""
    from ffcv.fields.rgb_image import RandomResizedCropRGBImageDecoder
    from ffcv.transforms import ToTensor

    pipelines = {"image": [RandomResizedCropRGBImageDecoder((SIDE, SIDE)), ToTensor()]}
    reader = Reader(written, 50, pipelines=pipelines)
    found = []
    for _ in range(2):
        np.random.seed(0)  # noqa: NPY002 (the one that FFCV's code names)
        torch.manual_seed(0)
        found += [images.numpy().copy() for images, _ in reader.epoch(np.arange(50))]
    assert (found[0] != found[1]).any(axis=(1, 2, 3)).all()
