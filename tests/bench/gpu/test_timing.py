"""Calls take turns, the first is told apart, and on CUDA a captured graph is replayed between events."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from bench.gpu import timing
from bench.gpu.timing import WARM_UP, timed

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_calls_take_turns_and_a_time_is_that_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, called = 0.0, ""

    def call(name: str, seconds: float) -> None:
        nonlocal now_s, called
        called, now_s = called + name, now_s + seconds

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now_s)
    found = timed([lambda: call("a", 0.001), lambda: call("b", 0.003)], CPU, repeats=5)
    assert called == "a" + "ab" * (1 + WARM_UP + 5)
    assert found.first_ms == pytest.approx(1)
    assert found.ms.tolist() == pytest.approx([2] * 5)
    assert found.median_ms == pytest.approx(2)


def test_on_cuda_a_graph_of_all_calls_is_replayed_between_events(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            log.append("event")

        def elapsed_time(self, end: "Event") -> float:
            assert log[-1] == "wait"  # only then is it known
            return 6.0

    class Graph:
        def replay(self) -> None:
            log.append("replay")

    @contextmanager
    def graph(graph: Graph) -> Iterator[None]:
        log.append("capture")
        yield
        log.append("captured")

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: log.append("wait"))
    found = timed([lambda: log.append("a"), lambda: log.append("b")], GPU, repeats=2)
    assert found.ms.tolist() == [3, 3]
    events = ["event", "replay", "event"]
    assert log == [
        *("wait", "a", "wait", "a", "b", "wait"),
        *("capture", "a", "b", "captured"),
        *["replay"] * WARM_UP,
        *events * 2,
        "wait",
    ]
