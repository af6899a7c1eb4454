"""What a store is of and how far it is, without reading its rows."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from airbench_var.store.disk import storage_errors
from airbench_var.store.events import EVENTS, parse_event
from airbench_var.store.filesystem import filesystem_of
from airbench_var.store.lock import lock_holder
from airbench_var.store.manifest import Manifest
from airbench_var.store.reader import Store
from airbench_var.store.records import COMMITTED, FAILED, OPEN

_TAIL_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class StoreInfo:
    """One moment of a store."""

    store: Path
    manifest: Manifest
    capacity: int  #: runs there is room for
    committed: int
    failed: int
    open: int
    disk_bytes: int  #: that its files occupy
    filesystem: str | None
    writer: int | None  #: pid of the process on this machine that is writing it
    last_event: Mapping[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON values, with identity and provenance in full."""
        return {
            "store": str(self.store),
            "uuid": str(self.manifest.uuid),
            "format_version": self.manifest.format_version,
            "capacity": self.capacity,
            "committed": self.committed,
            "failed": self.failed,
            "open": self.open,
            "disk_bytes": self.disk_bytes,
            "filesystem": self.filesystem,
            "writer": self.writer,
            "last_event": self.last_event,
            "identity": self.manifest.identity,
            "provenance": self.manifest.provenance,
        }


def info(path: str | os.PathLike[str]) -> StoreInfo:
    """Read manifest and records of a store, also while it is being written; no row of predictions is read.

    Raises: as `Store.open`, and StoreDamagedError when a record is not what was written.
    """
    store = Store.open(path)
    states = np.bincount(store.records()["state"], minlength=3)
    with storage_errors(store.path, "reading"):
        files = [file.stat() for file in store.path.rglob("*") if file.is_file()]
    return StoreInfo(
        store=store.path,
        manifest=store.manifest,
        capacity=store.capacity,
        committed=int(states[COMMITTED]),
        failed=int(states[FAILED]),
        open=int(states[OPEN]),
        disk_bytes=sum(512 * status.st_blocks for status in files),
        filesystem=filesystem_of(store.path),
        writer=lock_holder(store.path),
        last_event=_last_event(store.path),
    )


def _last_event(store: Path) -> dict[str, Any] | None:
    """Return the last whole line of the event log, or None when there is none."""
    path = store / EVENTS
    if not path.exists():
        return None
    with storage_errors(path, "reading"), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = file.read().splitlines()
    # The first may be cut off by the start of what was read.
    return next(filter(None, map(parse_event, reversed(lines))), None)
