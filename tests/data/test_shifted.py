import hashlib
import pickle
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from airbench_var.data import shifted
from airbench_var.data.cifar10 import CLASSES
from airbench_var.data.dataset import Examples, Split
from airbench_var.data.shifted import Mapped, Published
from airbench_var.errors import DataError, DeviceError

from .published import (
    A_CINIC_CLASS,
    A_SEVERITY,
    images_of,
    make_small,
    write_cifar10_1,
    write_cifar10_2,
    write_cifar10_c,
    write_cinic10,
)

#: Images of a severity of CIFAR-10-C and of a class of CINIC-10, before any test makes them small.
PUBLISHED_SIZES = shifted.A_SEVERITY, shifted.A_CINIC_CLASS


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)


def of(name: str) -> Published:
    found = shifted.published(name)
    assert found is not None
    return found


def whole(examples: Examples, size: int = 7) -> Split:
    blocks = list(examples.blocks(size))
    assert all(len(block) == size for block in blocks[:-1])
    return Split(
        images_NHWC=np.concatenate([block.images_NHWC for block in blocks]),
        labels_N=np.concatenate([block.labels_N for block in blocks]),
    )


def test_the_large_ones_are_as_large_as_their_publishers_say() -> None:
    """CIFAR-10-C corrupts all 10,000 test images; of CINIC-10's 90,000, 20,000 are of CIFAR-10."""
    assert PUBLISHED_SIZES == (10_000, (90_000 - 20_000) // 10)


def test_every_name_is_known_and_no_other() -> None:
    assert len(set(shifted.NAMES)) == 4 + 19 * 5
    assert all(shifted.published(name) for name in shifted.NAMES)
    for name in ("cifar10.1-v5", "cifar10-c-fog-6", "cifar10-c-labels-1", "cifar10.1", "noise-3", ""):
        assert shifted.published(name) is None
    assert of("cifar10-c-gaussian_noise-4").files == (
        "CIFAR-10-C/gaussian_noise.npy",
        "CIFAR-10-C/labels.npy",
    )


@pytest.mark.parametrize(("version", "size"), [("v4", 2021), ("v6", 2000)])
def test_cifar10_1(tmp_path: Path, version: str, size: int) -> None:
    labels_N = write_cifar10_1(tmp_path, version)
    found = of(f"cifar10.1-{version}").load(tmp_path)
    assert len(found) == size
    assert found.labels_N.dtype == np.uint8
    assert np.array_equal(found.labels_N, labels_N)
    read = whole(found, 300)
    assert np.array_equal(read.images_NHWC, images_of(labels_N))
    assert found.fingerprint == {
        "n": size,
        "images_sha256": hashlib.sha256(images_of(labels_N).tobytes()).hexdigest(),
        "labels_sha256": hashlib.sha256(labels_N.astype(np.uint8).tobytes()).hexdigest(),
    }


def test_cifar10_2(tmp_path: Path) -> None:
    labels_N = write_cifar10_2(tmp_path)
    found = of("cifar10.2").load(tmp_path)
    assert np.array_equal(found.labels_N, labels_N)
    assert np.array_equal(whole(found, 300).images_NHWC, images_of(labels_N))


@pytest.mark.parametrize("name", ["cifar10.1-v4", "cifar10.2", "cinic10"])
def test_fewer_examples_are_of_all_classes(tmp_path: Path, name: str) -> None:
    """The files are sorted by class, so that the first would be of one."""
    write_cifar10_1(tmp_path, "v4")
    write_cifar10_2(tmp_path)
    write_cinic10(tmp_path)
    found = of(name).load(tmp_path, 20)
    assert len(found) == 20
    assert set(np.bincount(found.labels_N, minlength=10)) <= {1, 2, 3}  # v4 is not balanced
    few = whole(found)
    assert np.array_equal(few.images_NHWC[5:, 0, 0, 0], few.labels_N[5:])
    assert of(name).load(tmp_path, of(name).size).fingerprint == of(name).load(tmp_path).fingerprint


def test_a_severity_is_its_rows_and_no_others(tmp_path: Path) -> None:
    labels_N = write_cifar10_c(tmp_path, "snow", "fog")
    images_NHWC = images_of(labels_N, 1)
    for severity in range(1, 6):
        found = of(f"cifar10-c-fog-{severity}").load(tmp_path)
        rows = slice((severity - 1) * A_SEVERITY, severity * A_SEVERITY)
        expected = Split(images_NHWC=images_NHWC[rows], labels_N=labels_N[rows])
        assert len(found) == A_SEVERITY
        assert np.array_equal(whole(found).images_NHWC, expected.images_NHWC)
        assert np.array_equal(whole(found).labels_N, expected.labels_N)
        assert found.fingerprint == expected.fingerprint
        few = of(f"cifar10-c-fog-{severity}").load(tmp_path, 8)
        assert np.array_equal(whole(few).images_NHWC, expected.images_NHWC[:8])
        assert np.array_equal(few.labels_N, expected.labels_N[:8])


def test_images_of_cifar10_c_are_not_read_before_they_are_needed(tmp_path: Path) -> None:
    write_cifar10_c(tmp_path, "fog")
    found = of("cifar10-c-fog-2").load(tmp_path)
    assert isinstance(found, Mapped)
    [block] = found.blocks(A_SEVERITY)
    base: object = block.images_NHWC
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    assert base.filename == found.path  # None of a copy
    assert len(pickle.dumps(found)) < 1000  # what a worker is sent, also after they were read


def test_a_worker_reads_the_same_images_or_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar10_c(tmp_path, "fog")
    monkeypatch.chdir(tmp_path)
    found = of("cifar10-c-fog-2").load(Path())
    sent = pickle.dumps(found)
    monkeypatch.chdir("/")
    again = pickle.loads(sent)
    assert isinstance(again, Mapped)
    assert again.fingerprint == found.fingerprint
    assert np.array_equal(whole(again).images_NHWC, whole(found).images_NHWC)
    np.save(tmp_path / "CIFAR-10-C" / "fog.npy", images_of(np.zeros(5 * A_SEVERITY)))
    with pytest.raises(DataError, match=r"fog\.npy has other images.*the same file"):
        whole(pickle.loads(sent))


def test_cinic10_is_sorted_and_without_images_of_cifar10(tmp_path: Path) -> None:
    images_NHWC = write_cinic10(tmp_path)
    found = of("cinic10").load(tmp_path)
    assert np.array_equal(found.labels_N, np.repeat(np.arange(10), A_CINIC_CLASS))
    assert np.array_equal(whole(found).images_NHWC, images_NHWC)  # of which one was grey
    assert found.labels_N.dtype == np.uint8


def test_class_folders_have_the_labels_of_cifar10(tmp_path: Path) -> None:
    images_NHWC = write_cinic10(tmp_path)
    place = tmp_path / "CINIC-10" / "test"
    for a, b, to in (("bird", "truck", 9), ("airplane", "dog", 5)):
        (place / a).rename(place / "between")
        (place / b).rename(place / a)
        (place / "between").rename(place / b)
        found = of("cinic10").load(tmp_path)
        start = CLASSES.index(a) * A_CINIC_CLASS
        assert np.array_equal(whole(found).images_NHWC[to * A_CINIC_CLASS], images_NHWC[start])
        assert found.labels_N[to * A_CINIC_CLASS] == to


def test_missing_files_are_told(tmp_path: Path) -> None:
    write_cifar10_c(tmp_path, "snow")
    assert of("cifar10-c-snow-1").missing(tmp_path) == []
    assert of("cifar10-c-fog-1").missing(tmp_path) == ["CIFAR-10-C/fog.npy"]
    assert of("cifar10.1-v6").missing(tmp_path) == ["cifar10.1_v6_data.npy", "cifar10.1_v6_labels.npy"]
    write_cinic10(tmp_path)
    (tmp_path / "CINIC-10" / "test" / "deer").rename(tmp_path / "deer")
    assert of("cinic10").missing(tmp_path) == ["CINIC-10/test/deer"]


def test_official_files_are_known_by_their_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar10_1(tmp_path, "v4")
    v4 = of("cifar10.1-v4")
    assert v4.doubt(tmp_path) == "not the official cifar10.1_v4_data.npy, cifar10.1_v4_labels.npy"
    data, labels = ((tmp_path / file).read_bytes() for file in v4.files)
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    monkeypatch.setitem(shifted.DIGESTS, v4.files[0], ("git", blob))
    assert v4.doubt(tmp_path) == "not the official cifar10.1_v4_labels.npy"
    monkeypatch.setitem(shifted.DIGESTS, v4.files[1], ("md5", hashlib.md5(labels).hexdigest()))
    assert v4.doubt(tmp_path) == ""
    (tmp_path / v4.files[1]).write_bytes(labels + b"\0")  # seen although the path has been read before
    assert v4.doubt(tmp_path) == "not the official cifar10.1_v4_labels.npy"


def test_the_published_labels_of_v6_are_known(tmp_path: Path) -> None:
    """They are 200 of each class in order, so that the very file can be written here."""
    write_cifar10_1(tmp_path, "v6")
    assert of("cifar10.1-v6").doubt(tmp_path) == "not the official cifar10.1_v6_data.npy"


def test_the_id_of_a_git_blob() -> None:
    """That of the empty file is known to every user of git."""
    assert shifted._digest(Path("/dev/null"), "git", 0, 0) == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_every_file_but_those_of_cinic10_has_a_digest() -> None:
    sizes = {"git": 40, "md5": 32, "sha256": 64}
    files = {file for name in shifted.NAMES if name != "cinic10" for file in of(name).files}
    assert files == set(shifted.DIGESTS)
    assert all(len(digest) == sizes[algorithm] for algorithm, digest in shifted.DIGESTS.values())
    assert len({digest for _, digest in shifted.DIGESTS.values()}) == len(files)
    assert "no published digests" in of("cinic10").doubt(Path())


def refused(folder: Path, name: str, says: str) -> None:
    with pytest.raises(DataError, match=says) as raised:
        whole(of(name).load(folder))
    assert "leave out this test set" in str(raised.value)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((2020, 32, 32, 3), np.uint8), r"uint8 \(2020, 32, 32, 3\), expected uint8 \(2021, 32"),
        (np.zeros((2021, 3, 32, 32), np.uint8), r"uint8 \(2021, 3, 32, 32\), expected"),
        (np.zeros((2021, 32, 32, 3), np.float32), r"float32 .*expected uint8"),
        (np.zeros((2021, 3072), np.uint8), r"\(2021, 3072\), expected"),
        (np.array(["a", None], object), "cannot be read"),
    ],
)
def test_images_that_are_none_are_refused(tmp_path: Path, array: np.ndarray, says: str) -> None:
    write_cifar10_1(tmp_path, "v4")
    np.save(tmp_path / "cifar10.1_v4_data.npy", array, allow_pickle=True)
    refused(tmp_path, "cifar10.1-v4", rf"cifar10\.1_v4_data\.npy.*{says}")


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros(1999, np.int32), r"int32 \(1999,\), expected 2000 integers"),
        (np.zeros((2000, 1), np.int32), r"int32 \(2000, 1\), expected 2000 integers"),
        (np.zeros(2000, np.float64), "float64 .*, expected 2000 integers"),
        (np.arange(2000) % 11, r"labels 0 \.\.\. 10, expected 0 \.\.\. 9"),
        (np.arange(2000) % 10 - 1, r"labels -1 \.\.\. 8, expected 0 \.\.\. 9"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path: Path, array: np.ndarray, says: str) -> None:
    write_cifar10_1(tmp_path, "v6")
    np.save(tmp_path / "cifar10.1_v6_labels.npy", array)
    refused(tmp_path, "cifar10.1-v6", rf"cifar10\.1_v6_labels\.npy: {says}")
    write_cifar10_2(tmp_path, labels=array)
    refused(tmp_path, "cifar10.2", rf"cifar102_test\.npz/labels: {says}")


