"""Photographs through FFCV, streamed from its file and cut where we say: a seed decides every pixel.

FFCV draws crops and flips from generators that nobody can seed, one a thread. Here they are a table that is
made before each epoch (`data.crops`), which its compiled loop reads where it lies.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from ffcv.fields.rgb_image import ResizedCropRGBImageDecoder
from ffcv.libffcv import imdecode, resize_crop
from ffcv.pipeline.compiler import Compiler
from ffcv.transforms import ToTensor
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from torch import Tensor

from airbench_var.data.beton import read_rows
from airbench_var.data.crops import Crops
from airbench_var.data.ffcv_loader import Reader
from airbench_var.errors import DataError

JPEG = 0


def _pointer_at(typing_context: Any, address: Any) -> Any:
    """Return an address as a pointer to int64, for `array_at`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())

    return types.CPointer(types.int64)(types.uintp), generate  # type: ignore[no-untyped-call]


#: Functions of compiled code; numba resolves them by these names.
_pointer: Any = intrinsic(_pointer_at)
array_at: Any = vars(numba)["carray"]


@cache
def _compiled() -> tuple[Any, Any]:
    """Return FFCV's decoder and its resizing for compiled code, once for all loaders."""
    return Compiler.compile(imdecode), Compiler.compile(resize_crop)


class _GivenCrops(ResizedCropRGBImageDecoder):  # type: ignore[misc]
    """Decodes an image, takes its rectangle from a table, and resizes that.

    A row of the table is the rectangle, and what the decoder answers: 0 where it could read the image.
    """

    get_crop_generator = None

    def __init__(self, side: int, table_N5: npt.NDArray[np.int64]) -> None:
        super().__init__((side, side))
        self.table_N5 = table_N5  # kept, as the loop uses it by its address

    def generate_code(self) -> Callable[..., Any]:
        read, every = self.memory_read, Compiler.get_iterator()
        decode_jpeg, resize = _compiled()
        address, n = np.uintp(self.table_N5.ctypes.data), len(self.table_N5)

        def decode(batch_indices: Any, memory: Any, metadata: Any, storage_state: Any) -> Any:
            target, decoded = memory
            crops = array_at(_pointer(address), (n, 5))
            for place in every(len(batch_indices)):
                example = batch_indices[place]
                field = metadata[example]
                height, width = np.uint32(field["height"]), np.uint32(field["width"])
                pixels = read(field["data_ptr"], storage_state)
                if field["mode"] == JPEG:
                    buffer = decoded[place]
                    crops[example, 4] = decode_jpeg(
                        pixels, buffer, height, width, height, width, 0, 0, 1, 1, False, False
                    )
                    pixels = buffer[: height * width * 3]
                row, column = crops[example, 0], crops[example, 1]
                image = pixels.reshape(height, width, 3)
                resize(image, row, row + crops[example, 2], column, column + crops[example, 3], target[place])
            return target[: len(batch_indices)]

        decode.is_parallel = True  # type: ignore[attr-defined]
        return decode


class PhotoLoader:
    """Reads one file in batches, every image resized to squares of one side."""

    def __init__(self, path: Path, batch_size: int, side: int) -> None:
        rows = read_rows(path)
        self.height_N, self.width_N = rows["height"].astype(np.int64), rows["width"].astype(np.int64)
        self.n, self.batch_size = len(rows), batch_size
        self._path, self._table_N5 = path, np.zeros((self.n, 5), np.int64)
        pipelines = {"image": [_GivenCrops(side, self._table_N5), ToTensor()]}
        self._reader = Reader(path, batch_size, drop_last=False, pipelines=pipelines)

    def batches(
        self, order_N: npt.NDArray[np.int64], crops_N4: Crops
    ) -> Iterator[tuple[Tensor, npt.NDArray[np.int64]]]:
        """Yield images uint8 (B, side, side, 3) and their numbers (B,), in this order and cut so.

        An image tensor is a buffer of FFCV's, which it uses again a few batches later.

        Raises: DataError for a JPEG that cannot be decoded, DeviceError where there is no room for batches.
        """
        self._table_N5[:, :4], self._table_N5[:, 4] = crops_N4, 0
        for step, (images_BHWC, _) in enumerate(self._reader.epoch(order_N)):
            rows_B = order_N[step * self.batch_size : (step + 1) * self.batch_size]
            broken_B = rows_B[self._table_N5[rows_B, 4] != 0]
            if len(broken_B):  # its pixels would be those of another image
                raise DataError(
                    f"{self._path}: image {broken_B[0]:,} is no JPEG any more, so the file was damaged since "
                    "it was written. Remove it and write it anew."
                )
            yield images_BHWC, rows_B
