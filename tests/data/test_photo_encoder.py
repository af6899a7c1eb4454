"""Single images of unusual kinds: what is kept of them, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from airbench_var.data.beton import RAW
from airbench_var.data.image_folder import ImageFolder
from airbench_var.data.photo_encoder import Encoded, PhotoSettings, encode
from airbench_var.errors import DataError

ALL_RAW = PhotoSettings(compress_probability=0.0, max_resolution=0)


def encoded(path: Path, settings: PhotoSettings = ALL_RAW) -> Encoded | None:
    folder = ImageFolder(
        root=path.parent, classes=("a",), files=(path.name,), labels_N=np.zeros(1, np.uint16)
    )
    return encode(folder, settings, 0)


def pixels(found: Encoded | None) -> np.ndarray:
    assert found is not None
    assert found.mode == RAW
    return np.frombuffer(found.data, np.uint8).reshape(found.height, found.width, 3)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_become_eight(ending: str, tmp_path: Path) -> None:
    grey_HW = np.linspace(0, 65_535, 64 * 48).reshape(48, 64).astype(np.uint16)
    Image.fromarray(grey_HW).save(tmp_path / f"grey.{ending}")
    found_HWC = pixels(encoded(tmp_path / f"grey.{ending}"))
    assert (found_HWC == (grey_HW // 257).astype(np.uint8)[..., None]).all()
    assert found_HWC.max() == 255
    assert len(np.unique(found_HWC)) == 256


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_values_without_a_white_are_no_image(dtype: type, tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 0.5, np.float32).astype(dtype)).save(tmp_path / "deep.tif")
    assert encoded(tmp_path / "deep.tif") is None


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "RGBA", "LA"])
def test_all_else_becomes_rgb_as_pillow_has_it(mode: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (9, 1, 3), dtype=np.uint8)).convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    assert (pixels(encoded(path)) == np.asarray(image.convert("RGB"))).all()


def test_sides_beyond_two_bytes_are_refused_and_reduced_ones_are_not(tmp_path: Path) -> None:
    path = tmp_path / "long.png"
    Image.new("RGB", (70_000, 3)).save(path)
    with pytest.raises(DataError, match="is of 3 x 70000 pixels, and a side has at most 65,535"):
        encoded(path)
    with pytest.raises(DataError, match="at most 65,500"):
        encoded(path, PhotoSettings(compress_probability=1.0, max_resolution=0))
    reduced = encoded(path, PhotoSettings(compress_probability=0.0, max_resolution=500))
    assert reduced is not None
    assert (reduced.width, reduced.height) == (500, 1)