def test_a_wrong_number_of_rows_of_cifar10_c_is_refused(tmp_path: Path) -> None:
    labels_N = write_cifar10_c(tmp_path, "fog")
    np.save(tmp_path / "CIFAR-10-C" / "fog.npy", images_of(labels_N[: 4 * A_SEVERITY]))
    refused(tmp_path, "cifar10-c-fog-1", r"fog\.npy: uint8 \(120, 32, 32, 3\), expected uint8 \(150, 32")
    write_cifar10_c(tmp_path, "fog")
    np.save(tmp_path / "CIFAR-10-C" / "labels.npy", labels_N[:A_SEVERITY])
    refused(tmp_path, "cifar10-c-fog-1", r"labels\.npy: uint8 \(30,\), expected 150 integers")


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: int(share * len(content))]


@pytest.mark.parametrize(
    "damage",
    [
        *map(cut, (0, 0.001, 0.00001, 0.5, 0.999)),
        lambda content: content.replace(b"shape", b"sha(e"),
        lambda content: b"<html>Moved</html>",
        lambda content: pickle.dumps([1, 2]),
    ],
)
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cifar10.1-v4", "cifar10.1_v4_data.npy"),
        ("cifar10.1-v4", "cifar10.1_v4_labels.npy"),
        ("cifar10.2", "cifar102_test.npz"),
        ("cifar10-c-fog-5", "CIFAR-10-C/fog.npy"),
    ],
)
def test_damaged_files_are_named(
    tmp_path: Path, name: str, file: str, damage: Callable[[bytes], bytes]
) -> None:
    write_cifar10_1(tmp_path, "v4")
    write_cifar10_2(tmp_path)
    write_cifar10_c(tmp_path, "fog")
    path = tmp_path / file
    path.write_bytes(damage(path.read_bytes()))
    refused(tmp_path, name, rf"{path.name}.*(cannot be read|is damaged|is no .npz file)")


