"""The simplest executor: one run after another, here."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from airbench_var.execution.contract import MakeTrain, Report, Stop
from airbench_var.execution.lanes import Lanes
from airbench_var.store.rows import Outcome, RunSpec


def in_process(arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop) -> Iterator[Report]:
    """Yield outcomes in the order of the specs."""
    rest = iter(specs)
    first = next(rest, None)
    if first is None:
        return
    lanes = Lanes(arms)
    yield lanes.notice(0)
    for spec in chain([first], rest):
        if stop():
            return
        yield Outcome(spec=spec, worker=0, result=lanes.train(0, spec))
