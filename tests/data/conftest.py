"""A small CIFAR-10 in all its layouts: 20 images a batch in place of 10,000, otherwise the real bytes."""

import io
import pickle
import struct
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from airbench_var.data import cifar10


def python2_pickle(value: object) -> bytes:
    """Return protocol 2 as Python 2 wrote it: `str` for all text, NumPy 1 names; written out by hand."""
    return b"\x80\x02" + _opcodes(value) + b"."


def _opcodes(value: object) -> bytes:
    match value:
        case bool():
            return b"\x88" if value else b"\x89"
        case None:
            return b"N"
        case int():
            return b"J" + struct.pack("<i", value)
        case str():
            return _opcodes(value.encode())
        case bytes():
            return b"T" + struct.pack("<I", len(value)) + value
        case tuple():
            return b"(" + b"".join(map(_opcodes, value)) + b"t"
        case list():
            return b"](" + b"".join(map(_opcodes, value)) + b"e"
        case dict():
            return b"}(" + b"".join(_opcodes(k) + _opcodes(v) for k, v in value.items()) + b"u"
        case np.ndarray():
            dtype = b"cnumpy\ndtype\n" + _opcodes(("u1", 0, 1)) + b"R"
            dtype += _opcodes((3, "|", None, None, None, -1, -1, 0)) + b"b"
            array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
            array += _opcodes((0,)) + _opcodes("b") + b"tR"
            state = _opcodes(1) + _opcodes(value.shape) + dtype + _opcodes(False) + _opcodes(value.tobytes())
            return array + b"(" + state + b"tb"
    raise TypeError(type(value))


def python3_pickle(protocol: int, core: str = "numpy._core") -> Callable[[object], bytes]:
    """Return a pickler of today's Python; core replaces the name of NumPy's (text protocols only)."""

    def dump(value: object) -> bytes:
        return pickle.dumps(value, protocol).replace(b"numpy._core.", core.encode() + b".")

    return dump


@dataclass(frozen=True)
class SmallCifar:
    """What the files say, and how to write them."""

    images_NHWC: np.ndarray
    labels_N: np.ndarray

    def files(self, binary: bool, dump: Callable[[object], bytes] = python2_pickle) -> dict[str, bytes]:
        """Return the six files of a version by name."""
        planes = self.images_NHWC.transpose(0, 3, 1, 2).reshape(6, 20, 3072)
        labels = self.labels_N.reshape(6, 20)
        if binary:
            rows = np.concatenate([labels[..., None], planes], axis=-1)
            return {f"{name}.bin": rows[i].tobytes() for i, name in enumerate(cifar10.BATCHES)}
        return {
            name: dump({"data": planes[i], "labels": labels[i].tolist(), "batch_label": name})
            for i, name in enumerate(cifar10.BATCHES)
        }

    def write(self, place: Path, layout: str, files: dict[str, bytes] | None = None) -> Path:
        """Write one of the four layouts in place and return its path."""
        binary = "bin" in layout
        files = files or self.files(binary)
        place.mkdir(parents=True, exist_ok=True)
        path = place / layout
        if not layout.endswith(".tar.gz"):
            path.mkdir()
            for name, content in files.items():
                (path / name).write_bytes(content)
            return path
        with tarfile.open(path, "w:gz") as archive:
            for name, content in files.items():
                member = tarfile.TarInfo(f"cifar-10-batches-{'bin' if binary else 'py'}/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SmallCifar:
    """A CIFAR-10 of 100 + 20 images; the environment and the user cache point into an empty folder."""
    monkeypatch.setattr(cifar10, "BATCH_IMAGES", 20)
    monkeypatch.delenv(cifar10.ENVIRONMENT, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    return SmallCifar(
        images_NHWC=rng.integers(0, 256, (120, 32, 32, 3), dtype=np.uint8),
        labels_N=rng.integers(0, 10, 120, dtype=np.uint8),
    )
