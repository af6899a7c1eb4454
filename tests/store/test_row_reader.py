import os
from pathlib import Path

import numpy as np
import pytest

from airbench_var.errors import StorageError, StoreDamagedError
from airbench_var.store.disk import RowFile
from airbench_var.store.layout import RowLayout
from airbench_var.store.row_reader import RowReader

ROWS = RowLayout("rows.npy", np.dtype("u1"), (3,))
N = 7


@pytest.fixture
def rows(tmp_path: Path) -> np.ndarray:
    rows = np.arange(3 * N, dtype=np.uint8).reshape(N, 3)
    file = RowFile.create(tmp_path, ROWS, N)
    file.write(0, rows.tobytes())
    file.close()
    return rows


@pytest.mark.parametrize("ids", [[], [0], [6], [0, 1, 2], [2, 3, 6], [6, 5, 4], [3, 3, 0, 1]])
def test_rows_come_in_the_order_asked_for(tmp_path: Path, rows: np.ndarray, ids: list[int]) -> None:
    np.testing.assert_array_equal(RowReader(tmp_path, ROWS).read(np.array(ids, np.int64)), rows[ids])


def test_records_keep_their_fields(tmp_path: Path) -> None:
    layout = RowLayout("runs.npy", np.dtype([("state", "u1"), ("loss", "<f8")]))
    RowFile.create(tmp_path, layout, 2).close()
    assert RowReader(tmp_path, layout).read(np.array([0, 1])).dtype.names == ("state", "loss")


def test_short_reads_are_continued(tmp_path: Path, rows: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    preadv = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, offset: preadv(fd, [buffers[0][:2]], offset))
    np.testing.assert_array_equal(RowReader(tmp_path, ROWS).read(np.arange(N)), rows)


def test_a_file_cut_short_after_it_was_opened_is_damage_and_no_signal(
    tmp_path: Path, rows: np.ndarray
) -> None:
    """A memory map would end the process with SIGBUS here."""
    reader = RowReader(tmp_path, ROWS)
    reader.read(np.arange(N))
    os.truncate(tmp_path / "rows.npy", 512 + 3 * 5 + 1)
    with pytest.raises(StoreDamagedError, match=r"rows\.npy: 5 bytes are missing at its end"):
        reader.read(np.arange(N))
    (tmp_path / "rows.npy").unlink()
    with pytest.raises(StoreDamagedError, match=r"rows\.npy: the file is missing"):
        reader.read(np.arange(N))


def test_missing_rows_may_be_zeros(tmp_path: Path, rows: np.ndarray) -> None:
    os.truncate(tmp_path / "rows.npy", 512 + 3 * 5 + 1)
    reader = RowReader(tmp_path, ROWS, missing_as_zeros=True)
    expected = rows.copy()
    expected[5, 1:] = expected[6] = 0
    np.testing.assert_array_equal(reader.read(np.arange(N)), expected)
    (tmp_path / "rows.npy").unlink()
    assert not reader.read(np.arange(N)).any()


def test_a_failing_disk_is_a_named_error(
    tmp_path: Path, rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", fails)
    with pytest.raises(StorageError, match=r"rows\.npy: reading failed: Input/output error"):
        RowReader(tmp_path, ROWS).read(np.arange(N))
