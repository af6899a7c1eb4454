"""Read a .pt file by the reader that loads tensors and nothing else; torch is imported only here."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airbench_var.errors import DataError, DeviceError
from airbench_var.importing.dump import contents_of
from airbench_var.importing.rows import Array, Contents, Rows, reading, refuse_empty

if TYPE_CHECKING:
    import torch


@contextmanager
def open_torch(path: Path) -> Iterator[Contents]:
    """Yield the tensors of a .pt file by key; no code in it is run, and no tensor is read yet.

    Raises: DataError when it cannot be read or asks for anything but tensors, text, numbers and containers;
    DeviceError without torch.
    """
    with reading(path):
        size = path.stat().st_size
    loaded = _load(path, size)

    def rows_of(key: str, value: Any) -> Rows | float | None:
        if not _is_plain(value):
            return None
        if not value.ndim:
            number: float = value.item()
            return number
        return _Tensor(path, size, key, value)

    yield contents_of(str(path), loaded, rows_of)


class _Tensor(Rows):
    """A tensor of a file, which is mapped anew for every piece: what was read does not stay in memory."""

    def __init__(self, path: Path, size: int, key: str, tensor: Any) -> None:
        self.name = f"{path}, {key}" if key else str(path)
        self._path, self._size, self._key = path, size, key
        self.dtype, self.shape = _array(tensor[:0]).dtype, tuple(tensor.shape)
        refuse_empty(self.name, self.dtype, self.shape)
        held = tensor.untyped_storage().nbytes()
        if tensor.numel() * tensor.element_size() > held:  # so may a kilobyte say that it is terabytes
            raise DataError(
                f"{self.name} is {self}, of which the file holds only {held:,} bytes, and repeats them. "
                "Save it with .contiguous()."
            )

    def read(self, rows: range) -> Array:
        """Return a copy of some rows; bfloat16, which NumPy does not have, as float32."""
        loaded = _load(self._path, self._size)
        tensor = loaded[self._key] if self._key else loaded
        if not _is_plain(tensor) or tuple(tensor.shape) != self.shape:
            raise DataError(f"{self.name} changed while it was read. Wait until nobody writes it.")
        return _array(tensor[rows.start : rows.stop]).copy(order="C")


def _load(path: Path, size: int) -> Any:
    """Map the file, and return its object with tensors that lie in the map."""
    if find_spec("torch") is None:
        raise DeviceError(
            f"{path}: .pt files are read with PyTorch, which is not installed. pip install torch; or write "
            "the array with numpy.save where it is."
        )
    import torch

    with reading(path):
        if path.stat().st_size != size:
            raise DataError(f"{path} changed its length while it was read. Wait until it is whole.")
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except OSError:
            raise
        except Exception as error:  # a damaged file can raise anything
            raise DataError(f"{path} cannot be read: {_why(error)}") from error


def _why(error: Exception) -> str:
    text = str(error)
    if "_use_new_zipfile_serialization" in text:
        return (
            "it is in the format from before PyTorch 1.6, or not a .pt file. Load it, and save it again with "
            "torch.save."
        )
    if "Weights only load failed" in text or "weights_only" in text:
        return (
            "it holds more than tensors, text, numbers and containers of them, or is damaged; nothing of "
            "it was run. Save a dict of tensors with torch.save."
        )
    return f"{text.splitlines()[0] if text else type(error).__name__}. Copy it, or write it, once more."


def _is_plain(value: object) -> bool:
    import torch

    return (
        isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and (value.dtype is torch.bfloat16 or value.dtype in _numpy_has())
    )


def _numpy_has() -> "tuple[torch.dtype, ...]":
    import torch

    whole = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
    return (torch.bool, *whole, torch.float16, torch.float32, torch.float64)


def _array(tensor: Any) -> Array:
    import torch

    plain = tensor.detach()
    found: Array = (plain.float() if plain.dtype is torch.bfloat16 else plain).numpy()
    return found
