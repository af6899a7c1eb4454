"""events.jsonl: what happened to a store and when, for people; no estimate is ever computed from it."""

import errno
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airbench_var.store.disk import storage_errors

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


def read_events(store: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a store in order, lines that were cut off left out; none where there is no log."""
    path = store / EVENTS
    if not path.exists():
        return
    with storage_errors(path, "reading"), path.open("rb") as file:
        for line in file:
            if event := parse_event(line):
                yield event


def parse_event(line: bytes) -> dict[str, Any] | None:
    """Return the event of a line, or None when it was cut off by a kill."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None
