"""`--figures DIR` keeps what the statistical tests measured."""

import time
from pathlib import Path

import pytest

from tests.statistical import figures


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--figures", type=Path, help="folder for the table of measured figures")


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[_START] = time.monotonic()


def pytest_sessionfinish(session: pytest.Session) -> None:
    folder = session.config.getoption("--figures", default=None)
    if folder is not None and figures.FIGURES:
        figures.write(folder, "make statistics", time.monotonic() - session.config.stash[_START])


_START = pytest.StashKey[float]()
