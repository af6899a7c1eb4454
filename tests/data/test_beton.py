import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from airbench_var.data import beton
from airbench_var.data.dataset import Split
from airbench_var.errors import StorageError

FFCV_WRITES = """
import sys, numpy as np
from ffcv.fields import IntField, RGBImageField
from ffcv.writer import DatasetWriter
for source, target in zip(sys.argv[1::2], sys.argv[2::2]):
    held = np.load(source)
    rows = [(image, int(label)) for image, label in zip(held["images"], held["labels"])]
    fields = {"image": RGBImageField(write_mode="raw"), "label": IntField()}
    DatasetWriter(target, fields, num_workers=1).from_indexed_dataset(rows)
"""


def split(n: int, side: int = 32) -> Split:
    rng = np.random.default_rng(n)
    return Split(
        images_NHWC=rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8),
        labels_N=rng.integers(0, 10, n, dtype=np.uint8),
    )


def test_the_file_is_byte_for_byte_what_ffcv_writes(tmp_path: Path) -> None:
    pytest.importorskip("ffcv", reason="FFCV is not installed: pip install 'airbench_var[ffcv]'")
    arguments = []
    for n, side in ((3000, 32), (2730, 32), (7, 33)):  # two pages; exactly one; few images of odd size
        whole, name = split(n, side), tmp_path / f"{n}"
        beton.write(whole, name.with_suffix(".ours"))
        np.savez(name.with_suffix(".npz"), images=whole.images_NHWC, labels=whole.labels_N)
        arguments += [str(name.with_suffix(".npz")), str(name.with_suffix(".theirs"))]
    # In a process of its own: FFCV's writer forks.
    command = [sys.executable, "-c", FFCV_WRITES, *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    for ours in tmp_path.glob("*.ours"):
        assert ours.read_bytes() == ours.with_suffix(".theirs").read_bytes()


def test_complete_means_written_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.beton"
    beton.write(split(5), path)
    content = path.read_bytes()
    assert beton.is_complete(path, 5)
    assert not beton.is_complete(path, 6)
    assert not beton.is_complete(tmp_path / "absent.beton", 5)
    half_done = content[:16] + bytes(8) + content[24:]  # as FFCV's own writer leaves it
    other_version = b"\x01" + content[1:]
    for damaged in (half_done, other_version, content[:-1], content + b"\0", content[:100], content[:3], b""):
        path.write_bytes(damaged)
        assert not beton.is_complete(path, 5)


def test_nothing_is_left_when_the_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match=r"Cannot write .*a\.beton: .*No space left"):
        beton.write(split(5), tmp_path / "a.beton")
    assert list(tmp_path.iterdir()) == []
