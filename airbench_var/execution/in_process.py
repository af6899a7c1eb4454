"""The simplest executor: one run after another, here."""

from collections.abc import Iterable, Iterator, Sequence

from airbench_var.execution.contract import MakeTrain, Stop
from airbench_var.store.rows import Outcome, RunSpec


def in_process(arms: Sequence[MakeTrain], specs: Iterable[RunSpec], stop: Stop) -> Iterator[Outcome | None]:
    """Yield outcomes in the order of the specs."""
    specs = list(specs)
    if not specs:
        return
    trains = [make_train() for make_train in arms]
    for spec in specs:
        if stop():
            return
        yield Outcome(spec=spec, worker=0, result=trains[spec.arm](spec.seeds))