def test_a_byte_that_changed_in_an_archive_is_seen(tmp_path: Path) -> None:
    write_cifar10_2(tmp_path)
    path = tmp_path / "cifar102_test.npz"
    content = bytearray(path.read_bytes())
    content[3_000_000] ^= 1
    path.write_bytes(content)
    refused(tmp_path, "cifar10.2", r"cifar102_test\.npz is damaged: Bad CRC")


def test_archives_and_arrays_are_not_mixed_up(tmp_path: Path) -> None:
    labels_N = write_cifar10_1(tmp_path, "v6")
    write_cifar10_2(tmp_path)
    archive = (tmp_path / "cifar102_test.npz").read_bytes()
    np.save(tmp_path / "array.npy", labels_N)
    (tmp_path / "array.npy").rename(tmp_path / "cifar102_test.npz")
    refused(tmp_path, "cifar10.2", r"cifar102_test\.npz is no \.npz file")
    (tmp_path / "cifar10.1_v6_data.npy").write_bytes(archive)
    refused(tmp_path, "cifar10.1-v6", r"cifar10\.1_v6_data\.npy cannot be read: the magic string")


def test_an_archive_without_an_array_is_refused_and_nothing_is_unpickled(tmp_path: Path) -> None:
    write_cifar10_2(tmp_path, images=None, labels=None)
    refused(tmp_path, "cifar10.2", "has no array images and none labels")
    write_cifar10_2(tmp_path, keywords=np.array([{}], object))  # not looked at
    assert len(of("cifar10.2").load(tmp_path)) == 2000
    write_cifar10_2(tmp_path, labels=np.array([Attack(tmp_path / "ran")], object))
    refused(tmp_path, "cifar10.2", r"cifar102_test\.npz cannot be read: Object arrays")
    assert not (tmp_path / "ran").exists()


