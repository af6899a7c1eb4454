import io

import numpy as np
import pytest

from airbench_var.store.npy import HEADER_BYTES, decode_rows, encode_header

STRUCTURED = np.dtype([("state", "u1"), ("correct", "<u4", (2,))])


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        (np.dtype("u1"), (3,)),  # labels
        (np.dtype("u1"), (2, 5)),  # a matrix
        (STRUCTURED, (4,)),  # records
        (np.dtype("u1"), (10**9, 10_000)),  # the largest numbers still fit
    ],
)
def test_numpy_reads_the_header(dtype: np.dtype, shape: tuple[int, ...]) -> None:
    header = encode_header(dtype, shape)
    assert len(header) == HEADER_BYTES
    file = io.BytesIO(header)
    assert np.lib.format.read_magic(file) == (1, 0)
    assert np.lib.format.read_array_header_1_0(file) == (shape, False, dtype)
    assert file.tell() == HEADER_BYTES
    assert decode_rows(header, dtype, shape[1:]) == shape[0]


def test_the_integers_of_numpy_are_written_as_those_of_python() -> None:
    assert encode_header(np.dtype("u1"), (np.int64(2), np.int64(5))) == encode_header(np.dtype("u1"), (2, 5))


@pytest.mark.parametrize(
    ("dtype", "row_shape"),
    [(np.dtype("i1"), (5,)), (np.dtype("u1"), (6,)), (np.dtype("u1"), ()), (STRUCTURED, (5,))],
)
def test_another_dtype_or_shape_is_refused(dtype: np.dtype, row_shape: tuple[int, ...]) -> None:
    header = encode_header(np.dtype("u1"), (2, 5))
    assert decode_rows(header, dtype, row_shape) is None


def test_no_rows_and_half_a_header_are_refused() -> None:
    header = encode_header(np.dtype("u1"), (2, 5))
    for damaged in (
        b"",
        header[:-1],
        header.replace(b"(2, 5)", b"(0, 5)"),
        header.replace(b"(2, 5)", b"(02, 5)")[:512],
    ):
        assert decode_rows(damaged, np.dtype("u1"), (5,)) is None


def test_a_dtype_too_long_for_the_sector_is_refused() -> None:
    dtype = np.dtype([(f"field_number_{i}", "u1") for i in range(30)])
    with pytest.raises(ValueError, match=r"the \.npy header needs"):
        encode_header(dtype, (1,))
