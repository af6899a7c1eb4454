"""How one photograph is kept: read by Pillow, reduced, and encoded as JPEG or raw pixels.

Names of settings, and the choice between JPEG and raw pixels for each image, are FFCV's (its
fields/rgb_image.py), which draws the choice from a generator. Here it follows from the number of the image,
so that the same images give the same bytes.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from airbench_var.data.beton import JPEG, RAW
from airbench_var.data.image_folder import ImageFolder
from airbench_var.errors import DataError, UsageError
from airbench_var.philox import philox4x32

if TYPE_CHECKING:
    from PIL.Image import Image

#: Key of the choice between JPEG and raw pixels.
CHOICE_KEY = 0x6A706567
#: The longest side that a file has room for, and that JPEG can have.
LONGEST, LONGEST_JPEG = 65_535, 65_500


@dataclass(frozen=True, kw_only=True)
class PhotoSettings:
    """How photographs are kept."""

    max_resolution: int = 500  #: a longer side is reduced to it; 0 keeps all sizes
    compress_probability: float = 0.5  #: share of the images that are kept as JPEG, the others as raw pixels
    jpeg_quality: int = 90
    border: int = 0  #: pixels that are cut from every side first, such as ObjectNet's frame

    def __post_init__(self) -> None:
        """Raise UsageError for a value out of its range."""
        for name, low, high in (
            ("max_resolution", 0, 65_535),
            ("compress_probability", 0, 1),
            ("jpeg_quality", 1, 100),
            ("border", 0, 65_535),
        ):
            if not low <= getattr(self, name) <= high:
                option = name.replace("_", "-")
                raise UsageError(f"--{option} {getattr(self, name)}: it must be from {low} to {high}.")


@dataclass(frozen=True)
class Encoded:
    """The bytes of an image, and what they are."""

    mode: int
    width: int
    height: int
    data: bytes


def encode(folder: ImageFolder, settings: PhotoSettings, number: int) -> Encoded | None:
    """Return the image of this number as it is kept; None for what is no whole image.

    Raises: DataError for a file that is gone or that the disk does not give, and for sides beyond what a
    file has room for.
    """
    path = folder.root / folder.files[number]
    image = _read(path)
    if image is None:
        return None
    if cut := settings.border:
        width, height = image.size
        if min(width, height) <= 2 * cut:
            raise DataError(
                f"{path} is of {height} x {width} pixels: nothing would be left of it by --border {cut}."
            )
        image = image.crop((cut, cut, width - cut, height - cut))
    image = _reduced(image, settings.max_resolution)
    as_jpeg = is_jpeg(number, settings.compress_probability)
    if max(image.size) > (most := LONGEST_JPEG if as_jpeg else LONGEST):
        raise DataError(
            f"{path} is of {image.height} x {image.width} pixels, and a side has at most {most:,}. Reduce it "
            "with --max-resolution."
        )
    if as_jpeg:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=settings.jpeg_quality)
        return Encoded(JPEG, *image.size, buffer.getvalue())
    return Encoded(RAW, *image.size, image.tobytes())


def _read(path: Path) -> "Image | None":
    """Return an image in RGB, or None as Pillow tells of files that are cut short, broken, or no images."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            if opened.mode.startswith("I;16") or (opened.mode == "I" and opened.format == "PNG"):
                grey_HW = np.asarray(opened).astype(np.uint32) // 257  # Pillow would cut off above 255
                return Image.fromarray(grey_HW.astype(np.uint8)).convert("RGB")
            if opened.mode in ("I", "F"):
                return None  # nothing says which of its values is white
            return opened.convert("RGB")
    except FileNotFoundError as error:
        if path.is_symlink():
            return None  # a link to nothing
        raise DataError(f"{path} is gone. Give the same command again.") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk, not of the image
            raise DataError(
                f"{path} cannot be read: {error.strerror}. The same command goes on where it was."
            ) from error
        return None


def _reduced(image: "Image", most: int) -> "Image":
    """Return an image whose longer side is at most so many pixels; 0 leaves all as they are."""
    from PIL import Image

    longest = max(image.size)
    if not most or longest <= most:
        return image
    share = most / longest
    width, height = (max(1, int(share * side)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX)


def is_jpeg(number: int, share: float) -> bool:
    """Return whether the image of this number is kept as JPEG: a coin of this share, the same every time."""
    return int(philox4x32(CHOICE_KEY, number & 0xFFFFFFFF)[0]) < share * 2**32