class Attack:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.mkdir, (self.path,)


def png(size: tuple[int, int], kind: int = 2) -> bytes:
    """Return a PNG file of no pixels, which says that it has some of this kind."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", *size, 8, kind, 0, 0, 0)), (b"IDAT", b""), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (png((32, 31)), "32 x 31 pixels of mode RGB, expected 32 x 32 of RGB or L"),
        (png((64, 64)), "64 x 64 pixels of mode RGB, expected"),
        (png((32, 32), 6), "32 x 32 pixels of mode RGBA, expected"),
        (png((32, 32)), "cannot be read"),
        (png((30_000, 30_000)), "exceeds limit of .* pixels"),
        (b"", "cannot be read: cannot identify"),
        (b"GIF89a", "cannot be read: cannot identify"),
    ],
    ids=["low", "large", "transparent", "no pixels", "huge", "empty", "gif"],
)
def test_images_of_another_kind_are_refused_by_name(tmp_path: Path, content: bytes, says: str) -> None:
    write_cinic10(tmp_path)
    (tmp_path / "CINIC-10" / "test" / "frog" / "n02691157_1.png").write_bytes(content)
    refused(tmp_path, "cinic10", rf"frog/n02691157_1\.png.*{says}")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.95])
def test_a_png_that_is_cut_short_is_named(tmp_path: Path, share: float) -> None:
    write_cinic10(tmp_path)
    path = tmp_path / "CINIC-10" / "test" / "cat" / "n02691156_9.png"
    path.write_bytes(cut(share)(path.read_bytes()))
    refused(tmp_path, "cinic10", r"cat/n02691156_9\.png cannot be read")


def test_a_class_of_cinic10_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    write_cinic10(tmp_path)
    (tmp_path / "CINIC-10" / "test" / "ship" / "n02691157_1.png").unlink()
    refused(tmp_path, "cinic10", r"test/ship has 2 images n\*\.png, expected 3.*once more")


def test_cinic10_without_pillow_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cinic10(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DeviceError, match=r"cinic10 needs Pillow, .*pip install pillow"):
        of("cinic10").load(tmp_path)
