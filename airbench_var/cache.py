"""Files that can be made again: where they are kept, and how they get there complete or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def user_cache() -> Path:
    """Return the folder for them: $XDG_CACHE_HOME or ~/.cache, then airbench_var."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "airbench_var"


@contextmanager
def arriving_at(target: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside target; on success it is on the disk and renamed, otherwise removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)
