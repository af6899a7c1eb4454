import fcntl
from pathlib import Path

import pytest

from airbench_var.errors import StoreRefusedError
from airbench_var.store.lock import LOCK, WriterLock


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    first = WriterLock.take(tmp_path)
    first.sign()
    with pytest.raises(StoreRefusedError, match="another campaign is writing"):
        WriterLock.take(tmp_path)
    first.close()
    WriterLock.take(tmp_path).close()


def test_the_lock_of_a_file_that_is_gone_locks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Between opening and locking, a creation that failed took its folder away, and another began anew.
    flock = fcntl.flock

    def late(fd: int, how: int) -> None:
        (tmp_path / LOCK).unlink()
        (tmp_path / LOCK).touch()
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(StoreRefusedError, match="another campaign is writing"):
        WriterLock.take(tmp_path)
