import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def syncs_take_no_time() -> Iterator[None]:
    """For tests that never cut the power: a thousand syncs of a busy disk take a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        patch.setattr(os, "fdatasync", lambda _: None)
        yield
