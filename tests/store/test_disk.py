import errno
import os
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


WIDE = RowLayout("wide.npy", np.dtype("u1"), (10_000,))


def reserved(folder: Path, layout: RowLayout, own: range | None) -> float:
    """Return how much of a file of 1,000 rows has its space set aside."""
    RowFile.create(folder, layout, 1000, own).close()
    status = (folder / layout.file).stat()
    assert status.st_size == layout.offset(1000)
    assert not np.load(folder / layout.file).any()
    return status.st_blocks * 512 / status.st_size


def test_space_is_set_aside_for_its_own_rows_only(tmp_path: Path) -> None:
    folders = [tmp_path / str(i) for i in range(5)]
    for folder in folders:
        folder.mkdir()
    assert reserved(folders[0], WIDE, None) >= 1
    assert reserved(folders[1], WIDE, range(1000)) >= 1
    assert 0.02 <= reserved(folders[2], WIDE, range(3, 1000, 50)) <= 0.04  # 20 rows, each in whole blocks
    assert reserved(folders[3], WIDE, range(0)) < 0.01
    assert reserved(folders[4], ROWS, range(3, 1000, 50)) >= 0.95  # no hole fits between rows of 3 bytes


def test_space_is_asked_for_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    fallocate = os.posix_fallocate
    monkeypatch.setattr(
        os, "posix_fallocate", lambda fd, at, n: (asked.append((at, at + n)), fallocate(fd, at, n))[1]
    )
    file = RowFile.create(tmp_path, WIDE, 12, range(1, 12, 5))
    assert asked == [(WIDE.offset(row), WIDE.offset(row + 1)) for row in (1, 6, 11)]
    asked.clear()
    file.reserve(15, range(12, 15))
    assert asked == [(WIDE.offset(12), WIDE.offset(15))]
    file.close()


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
