import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.importing.inputs import Runs, some_runs


@pytest.fixture
def syncs_take_no_time() -> Iterator[None]:
    """For tests that never cut the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(os, "fdatasync", lambda _: None)
        yield


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """Runs whose labels are in labels.npy."""
    runs = some_runs()
    np.save(tmp_path / "labels.npy", runs.labels_N)
    return runs
