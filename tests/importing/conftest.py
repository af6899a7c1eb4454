import os
from collections.abc import Iterator

import pytest


@pytest.fixture
def syncs_take_no_time() -> Iterator[None]:
    """For tests that never cut the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(os, "fdatasync", lambda _: None)
        yield
