import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from airbench_var.data import beton, synthetic
from airbench_var.data.dataset import Split
from airbench_var.data.loaders import Pixels, ResidentLoader
from airbench_var.errors import DeviceError, UsageError
from airbench_var.recipe import Augment
from airbench_var.seeds import Seeds
from tests.cli.running import exit_code

pytest.importorskip("ffcv", reason="FFCV is not installed: pip install 'airbench_var[ffcv]'")
from airbench_var.data.ffcv_loader import FfcvLoader, written

FILES = ("correct.npy", "predicted.npy", "labels.npy")
SEEDS = Seeds(init=0, order=2**63 + 1, aug=2**64 - 1)
CPU = torch.device("cpu")
PIXELS = Pixels(
    augment=Augment(flip="alternating", translate=2, cutout=5),
    mean=(120.0, 121.0, 122.0),
    std=(60.0, 61.0, 62.0),
    dtype=torch.bfloat16,
)


@pytest.fixture(scope="module")
def split() -> Split:
    return synthetic.sample("train", 0, 3000)  # 3000 images are two pages of a .beton


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ffcv")


@pytest.fixture(scope="module")
def loader(split: Split, cache: Path) -> FfcvLoader:
    return FfcvLoader(split, 128, PIXELS, CPU, cache_dir=cache)


@pytest.fixture(autouse=True)
def _no_thread_outlives_an_epoch() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def test_both_loaders_give_the_same_bits(split: Split, loader: FfcvLoader) -> None:
    resident = ResidentLoader(split, 128, PIXELS, CPU)
    assert loader.steps_per_epoch == resident.steps_per_epoch == 23
    for epoch, seeds in ((0, SEEDS), (1, SEEDS), (0, Seeds(init=0, order=3, aug=4)), (0, SEEDS)):
        pairs = list(zip(loader.epoch(epoch, seeds), resident.epoch(epoch, seeds), strict=True))
        assert len(pairs) == 23
        for (images, labels), (expected_images, expected_labels) in pairs:
            assert torch.equal(images, expected_images)
            assert images.stride() == expected_images.stride()
            assert torch.equal(labels, expected_labels)
            assert labels.dtype == torch.int64


@pytest.mark.parametrize("taken", [0, 1, 10, 23])
def test_an_epoch_may_be_left_at_any_step(loader: FfcvLoader, taken: int) -> None:
    batches = loader.epoch(0, SEEDS)
    kept = list(islice(batches, taken))
    time.sleep(0.05 if taken == 10 else 0)  # let FFCV fill its queue
    assert isinstance(batches, Generator)
    batches.close()
    whole = list(loader.epoch(0, SEEDS))
    for (images, labels), (expected_images, expected_labels) in zip(kept, whole[:taken], strict=True):
        assert torch.equal(images, expected_images)
        assert torch.equal(labels, expected_labels)


@pytest.mark.parametrize("threads", [1, 2])
def test_torch_keeps_its_threads(loader: FfcvLoader, threads: int) -> None:
    if threads > (os.cpu_count() or 1):
        pytest.skip("FFCV takes no more threads than there are cores")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for _ in islice(loader.epoch(0, SEEDS), 3):
            assert torch.get_num_threads() == threads
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_more_threads_than_ffcv_can_have_are_refused(
    loader: FfcvLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 10_000)
    with pytest.raises(DeviceError, match="threads here, not 10000: lower --threads"):
        next(loader.epoch(0, SEEDS))


def test_global_generators_are_neither_read_nor_moved(split: Split, cache: Path) -> None:
    torch_state, numpy_state = torch.get_rng_state(), repr(np.random.get_state())  # noqa: NPY002
    list(FfcvLoader(split, 1000, PIXELS, CPU, cache_dir=cache).epoch(0, SEEDS))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state()) == numpy_state  # noqa: NPY002


