"""The seconds of a run are those between outcomes of one slot while all slots are at work."""

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import pytest

from airbench_var.execution import MakeTrain, Report, Stop
from airbench_var.store import Outcome, RunSpec
from bench.scaling import Way, run_s


class Scripted:
    """An executor whose outcomes come at given times, by slot."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slots_and_times: Sequence[tuple[int, float]]) -> None:
        self.script, self.now_s = slots_and_times, 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now_s)

    def __call__(self, arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop) -> Iterator[Report]:
        for spec, (slot, at_s) in zip(islice(specs, len(self.script)), self.script, strict=True):
            self.now_s = at_s
            yield Outcome(spec=spec, worker=slot)
            yield None
        assert stop()


def test_the_start_and_the_end_are_in_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slot 1 comes late, and before that slot 0 is fast; at the end slot 1 is alone, and fast again."""
    begin = [(0, 1.0), (0, 1.1), (0, 1.2), (1, 2.0)]
    both = [(0, 3.0), (1, 4.0), (0, 5.0), (1, 6.0), (0, 7.0), (1, 8.0), (0, 9.0)]
    end = [(1, 9.1)]
    execute = Scripted(monkeypatch, begin + both + end)
    assert run_s(Way(execute, 2), lambda: None, runs=3) == pytest.approx(2.0)  # type: ignore[arg-type, return-value]


def test_one_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    execute = Scripted(monkeypatch, [(0, 5.0), (0, 6.0), (0, 8.0)])
    assert run_s(Way(execute, 1), lambda: None, runs=2) == pytest.approx(1.5)  # type: ignore[arg-type, return-value]
