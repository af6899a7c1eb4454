"""How fast runs are committed, and how long the rest will take."""

from collections import deque
from collections.abc import Callable

_WINDOW_S = 60.0
_COMMITS = 20


class Rate:
    """Runs per second over a recent window: the last minute, or the last 20 commits when those took longer.

    What was there before this session never counts, and the slow first runs (compiling, filling caches)
    drop out with time. `clock` returns seconds. `begun` says that runs are under way already, as for one who
    looks on from another process: the first of them to come in only starts the clock.
    """

    def __init__(self, done: int, clock: Callable[[], float], *, begun: bool = False) -> None:
        self._clock, self._begun = clock, begun
        self._points = deque([(clock(), done)])

    def begins(self) -> None:
        """Take note that a worker is ready: what came before was its start, as long as no run has come in."""
        if len(self._points) == 1:
            self._points[0] = (self._clock(), self._points[0][1])

    def record(self, done: int) -> None:
        """Take note that so many runs are done by now; calls that bring no new run change nothing."""
        now = self._clock()
        if done <= self._points[-1][1]:
            return
        if self._begun:
            self._begun = False
            self._points.clear()
        self._points.append((now, done))
        while len(self._points) > _COMMITS + 1 and now - self._points[1][0] >= _WINDOW_S:
            self._points.popleft()

    @property
    def per_hour(self) -> float | None:
        """Runs per hour up to the last commit; None before the first."""
        (start_s, first), (end_s, last) = self._points[0], self._points[-1]
        return 3600 * (last - first) / (end_s - start_s) if end_s > start_s else None

    def remaining_s(self, total: int) -> float | None:
        """Seconds until `total` runs are done, at this rate; None before the first commit."""
        if not self.per_hour:
            return None
        last_s, done = self._points[-1]
        return max(0.0, 3600 * (total - done) / self.per_hour - (self._clock() - last_s))
