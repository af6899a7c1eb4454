"""events.jsonl: what happened to a store and when, for people; no number is ever computed from it."""

import errno
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

EVENTS = "events.jsonl"


class EventLog:
    """Appends one JSON object a line, each by one write, not synced."""

    def __init__(self, store: Path) -> None:
        self._fd = os.open(store / EVENTS, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)

    def append(self, kind: str, **fields: Any) -> None:
        """Append one line with the time; a line that was cut off before it stays alone on its line.

        Raises: OSError.
        """
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "kind": kind, **fields}
        size = os.fstat(self._fd).st_size
        cut_off = size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"
        text = b"\n" * cut_off + json.dumps(line).encode() + b"\n"
        if os.write(self._fd, text) < len(text):
            raise OSError(errno.ENOSPC, "only a part of the line was written")

    def close(self) -> None:
        """Give the descriptor back; once."""
        os.close(self._fd)
