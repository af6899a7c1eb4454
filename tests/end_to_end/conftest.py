"""What several of these tests compare with."""

import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.test_main_job import command


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign that nothing interrupted, in one process."""
    out = tmp_path_factory.mktemp("whole") / "store"
    subprocess.run(command(out, "--workers", "1", "--quiet"), check=True, capture_output=True)
    return out
