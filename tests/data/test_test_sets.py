from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airbench_var.data.corruptions import KINDS, Corrupted
from airbench_var.data.dataset import Dataset
from airbench_var.data.synthetic import Fresh
from airbench_var.data.test_sets import named
from airbench_var.errors import DataError, UsageError

from .published import A_SEVERITY, make_small, write_cifar10_1, write_cifar10_c, write_cinic10


def test_names_are_found_in_order(small_data: Dataset) -> None:
    data = replace(small_data, name="synthetic")
    found = named(data, ["train:50", " noise-3", "fresh-2:70", "blur-1:20", "train-none"][:4])
    assert list(found) == ["train", "noise-3", "fresh-2", "blur-1"]
    assert [len(one) for one in found.values()] == [50, 203, 70, 20]
    assert np.array_equal(found["train"].labels_N, data.train.labels_N[:50])
    assert isinstance(found["noise-3"], Corrupted)
    assert isinstance(found["fresh-2"], Fresh)


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_has_its_names(small_data: Dataset, kind: str) -> None:
    found = named(small_data, [f"{kind}-5:3"])[f"{kind}-5"]
    assert isinstance(found, Corrupted)
    assert (found.kind, found.severity) == (kind, 5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nois-3", "did you mean 'noise-3'"),
        ("noise-6", "each with -1 to -5"),
        ("noise", "none of that name"),
        ("train:0", "a number of examples"),
        ("train:x", "a number of examples"),
        ("train:1201", "there are 1200 examples"),
        ("fresh-2", "--data synthetic"),
        ("", "none of that name"),
        ("cifar10-c-fgo-3", "did you mean 'cifar10-c-fog-3'"),
        ("cifar10.1", "cifar10.1-v4, cifar10.1-v6, cifar10.2, cinic10, and cifar10-c- with brightness, "),
        ("cifar10.1-v6", "goes with --data cifar10, not small"),
        ("cinic10", "goes with --data cifar10"),
    ],
)
def test_what_is_none_is_refused(small_data: Dataset, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        named(small_data, [text])


def test_the_streams_of_the_data_set_are_not_fresh(small_data: Dataset) -> None:
    with pytest.raises(UsageError, match="streams from 2 on"):
        named(replace(small_data, name="synthetic"), ["fresh-1"])


def test_a_name_given_twice_is_refused(small_data: Dataset) -> None:
    with pytest.raises(UsageError, match="twice"):
        named(small_data, ["train:5", "train:6"])


@pytest.fixture
def cifar10(small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Data of the name that further test sets in files go with, in an empty folder."""
    make_small(monkeypatch)
    return replace(small_data, name="cifar10", folder=tmp_path)


def test_published_ones_are_found_in_order_beside_cifar10(cifar10: Dataset, tmp_path: Path) -> None:
    write_cifar10_1(tmp_path, "v6")
    write_cifar10_c(tmp_path, "fog")
    write_cinic10(tmp_path)
    said: list[str] = []
    texts = ["cinic10:20", "noise-1:5", "cifar10-c-fog-3", "cifar10.1-v6:7", "cifar10-c-fog-5:4", "train:9"]
    found = named(cifar10, texts, say=said.append)
    assert {name: len(one) for name, one in found.items()} == {
        "cinic10": 20,
        "noise-1": 5,
        "cifar10-c-fog-3": A_SEVERITY,
        "cifar10.1-v6": 7,
        "cifar10-c-fog-5": 4,
        "train": 9,
    }
    assert list(found) == [text.partition(":")[0] for text in texts]
    assert said == [
        "note: not checked: the images of CINIC-10 have no published digests: test set cinic10",
        "note: not the official CIFAR-10-C/fog.npy, CIFAR-10-C/labels.npy: test set cifar10-c-fog-3, "
        "cifar10-c-fog-5",
        "note: not the official cifar10.1_v6_data.npy: test set cifar10.1-v6",
    ]


def test_more_than_there_are_is_refused_before_files_are_looked_for(cifar10: Dataset) -> None:
    for text, size in (("cifar10.1-v4:2022", 2021), ("cinic10:31", 30), ("cifar10-c-snow-1:31", 30)):
        with pytest.raises(UsageError, match=f"test set {text}: there are {size} examples"):
            named(cifar10, [text])


def test_data_without_a_folder_is_refused(cifar10: Dataset) -> None:
    with pytest.raises(UsageError, match=r"'cifar10\.2' lies beside CIFAR-10"):
        named(replace(cifar10, folder=None), ["cifar10.2"])


MISSING = ["cifar10.1-v4", "cifar10-c-fog-1", "train", "cifar10-c-snow-2", "cifar10.2", "cifar10.1-v6"]


def test_every_missing_file_is_named_once_with_its_source(cifar10: Dataset, tmp_path: Path) -> None:
    write_cifar10_c(tmp_path, "snow")
    (tmp_path / "CIFAR-10-C" / "labels.npy").unlink()
    write_cifar10_1(tmp_path, "v6")
    (tmp_path / "cifar10.1_v6_data.npy").unlink()
    with pytest.raises(DataError) as raised:
        named(cifar10, MISSING)
    assert str(raised.value) == (
        f"{tmp_path}, where CIFAR-10 lies, lacks cifar10.1_v4_data.npy, cifar10.1_v4_labels.npy, "
        "cifar10.1_v6_data.npy (published at https://github.com/modestyachts/CIFAR-10.1); "
        "CIFAR-10-C/fog.npy, CIFAR-10-C/labels.npy (published at https://doi.org/10.5281/zenodo.2535967); "
        "cifar102_test.npz (published at https://github.com/modestyachts/cifar-10.2). Put the files there, "
        "or leave out cifar10.1-v4, cifar10-c-fog-1, cifar10-c-snow-2, cifar10.2, cifar10.1-v6, as "
        "--skip-missing-test-sets does."
    )


def test_missing_ones_are_skipped_when_asked_and_each_is_told(
    cifar10: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_cifar10_1(tmp_path, "v6")
    assert list(named(cifar10, MISSING, skip_missing=True)) == ["train", "cifar10.1-v6"]
    shown = capsys.readouterr()
    skipped = [line for line in shown.err.splitlines() if line.startswith("skipped test set ")]
    assert [line.split()[3] for line in skipped] == [
        f"{name}:" for name in MISSING if name not in ("train", "cifar10.1-v6")
    ]
    assert skipped[1] == (
        f"skipped test set cifar10-c-fog-1: {tmp_path}, where CIFAR-10 lies, lacks CIFAR-10-C/fog.npy, "
        "CIFAR-10-C/labels.npy (published at https://doi.org/10.5281/zenodo.2535967)."
    )
    assert shown.out == ""


def test_what_lacks_the_same_files_is_told_at_once(cifar10: Dataset, tmp_path: Path) -> None:
    told: list[str] = []
    named(cifar10, ["cifar10-c-fog-1", "cifar10.2", "cifar10-c-fog-3"], skip_missing=True, say=told.append)
    assert [text.partition(":")[0] for text in told] == [
        "skipped test set cifar10-c-fog-1, cifar10-c-fog-3",
        "skipped test set cifar10.2",
    ]


def test_a_damaged_file_is_not_skipped(cifar10: Dataset, tmp_path: Path) -> None:
    write_cifar10_c(tmp_path, "fog")
    (tmp_path / "CIFAR-10-C" / "fog.npy").write_bytes(b"")
    with pytest.raises(DataError, match=r"fog\.npy cannot be read"):
        named(cifar10, ["cifar10-c-fog-1"], skip_missing=True)
