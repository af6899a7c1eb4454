"""A disk that refuses: one message, exit code 6, and advice that this command can follow."""

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airbench_var.example import TINY
from tests.cli.running import run


@pytest.fixture
def refuse_writing(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let no file be made in the current folder any more: the tests may run as one who may write anywhere."""

    def refuse(number: int) -> None:
        low, high = os.open, io.open

        def refused(path: Any, writes: object) -> None:
            if writes and Path(path).absolute().is_relative_to(Path.cwd()):
                raise OSError(number, os.strerror(number), path)

        def low_level(path: Any, flags: int, *more: Any, **named: Any) -> int:
            refused(path, flags & os.O_CREAT)
            return low(path, flags, *more, **named)

        def high_level(path: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
            refused(path, mode[0] != "r")
            return high(path, mode, *more, **named)

        monkeypatch.setattr(os, "open", low_level)
        monkeypatch.setattr(io, "open", high_level)

    return refuse


COMMANDS = {
    "report": (["report", str(TINY), "--html", "page.html"], "or name another file with --html."),
    "export": (["export", str(TINY), "--out", "out.csv"], "or choose another name with --out."),
    "merge": (["merge", str(TINY), "--out", "merged"], "or choose another folder with --out."),
    "repair": (["repair", "damaged"], "or repair a copy of the store."),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("number", "helps"), [(errno.EROFS, "Make it writable, then"), (errno.ENOSPC, "Make room, then")]
)
def test_advice_fits_command_and_error(
    command: str,
    number: int,
    helps: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    refuse_writing: Callable[[int], None],
    store: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    if command == "report":
        pytest.importorskip("matplotlib")
    store.rename("damaged")
    with Path("damaged/small/correct.npy").open("r+b") as file:
        file.seek(200)
        file.write(b"\xff")
    arguments, instead = COMMANDS[command]
    refuse_writing(number)
    code, out, err = run(arguments, capsys)
    assert (code, out) == (6, "")
    assert err.count("\n") == 1
    assert helps in err
    assert err.endswith(f"{instead}\n")
    assert ("MB free on this disk" in err) == (number == errno.ENOSPC)
    assert "acknowledged" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]
