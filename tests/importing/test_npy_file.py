"""Files that are no .npy file, or not a whole one, are refused by name before anything is read of them."""

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from airbench_var.errors import DataError
from airbench_var.importing import npy_file
from airbench_var.importing import rows as rows_of_files
from airbench_var.importing.formats import open_file
from airbench_var.importing.rows import Rows

ARRAY = np.arange(60, dtype=np.int32).reshape(5, 12)


@contextmanager
def open_npy(path: Path) -> Iterator[Rows]:
    with open_file(path) as contents:
        yield contents.arrays[""]


def read_all(path: Path) -> np.ndarray:
    with open_npy(path) as file:
        return np.concatenate([file.read(rows) for rows in file.blocks])


@pytest.mark.parametrize("dtype", ["<i4", ">i4", "<f2", ">f8", "?", "u1"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_blocks_are_the_array(
    dtype: str, version: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = ARRAY.astype(dtype)
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, array, version)
    monkeypatch.setattr(rows_of_files, "BLOCK_BYTES", 2 * array[0].nbytes)
    with open_npy(tmp_path / "a.npy") as opened:
        assert opened.blocks == [range(0, 2), range(2, 4), range(4, 5)]
        assert opened.read(range(0, 2)).dtype == array.dtype
    np.testing.assert_array_equal(read_all(tmp_path / "a.npy"), array)


def test_a_block_has_at_least_one_row_and_not_too_many(tmp_path: Path) -> None:
    """A row may be larger than a block; of small rows a million would be a block."""
    np.save(tmp_path / "wide.npy", np.broadcast_to(np.uint8(1), (2, rows_of_files.BLOCK_BYTES + 1)))
    with open_npy(tmp_path / "wide.npy") as file:
        assert file.blocks == [range(0, 1), range(1, 2)]
    np.save(tmp_path / "narrow.npy", np.zeros((rows_of_files.BLOCK_ROWS + 1, 1), np.uint8))
    with open_npy(tmp_path / "narrow.npy") as file:
        assert [len(rows) for rows in file.blocks] == [rows_of_files.BLOCK_ROWS, 1]


class Runs:
    """Would run a command when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch unpickled",)


def saved(array: np.ndarray) -> Callable[[Path], object]:
    return lambda path: np.save(path, array)


def cut_by(count: int) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        np.save(path, ARRAY)
        path.write_bytes(path.read_bytes()[: -count or None])

    return write


def with_more(path: Path) -> None:
    np.save(path, ARRAY)
    path.write_bytes(path.read_bytes() + b"\0")


def zipped(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=ARRAY)


def with_version(path: Path) -> None:
    np.save(path, ARRAY)
    path.write_bytes(path.read_bytes().replace(b"NUMPY\x01", b"NUMPY\x03"))


def of_pairs(path: Path, *, fortran: bool) -> None:
    with path.open("wb") as file:
        fields = {"descr": ("<f4", (2,)), "fortran_order": fortran, "shape": (3, 4)}
        np.lib.format.write_array_header_1_0(file, fields)
        file.write(bytes(96))


@pytest.mark.parametrize("array", [np.asfortranarray(ARRAY), np.asfortranarray(ARRAY.reshape(5, 4, 3))])
def test_columns_one_after_the_other_are_turned_where_they_fit_in_memory(
    array: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As array.T and array[:, order] are saved."""
    np.save(tmp_path / "turned.npy", array)
    np.save(tmp_path / "straight.npy", np.ascontiguousarray(array))
    found = []
    for name in ("turned", "straight"):
        with open_file(tmp_path / f"{name}.npy") as contents:
            [rows] = contents.arrays.values()
            found.append((rows.header, rows.read(range(1, 4)).tobytes(), rows.shape, rows.dtype))
    assert found[0] == found[1]
    assert found[0][1] == array[1:4].tobytes()
    monkeypatch.setattr(npy_file, "MOST_TURNED_BYTES", 100)
    with (
        pytest.raises(DataError, match=r"is in Fortran order.*numpy\.ascontiguousarray"),
        open_file(tmp_path / "turned.npy"),
    ):
        pass


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "cannot be read: No such file or directory"),
        (lambda path: os.mkfifo(path), "is not a file"),
        (lambda path: path.write_bytes(b""), "is not a .npy file that can be read"),
        (lambda path: path.write_text("run,example\n"), "is not a .npy file that can be read"),
        (lambda path: path.write_bytes(pickle.dumps(ARRAY)), "is not a .npy file that can be read"),
        (zipped, "is not a .npy file that can be read"),
        (with_version, "is not a .npy file that can be read: its format has version"),
        (cut_by(1), r"is cut short: int32 \(5, 12\) takes 368 bytes, the file has 367"),
        (cut_by(ARRAY.nbytes), "is cut short"),
        (cut_by(ARRAY.nbytes + 100), "is not a .npy file that can be read"),
        (with_more, "goes on after its array"),
        (saved(np.array([[Runs()]], object)), "holds Python objects, which are never loaded"),
        (saved(np.zeros((0, 12), np.int32)), r"is empty: its shape is \(0, 12\)"),
        (saved(np.zeros((5, 0), np.int32)), "is empty"),
        (saved(np.zeros((5, 12, 0), np.float32)), "is empty"),
        (saved(np.zeros((5, 12), "V0")), "is empty"),
        (lambda path: of_pairs(path, fortran=True), "is an array of arrays"),
        (lambda path: of_pairs(path, fortran=False), "is an array of arrays"),
    ],
)
def test_other_files_are_refused(
    write: Callable[[Path], object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file.npy"
    write(path)
    with pytest.raises(DataError, match=rf"file\.npy {message}"):
        read_all(path)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"file.npy"}


def test_a_file_that_becomes_shorter_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((5, 1 << 20), np.uint8))
    with open_npy(tmp_path / "a.npy") as file:
        os.truncate(tmp_path / "a.npy", 200)
        with pytest.raises(DataError, match="became shorter while it was read"):
            file.read(range(0, 5))
