from dataclasses import replace

import numpy as np
import pytest

from airbench_var.data.corruptions import KINDS, Corrupted
from airbench_var.data.dataset import Dataset
from airbench_var.data.synthetic import Fresh
from airbench_var.data.test_sets import named
from airbench_var.errors import UsageError


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
