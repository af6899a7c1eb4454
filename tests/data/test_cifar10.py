import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from airbench_var.data import cifar10
from airbench_var.data.dataset import Dataset
from airbench_var.data.download import Remote
from airbench_var.errors import DataError

from .conftest import SmallCifar, python2_pickle, python3_pickle

LAYOUTS = [layout.name for layout in cifar10.LAYOUTS]


def load(place: Path) -> Dataset:
    return cifar10.load(place, download=False)


def found(data_dir: Path | None = None) -> Path:
    place = cifar10.find(data_dir)
    assert place is not None
    return place[0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_data_set(small: SmallCifar, tmp_path: Path, layout: str) -> None:
    path = small.write(tmp_path / "data", layout)
    data = load(tmp_path / "data")
    assert np.array_equal(data.train.images_NHWC, small.images_NHWC[:100])
    assert np.array_equal(data.train.labels_N, small.labels_N[:100])
    assert np.array_equal(data.test.images_NHWC, small.images_NHWC[100:])
    assert np.array_equal(data.test.labels_N, small.labels_N[100:])
    assert data.train.images_NHWC.dtype == data.train.labels_N.dtype == np.uint8
    assert data.train.images_NHWC.flags.c_contiguous
    assert data.source == str(path)
    assert load(path).fingerprint == data.fingerprint


@pytest.mark.parametrize("dump", [python3_pickle(2), python3_pickle(2, "numpy.core"), python3_pickle(5)])
def test_copies_that_python_3_wrote_are_read(
    small: SmallCifar, tmp_path: Path, dump: Callable[[object], bytes]
) -> None:
    small.write(tmp_path / "a", "cifar-10-batches-py", small.files(False, dump))
    small.write(tmp_path / "b", "cifar-10-batches-bin")
    assert load(tmp_path / "a").fingerprint == load(tmp_path / "b").fingerprint


def test_labels_may_be_an_array(small: SmallCifar, tmp_path: Path) -> None:
    def with_array(batch: object) -> bytes:
        assert isinstance(batch, dict)
        return python3_pickle(4)(batch | {"labels": np.array(batch["labels"], np.int64)})

    small.write(tmp_path / "a", "cifar-10-batches-py", small.files(False, with_array))
    assert np.array_equal(load(tmp_path / "a").train.labels_N, small.labels_N[:100])


def test_a_renamed_folder_is_known_by_its_files(small: SmallCifar, tmp_path: Path) -> None:
    for layout in LAYOUTS[:2]:
        path = small.write(tmp_path, layout).rename(tmp_path / f"mine {layout[-2:]}")
        assert len(load(path).train) == 100


def test_search_order(small: SmallCifar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = small.write(tmp_path / "cache" / "airbench_var", LAYOUTS[3])
    assert found() == cached
    monkeypatch.setenv(cifar10.ENVIRONMENT, str(tmp_path / "nothing here"))
    assert found() == cached
    named = small.write(tmp_path / "environment", LAYOUTS[2])
    monkeypatch.setenv(cifar10.ENVIRONMENT, str(tmp_path / "environment"))
    assert found() == named
    explicit = small.write(tmp_path / "explicit", LAYOUTS[1])
    assert found(tmp_path / "explicit") == explicit


def test_a_named_folder_without_data_is_an_error_even_if_another_place_has_some(
    small: SmallCifar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.write(tmp_path / "environment", LAYOUTS[0])
    monkeypatch.setenv(cifar10.ENVIRONMENT, str(tmp_path / "environment"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds no CIFAR-10: expected one of .*--data synthetic"):
        cifar10.load(tmp_path / "empty")
    with pytest.raises(DataError, match="absent does not exist"):
        cifar10.load(tmp_path / "absent")


def test_no_data_and_no_download_names_the_ways_out(small: SmallCifar) -> None:
    with pytest.raises(DataError, match=r"No CIFAR-10 in .*--data-dir.*--data synthetic"):
        cifar10.load(download=False)


def test_downloads_once(
    small: SmallCifar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = small.write(tmp_path / "origin", "cifar-10-binary.tar.gz")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    remote = Remote(urls=(archive.as_uri(),), size_bytes=archive.stat().st_size, sha256=digest)
    monkeypatch.setattr(cifar10, "BINARY_ARCHIVE", remote)
    data = cifar10.load(progress=False)
    assert data.title == "CIFAR-10"
    assert np.array_equal(data.train.images_NHWC, small.images_NHWC[:100])
    archive.unlink()
    assert cifar10.load().fingerprint == data.fingerprint
    assert capsys.readouterr() == ("", "")


def test_offline_names_the_ways_out(
    small: SmallCifar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Remote(urls=((tmp_path / "gone").as_uri(),), size_bytes=1, sha256="")
    monkeypatch.setattr(cifar10, "BINARY_ARCHIVE", gone)
    with pytest.raises(DataError, match=r"could not be downloaded .*gone.*--data-dir.*--data synthetic"):
        cifar10.load(progress=False)


def test_titles(small: SmallCifar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {layout: small.write(tmp_path, layout) for layout in LAYOUTS}
    other = "CIFAR-10 (not the official files)"
    unchecked = "CIFAR-10 (not checked: the binary files have no published digests)"
    titles = [load(path).title for path in paths.values()]
    assert titles == [other, unchecked, other, other]

    md5 = {name: hashlib.md5(content).hexdigest() for name, content in small.files(False).items()}
    monkeypatch.setattr(cifar10, "PYTHON_MD5", md5)
    archive = paths["cifar-10-binary.tar.gz"]
    remote = Remote(
        urls=(),
        size_bytes=archive.stat().st_size,
        sha256=hashlib.sha256(archive.read_bytes()).hexdigest(),
    )
    monkeypatch.setattr(cifar10, "BINARY_ARCHIVE", remote)
    titles = [load(path).title for path in paths.values()]
    assert titles == ["CIFAR-10", unchecked, "CIFAR-10", "CIFAR-10"]

    monkeypatch.setattr(cifar10, "PYTHON_MD5", md5 | {"data_batch_2": "0" * 32})
    assert load(paths["cifar-10-batches-py"]).title == other


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_missing_batch_is_named(small: SmallCifar, tmp_path: Path, layout: str) -> None:
    files = small.files("bin" in layout)
    gone = sorted(files)[2]
    del files[gone]
    path = small.write(tmp_path, layout, files)
    with pytest.raises(DataError, match=rf"{path.name} lacks {gone}\."):
        load(path)


@pytest.mark.parametrize("layout", LAYOUTS[2:])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9])
def test_a_truncated_archive_is_named(small: SmallCifar, tmp_path: Path, layout: str, share: float) -> None:
    path = small.write(tmp_path, layout)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=rf"{path.name} (cannot be read|lacks)"):
        load(path)


def test_an_archive_that_is_none_or_is_damaged(small: SmallCifar, tmp_path: Path) -> None:
    path = tmp_path / "cifar-10-binary.tar.gz"
    path.write_bytes(b"<html>Moved</html>")
    with pytest.raises(DataError, match="cannot be read: Not a gzipped file"):
        load(path)
    content = bytearray(small.write(tmp_path / "b", path.name).read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read: CRC check failed"):
        load(path)


def test_a_binary_file_of_another_length(small: SmallCifar, tmp_path: Path) -> None:
    files = small.files(True)
    files["data_batch_3.bin"] += b"\0"
    with pytest.raises(DataError, match=r"data_batch_3\.bin: 61,461 bytes, expected 61,460"):
        load(small.write(tmp_path, "cifar-10-batches-bin", files))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"data": np.zeros((19, 3072), np.uint8)},
            r"data is uint8 \(19, 3072\), expected uint8 \(20, 3072\)",
        ),
        ({"data": np.zeros((20, 3072), np.int64)}, r"data is int64 \(20, 3072\), expected uint8"),
        ({"data": [1, 2]}, r"data is int64 \(2,\), expected uint8"),
        ({"labels": [1] * 19}, r"labels are int64 \(19,\), expected 20 integers"),
        ({"labels": [0.5] * 20}, "labels are float64"),
        ({"labels": None}, "labels are object"),
        ({"labels": [1] * 19 + [10]}, r"labels 1 \.\.\. 10, expected 0 \.\.\. 9"),
        ({"labels": [1] * 19 + [-1]}, r"labels -1 \.\.\. 1, expected 0 \.\.\. 9"),
        ({"labels": [[1], [2, 3]]}, ".* inhomogeneous"),
    ],
)
def test_a_batch_with_wrong_content_is_named(
    small: SmallCifar, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    def dump(batch: object) -> bytes:
        assert isinstance(batch, dict)
        return python3_pickle(2)(batch | (change if batch["batch_label"] == "data_batch_2" else {}))

    path = small.write(tmp_path, "cifar-10-batches-py", small.files(False, dump))
    with pytest.raises(DataError, match=f"data_batch_2: {message}"):
        load(path)


@pytest.mark.parametrize("content", [b"", b"junk", python2_pickle([1, 2]), python2_pickle({})])
def test_a_batch_that_is_no_dictionary_of_the_right_kind(
    small: SmallCifar, tmp_path: Path, content: bytes
) -> None:
    files = small.files(False) | {"test_batch": content}
    with pytest.raises(DataError, match="test_batch: "):
        load(small.write(tmp_path, "cifar-10-batches-py", files))


def test_a_hostile_batch_runs_nothing(small: SmallCifar, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    attack = b"cos\nmkdir\n(V" + os.fsencode(trace) + b"\ntR."
    path = small.write(tmp_path, "cifar-10-batches-py", small.files(False) | {"data_batch_1": attack})
    with pytest.raises(DataError, match=r"data_batch_1: .*posix\.mkdir|os\.mkdir.*refused"):
        load(path)
    assert not trace.exists()


def test_an_archive_writes_nothing_and_its_links_are_not_followed(small: SmallCifar, tmp_path: Path) -> None:
    path = tmp_path / "data" / "cifar-10-binary.tar.gz"
    path.parent.mkdir()
    secret = tmp_path / "secret"
    secret.write_bytes(small.files(True)["test_batch.bin"])
    with tarfile.open(path, "w:gz") as archive:
        for name, content in small.files(True).items():
            member = tarfile.TarInfo(f"../../{name}")
            if name == "test_batch.bin":
                member.type, member.linkname = tarfile.SYMTYPE, str(secret)
                content = b""
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=r"lacks test_batch\.bin"):
        load(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_published_constants_are_those_of_the_real_images(cifar10_dir: Path) -> None:
    """A re-encoded copy has slightly less contrast."""
    data = cifar10.load(cifar10_dir, download=False)
    assert np.array_equal(np.bincount(data.train.labels_N), [5000] * 10)
    assert np.array_equal(np.bincount(data.test.labels_N), [1000] * 10)
    pixels = data.train.images_NHWC.reshape(-1, 3)
    assert np.abs(pixels.mean(axis=0) - data.mean).max() < 0.1
    assert np.abs(pixels.std(axis=0) - data.std).max() < 1.0


def test_the_folder_of_the_data_is_that_beside_which_other_files_lie(
    small: SmallCifar, tmp_path: Path
) -> None:
    for layout in LAYOUTS:
        path = small.write(tmp_path / "data" / layout[-9:], layout)
        assert load(path).folder == load(path.parent).folder == path.parent
    renamed = small.write(tmp_path, LAYOUTS[0]).rename(tmp_path / "mine")
    assert load(renamed).folder == renamed
