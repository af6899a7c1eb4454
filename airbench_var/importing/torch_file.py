"""Read a .pt file by the reader that loads tensors and nothing else; torch is imported only here."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from airbench_var.errors import DataError, DeviceError
from airbench_var.importing.dump import contents_of, is_exact, refuse_unlike, text_of
from airbench_var.importing.rows import Array, Contents, Rows, reading, refuse_empty

if TYPE_CHECKING:
    import torch

#: In older versions a file can corrupt memory even under `weights_only=True`, and run code: CVE-2026-24747.
SAFE_SINCE = "2.10"


@contextmanager
def open_torch(path: Path) -> Iterator[Contents]:
    """Yield the tensors of a .pt file, or lists of one a run, by key; no code in it is run.

    Raises: DataError when it cannot be read or asks for anything but tensors, text, numbers and containers;
    DeviceError without torch, or with one before 2.10, whose reader can be made to run code.
    """
    with reading(path):
        size = path.stat().st_size
    loaded = _load(path, size)

    def rows_of(key: str, value: Any) -> Rows | float | None:
        if isinstance(value, list | tuple) and value and all(map(_is_plain, value)):
            name = f"{path}, {key}" if key else str(path)
            refuse_unlike(name, [(one.dtype, tuple(one.shape)) for one in value])
            return _Tensors(path, size, key, value) if value[0].ndim else None
        if not _is_plain(value):
            _refuse_other_tensors(f"{path}, {key}" if key else str(path), value)
            return None
        if not value.ndim:
            number: float = value.item()
            return number if is_exact(number, _array(value).dtype) else None
        return _Tensors(path, size, key, value)

    yield contents_of(str(path), loaded, rows_of)


class _Tensors(Rows):
    """A tensor of a file, or a list of one a run.

    The file is mapped anew for every piece: what was read does not stay in memory.
    """

    def __init__(self, path: Path, size: int, key: str, value: Any) -> None:
        self.name = f"{path}, {key}" if key else str(path)
        self._path, self._size, self._key = path, size, key
        tensors = value if isinstance(value, list | tuple) else [value]
        self.dtype, self.shape = _array(tensors[0][:0]).dtype, _shape_of(value)
        refuse_empty(self.name, self.dtype, self.shape)
        for tensor in tensors:
            held = tensor.untyped_storage().nbytes()
            if tensor.numel() * tensor.element_size() > held:  # so may a kilobyte say that it is terabytes
                raise DataError(
                    f"{self.name} is {self}, of which the file holds only {held:,} bytes, and repeats them. "
                    "Save it with .contiguous()."
                )

    def read(self, rows: range) -> Array:
        """Return a copy of some rows; bfloat16, which NumPy does not have, as float32."""
        value = _load(self._path, self._size)
        if self._key:
            value = next((one for key, one in value.items() if text_of(key) == self._key), None)
        if _shape_of(value) != self.shape:
            raise DataError(f"{self.name} changed while it was read. Wait until nobody writes it.")
        some = value[rows.start : rows.stop]
        if isinstance(some, list | tuple):
            return np.stack([_array(tensor) for tensor in some])
        return _array(some).copy(order="C")


def _load(path: Path, size: int) -> Any:
    """Map the file, and return its object with tensors that lie in the map."""
    if find_spec("torch") is None:
        raise DeviceError(
            f"{path}: .pt files are read with PyTorch, which is not installed. pip install torch; or write "
            "the array with numpy.save where it is."
        )
    import torch
    from torch.torch_version import TorchVersion

    if TorchVersion(torch.__version__) < SAFE_SINCE:
        raise DeviceError(
            f"{path}: PyTorch {torch.__version__} is not safe to read .pt files with: before 2.10 a file can "
            "run code even under weights_only=True (CVE-2026-24747). Upgrade it: pip install 'torch>=2.10'; "
            "or load the file yourself, if you trust it, and write its array with numpy.save."
        )
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


def _shape_of(value: Any) -> tuple[int, ...]:
    """Return the shape of a tensor, or of a list of tensors of one shape; () of anything else."""
    if isinstance(value, list | tuple):
        shapes = set(map(_shape_of, value))
        return (len(value), *shapes.pop()) if len(shapes) == 1 else ()
    return tuple(value.shape) if _is_plain(value) else ()


def _is_plain(value: object) -> bool:
    import torch

    return (
        isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and (value.dtype is torch.bfloat16 or value.dtype in _numpy_has())
    )


def _refuse_other_tensors(name: str, value: object) -> None:
    """Raise DataError for a tensor, or one in a list, that cannot be read as an array, and say what it is."""
    import torch

    for one in value if isinstance(value, list | tuple) else [value]:
        if isinstance(one, torch.Tensor) and not _is_plain(one):
            raise DataError(
                f"{name} has a tensor of {one.dtype}, {one.layout}, on {one.device.type}, which is not read. "
                "Save classes as tensor.to_dense().cpu().long(), logits as tensor.to_dense().cpu().float()."
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
