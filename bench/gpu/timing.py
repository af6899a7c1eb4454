"""Times of calls: on a GPU many of them in one CUDA graph between two events, on a CPU one by one."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from bench.schema import synchronize

Call = Callable[[], object]

#: Replays before the first that counts: clocks rise, caches hold what they will hold.
WARM_UP = 3


class Timed(NamedTuple):
    """Milliseconds of a call."""

    ms: npt.NDArray[np.float64]  #: (repeats,), each the mean over calls that took turns
    first_ms: float  #: of the very first call, which also compiles

    @property
    def median_ms(self) -> float:
        """The median of the repeats."""
        return float(np.median(self.ms))


def timed(calls: Sequence[Call], device: torch.device, repeats: int) -> Timed:
    """Return the times of some calls that take turns.

    Give calls on enough different inputs that a cache cannot hold them. On a GPU they must not wait for it:
    a graph of them is replayed, so that neither Python nor a launch of each kernel is in the time.
    """
    first_ms = 1e3 * once_s(calls[0], device)
    for call in calls:  # makes handles and workspaces, which a capture must not
        call()
    run = _graph_of(calls, device) if device.type == "cuda" else _loop_over(calls)
    for _ in range(WARM_UP):
        run()
    rounds_ms = _by_events(run, repeats) if device.type == "cuda" else _by_clock(run, repeats)
    return Timed(rounds_ms / len(calls), first_ms)


def once_s(call: Call, device: torch.device) -> float:
    """Return the seconds of one call, with the device idle before and after."""
    synchronize(device)
    start_s = time.perf_counter()
    call()
    synchronize(device)
    return time.perf_counter() - start_s


def _loop_over(calls: Sequence[Call]) -> Call:
    def run() -> None:
        for call in calls:
            call()

    return run


def _graph_of(calls: Sequence[Call], device: torch.device) -> Call:
    torch.cuda.synchronize(device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for call in calls:
            call()
    return graph.replay


def _by_events(run: Call, repeats: int) -> npt.NDArray[np.float64]:
    pairs = [(_event(), _event()) for _ in range(repeats)]
    for start, end in pairs:
        start.record()
        run()
        end.record()
    torch.cuda.synchronize()
    return np.array([start.elapsed_time(end) for start, end in pairs])


def _by_clock(run: Call, repeats: int) -> npt.NDArray[np.float64]:
    marks_s = [time.perf_counter()]
    for _ in range(repeats):
        run()
        marks_s.append(time.perf_counter())
    return np.diff(marks_s) * 1e3


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
