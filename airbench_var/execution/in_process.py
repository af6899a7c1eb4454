"""The simplest executor: one run after another, here."""

from collections.abc import Iterable, Iterator

from airbench_var.execution.contract import MakeTrain, Stop
from airbench_var.store.rows import Outcome, RunSpec


def in_process(make_train: MakeTrain, specs: Iterable[RunSpec], stop: Stop) -> Iterator[Outcome | None]:
    """Yield outcomes in the order of the specs."""
    specs = list(specs)
    if not specs:
        return
    train = make_train()
    for spec in specs:
        if stop():
            return
        yield Outcome(spec=spec, worker=0, result=train(spec.seeds))
