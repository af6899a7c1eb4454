"""One store as the HTML report shows it: all that is read of it, once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from airbench_var.analysis import Analysis, LiveStatistics, PairAnalysis, analyze_pairs
from airbench_var.store import COMMITTED, Store, StoreInfo, info
from airbench_var.store.events import read_events
from airbench_var.store.records import Records


@dataclass(frozen=True, kw_only=True)
class Session:
    """One process that wrote the store, as its log tells it."""

    start: str  #: ISO 8601, UTC
    stop: str | None  #: None: it was killed, or still writes
    runs: int | None  #: that it committed
    per_hour: float | None  #: of them, from start to stop: loading and compiling are in it
    workers: int | None
    device: str | None
    stopped_by: str | None  #: a signal


@dataclass(frozen=True, kw_only=True)
class Pictured:
    """Images of test sets, uint8 (N, H, W, 3) by name, or why there are none."""

    images: Mapping[str, npt.NDArray[np.uint8]] = field(default_factory=dict)
    absent: str = ""


@dataclass(frozen=True, kw_only=True)
class Reported:
    """A store, read and analysed."""

    store: Store
    info: StoreInfo
    statistics: LiveStatistics
    analysis: Analysis
    pairs: Mapping[str, PairAnalysis]
    committed: Records  #: the records of the committed runs, (R,)
    sessions: tuple[Session, ...]
    pictured: Pictured

    @property
    def name(self) -> str:
        """The folder alone: pages are sent on, and paths have people's names."""
        return self.store.path.resolve().name

    @property
    def was_trained(self) -> bool:
        """Whether its runs were made here, so that there are times; imported predictions tell of none."""
        return "imported" not in self.store.manifest.identity

    @classmethod
    def of_store(cls, store: Store, pictured: Pictured) -> Self:
        """Read all committed rows of a store, checking each, and analyse them.

        Raises: StoreDamagedError that names file and run.
        """
        statistics = LiveStatistics.of_store(store)
        records = store.records()
        return cls(
            store=store,
            info=info(store.path),
            statistics=statistics,
            analysis=statistics.analysis(),
            pairs=analyze_pairs(store),
            committed=records[records["state"] == COMMITTED],
            sessions=sessions_of(list(read_events(store.path))),
            pictured=pictured,
        )


def sessions_of(events: list[dict[str, Any]]) -> tuple[Session, ...]:
    """Return the sessions of an event log, in order; one that was killed has no end."""
    sessions: list[Session] = []
    start: dict[str, Any] | None = None
    for event in events:
        if event.get("kind") == "start":
            if start is not None:
                sessions.append(_session(start, None))
            start = event
        elif event.get("kind") == "stop" and start is not None:
            sessions.append(_session(start, event))
            start = None
    if start is not None:
        sessions.append(_session(start, None))
    return tuple(sessions)


def _session(start: Mapping[str, Any], stop: Mapping[str, Any] | None) -> Session:
    runs = per_hour = None
    if stop is not None:
        runs = int(stop["committed"]) - int(start["committed"])
        begun, ended = (datetime.fromisoformat(event["time"]) for event in (start, stop))
        seconds = (ended - begun).total_seconds()
        per_hour = 3600 * runs / seconds if seconds > 0 and runs else None
    return Session(
        start=str(start["time"]),
        stop=None if stop is None else str(stop["time"]),
        runs=runs,
        per_hour=per_hour,
        workers=start.get("workers"),
        device=start.get("device"),
        stopped_by=None if stop is None else stop.get("signal"),
    )