def test_the_file_is_written_once_and_again_when_half_written(split: Split, tmp_path: Path) -> None:
    path = written(split, tmp_path)
    content, first = path.read_bytes(), path.stat().st_ino
    assert written(split, tmp_path).stat().st_ino == first
    with path.open("r+b") as file:
        file.seek(16)
        file.write(bytes(8))  # alloc_table_ptr
    assert written(split, tmp_path) == path
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_another_data_set_never_gets_the_file(split: Split, tmp_path: Path) -> None:
    other_image = split.images_NHWC.copy()
    other_image[7, 0, 0, 0] ^= 1
    other_label = split.labels_N.copy()
    other_label[7] ^= 1
    paths = {
        written(split, tmp_path),
        written(Split(images_NHWC=other_image, labels_N=split.labels_N), tmp_path),
        written(Split(images_NHWC=split.images_NHWC, labels_N=other_label), tmp_path),
    }
    assert len(paths) == 3
    assert all(beton.is_complete(path, len(split)) for path in paths)


def test_the_default_place_is_the_user_cache(
    split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    FfcvLoader(split, 1000, PIXELS, CPU)
    assert [p.parent.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.beton")] == [
        "airbench_var/ffcv"
    ]


def test_a_batch_size_that_gives_no_batch_is_refused_before_anything_is_written(
    split: Split, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="batch_size = 3001"):
        FfcvLoader(split, 3001, PIXELS, CPU, cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_ffcv_the_error_names_the_extra_and_the_system_packages() -> None:
    check = """
import sys, torch
sys.modules["ffcv"] = None
torch.set_num_threads(2)
from airbench_var.errors import DeviceError
try:
    import airbench_var.data.ffcv_loader
except DeviceError as error:
    print(error)
assert torch.get_num_threads() == 2
"""
    run = subprocess.run(
        [sys.executable, "-c", check], check=True, capture_output=True, text=True, timeout=60
    )
    for words in (
        'pip install "airbench_var[ffcv]"',
        "libopencv-dev libturbojpeg0-dev pkg-config",
        "resident",
    ):
        assert words in run.stdout


def test_the_tool_gives_the_same_bits_through_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = []
    for name in ("ffcv", "resident"):
        command = ["--runs", "2", "--recipe", "tiny", "--data", "synthetic", "--out", str(tmp_path / name)]
        command += ["--set", "epochs=0.1", "--set", "network.widths=16,16", "--workers", "1", "--quiet"]
        assert exit_code([*command, "--loader", name]) == 0
        found.append([(tmp_path / name / "synthetic" / file).read_bytes() for file in FILES])
    assert found[0] == found[1]
    assert list((tmp_path / "cache" / "airbench_var" / "ffcv").glob("*.beton"))


def test_importing_it_leaves_the_threads_of_torch() -> None:
    check = """
import torch
torch.set_num_threads(2)
import airbench_var.data.ffcv_loader
assert torch.get_num_threads() == 2
"""
    subprocess.run([sys.executable, "-c", check], check=True, timeout=60)


def test_what_ends_its_thread_is_raised_and_not_waited_for(
    loader: FfcvLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFCV alone would wait for ever: nobody tells its queue."""

    def fail(*_: object) -> None:
        raise MemoryError("no room for a batch")

    with monkeypatch.context() as broken:
        broken.setattr("ffcv.loader.epoch_iterator.EpochIterator.run_pipeline", fail)
        with pytest.raises(MemoryError, match="no room for a batch"):
            list(loader.epoch(0, SEEDS))
    assert len(list(loader.epoch(0, SEEDS))) == 23


def test_what_was_compiled_before_a_loader_is_found_after_it(split: Split, cache: Path) -> None:
    """FFCV's own memory manager changes a type that all compiled functions share."""
    import numba

    function = numba.njit(lambda array: array.size)
    function(np.zeros(3, np.uint8))
    FfcvLoader(split, 128, PIXELS, CPU, cache_dir=cache)
    (signature,) = dict.keys(function.overloads)
    assert signature in function.overloads
