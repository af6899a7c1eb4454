import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from airbench_var.data.unpickle import Array, unpickle

from .conftest import python2_pickle, python3_pickle

PICKLERS = {
    "python 2": python2_pickle,
    "protocol 2, numpy.core": python3_pickle(2, "numpy.core"),
    "protocol 2": python3_pickle(2),
    "protocol 4": python3_pickle(4),
    "protocol 5": python3_pickle(5),
}


class Calls:
    """Pickles as a call of a function, as an attacker would write it."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("pickler", PICKLERS)
def test_arrays_and_containers_come_back_from_every_kind_of_pickle(pickler: str) -> None:
    data = np.random.default_rng(1).integers(0, 256, (7, 11), dtype=np.uint8)
    found = unpickle(PICKLERS[pickler]({"data": data, "labels": [3, 0, 9]}))
    assert isinstance(found, dict)
    found = {k.decode() if isinstance(k, bytes) else k: v for k, v in found.items()}
    assert found["labels"] == [3, 0, 9]
    assert isinstance(found["data"], Array)
    values = found["data"].values()
    assert values.dtype == np.uint8
    assert np.array_equal(values, data)


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("dtype", ["<i8", ">i4", "u2"])
def test_integer_types_and_memory_orders(protocol: int, dtype: str) -> None:
    rows_first = np.arange(-6, 6).reshape(3, 4).astype(dtype)
    for data in (rows_first, np.asfortranarray(rows_first)):
        array = unpickle(pickle.dumps(data, protocol))
        assert isinstance(array, Array)
        assert np.array_equal(array.values(), data)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_calls_something_is_refused_and_nothing_runs(protocol: int, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    for attack in (
        Calls(os.mkdir, str(trace)),
        Calls(eval, f"open({str(trace)!r}, 'w')"),
        Calls(np.save, str(trace), [1]),
        Calls(getattr, trace, "touch"),
    ):
        with pytest.raises(ValueError, match="is refused; nothing of it was run"):
            unpickle(pickle.dumps({"data": attack}, protocol))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("dtype", ["<i8", ">i4", "u1", "<f2", "<f8", "?"])
def test_a_number_of_numpy_is_a_number(dtype: str, protocol: int) -> None:
    number = np.array([1]).astype(dtype)[0]
    found = unpickle(pickle.dumps({"correct": number}, protocol))
    assert found == {"correct": 1}
    assert type(found["correct"]) is type(number.item())  # type: ignore[index]


def test_a_number_of_numpy_is_no_way_to_run_anything(tmp_path: Path) -> None:
    """Numbers of bytes alone: an object's would be unpickled, and what is called is inert."""
    scalar = np.float64(0).__reduce__()[0]
    trace = tmp_path / "ran"
    inner = pickle.dumps(Calls(os.mkdir, str(trace)))
    for arguments in (
        (np.dtype(object), inner),
        (np.dtype("O"), Calls(os.mkdir, str(trace))),
        (np.dtype("V8"), bytes(8)),
        (np.dtype("U1"), bytes(4)),
        (np.dtype("c16"), bytes(16)),
        (np.dtype("<i8"), b""),
        (np.dtype("<i8"), bytes(16)),
        (np.dtype("<i8"), 5),
        ("<i8", bytes(8)),
        (np.dtype("<i8"),),
    ):
        with pytest.raises(ValueError, match="not a readable pickle"):
            unpickle(pickle.dumps(Calls(scalar, *arguments), 4))
    assert list(tmp_path.iterdir()) == []


def test_the_names_that_are_known_do_no_more_than_arrays_need() -> None:
    import _codecs

    with pytest.raises(ValueError, match="bytes as rot13, expected latin1"):
        unpickle(pickle.dumps(Calls(_codecs.encode, "text", "rot13"), 2))
    with pytest.raises(ValueError, match="refused"):  # a dotted name must not reach into a known class
        unpickle(b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__init__\x93.")


@pytest.mark.parametrize("content", [b"", b"\x80", b"not a pickle", b"\x80\x02]", b"\x80\x63."])
def test_a_damaged_pickle_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a readable pickle"):
        unpickle(content)


@pytest.mark.parametrize("cut", range(0, 200, 7))
def test_a_truncated_pickle_is_a_value_error(cut: int) -> None:
    whole = python2_pickle({"data": np.zeros((4, 4), np.uint8), "labels": [1, 2]})
    with pytest.raises(ValueError, match="not a readable pickle"):
        unpickle(whole[: min(cut, len(whole) - 1)])


@pytest.mark.parametrize("data", [np.zeros(3), np.array(["a"]), np.array([{}], dtype=object)])
def test_an_array_of_anything_but_integers_is_a_value_error(data: np.ndarray) -> None:
    array = unpickle(pickle.dumps(data, 2))
    assert isinstance(array, Array)
    with pytest.raises(ValueError, match="integers"):
        array.values()


def test_a_dtype_that_is_no_text_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="a dtype named 5, expected text"):
        unpickle(pickle.dumps(Calls(np.dtype, 5), protocol=2))


def test_an_array_that_lies_about_its_size_is_a_value_error() -> None:
    honest = python2_pickle(np.zeros((4, 4), np.uint8))
    array = unpickle(honest.replace(b"J\x04\x00\x00\x00", b"J\x05\x00\x00\x00", 1))
    assert isinstance(array, Array)
    with pytest.raises(ValueError, match="reshape"):
        array.values()
