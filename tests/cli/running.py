"""Run a command in this process, and take what it printed."""

import pytest

from airbench_var import cli

CONTEST = ["compare", "--recipe", "tiny", "--data", "synthetic", "--detect", "1%", "--out", "ab"]


def exit_code(arguments: list[str]) -> int:
    try:
        return cli.main(arguments)
    except SystemExit as leaving:  # argparse, after --help and --version
        return int(leaving.code or 0)


def flat(text: str) -> str:
    """Undo argparse's line breaks."""
    return " ".join(text.split())


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = exit_code(arguments)
    shown = capsys.readouterr()
    return code, shown.out, shown.err
