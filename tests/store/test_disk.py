import errno
from pathlib import Path

import numpy as np
import pytest

from airbench_var.errors import StorageError
from airbench_var.store.disk import RowFile, storage_errors
from airbench_var.store.layout import RowLayout

ROWS = RowLayout("rows.npy", np.dtype("u1"), (3,))


def test_rows_are_written_in_any_order_and_survive_growth(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    file = RowFile.create(tmp_path, ROWS, 2)
    before = np.load(path, mmap_mode="r")
    file.write(1, b"abc")
    file.reserve(9)
    file.release()
    assert path.stat().st_size == 512 + 2 * 3
    file.reserve(4)
    file.promise(4)
    file.write(2, b"uvwxyz")
    file.sync()
    file.close()
    assert before.tolist() == [[0, 0, 0], [97, 98, 99]]
    assert np.load(path).tolist() == [[0, 0, 0], [97, 98, 99], [117, 118, 119], [120, 121, 122]]


def test_a_file_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    (tmp_path / "rows.npy").write_text("mine")
    with pytest.raises(FileExistsError):
        RowFile.create(tmp_path, ROWS, 2)
    assert (tmp_path / "rows.npy").read_text() == "mine"


def test_an_error_says_what_failed_and_why_and_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError) as error,
        storage_errors(tmp_path / "not" / "there", "committing runs"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    message = str(error.value)
    assert message.startswith(f"{tmp_path}/not/there: committing runs failed: No space left on device (")
    assert "MB free on this disk" in message
    assert "same command again; or choose another folder with --out" in message
