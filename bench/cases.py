"""The cases of `python -m bench` by name: what they need, and how all of them are run."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from bench import campaigns, deaths, kernels, loaders, photos, scaling, statistics, step, store, training_cpu
from bench.schema import Case, CheckFailedError, Row, measure, ratios


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line asks for."""

    device: torch.device
    repeats: int = 30  #: timed calls of each variant
    limit_s: float = inf  #: seconds a case, if that allows three repeats
    data_dir: Path | None = None  #: where CIFAR-10 lies, if not where the package finds it
    small: bool = False  #: sizes of the tests, whose times mean nothing


#: Yields the rows of one comparison after the other; closing it removes what it made.
Run = Callable[[Options], Generator[list[Row], None, None]]


def timed(cases: Callable[[Options], Iterator[Case]], warm_up: int = 2) -> Run:
    """Return what measures the cases one after the other; after `warm_up` rounds untimed."""

    def run(options: Options) -> Generator[list[Row], None, None]:
        rounds = 0 if options.small else warm_up
        with closing(cases(options)) as found:  # type: ignore[type-var]  # all of them are generators
            for case in found:
                yield measure(case, options.device, options.repeats, rounds, options.limit_s)

    return run


CASES: Mapping[str, Run] = MappingProxyType(
    {
        "loaders": timed(
            lambda o: (
                loaders.cases(training_cpu.small().data, 24, o.device)
                if o.small
                else loaders.cases(training_cpu.full(o.data_dir).data, loaders.RECIPE.batch_size, o.device)
            ),
            warm_up=0,  # the check has taken two epochs of each
        ),
        "photos": timed(
            lambda o: (
                photos.cases(training_cpu.small().data, 24, (40, 60), 12)
                if o.small
                else photos.cases(training_cpu.full(o.data_dir).data, 512, (300, 400), 64)
            ),
            warm_up=0,
        ),
        "augment": timed(lambda o: kernels.augment_cases(o.device)),
        "correctness": timed(lambda o: kernels.correctness_cases(o.device)),
        "cooccurrence": timed(
            lambda o: kernels.cooccurrence_cases(o.device, runs=500 if o.small else 10_000)
        ),
        "training_cpu": lambda o: training_cpu.run(
            training_cpu.small() if o.small else training_cpu.full(o.data_dir), o.repeats, o.limit_s
        ),
        "start": lambda o: campaigns.start(campaigns.DRAFT if o.small else {}, o.repeats, o.limit_s),
        "overhead": lambda o: campaigns.overhead(
            training_cpu.small() if o.small else training_cpu.full(o.data_dir), o.repeats, o.limit_s
        ),
        "scaling": lambda o: scaling.scaling(
            training_cpu.small() if o.small else training_cpu.full(o.data_dir), o.repeats, o.limit_s
        ),
        "death": lambda o: deaths.deaths(
            training_cpu.small() if o.small else training_cpu.full(o.data_dir), o.repeats, o.limit_s
        ),
        "executors": lambda o: scaling.executors(0.01 if o.small else 1.0, o.repeats, o.limit_s),
        "step": timed(lambda o: step.cases(o.device, step.SMALL if o.small else {})),
        "store": timed(lambda o: store.cases(o.device, store.SMALL if o.small else store.FULL)),
        "statistics": timed(
            lambda o: statistics.cases(o.device, statistics.SMALL if o.small else statistics.FULL)
        ),
    }
)


@dataclass(frozen=True)
class Findings:
    """Rows and ratios of all cases that were run, and what was wrong with the others."""

    rows: list[Row] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return rows and ratios as JSON values."""
        return {"rows": [asdict(row) for row in self.rows], "ratios": self.ratios}


def run_cases(
    names: Sequence[str],
    options: Options,
    show: Callable[[list[Row]], object] = lambda rows: None,
    cases: Mapping[str, Run] = CASES,
) -> Findings:
    """Run cases in this order, and show the rows of each comparison as soon as they are there.

    A comparison whose check fails ends its case: it has no row and no ratio, and is named in `failures`.
    """
    found = Findings()
    for name in names:
        with closing(cases[name](options)) as comparisons:
            try:
                for rows in comparisons:
                    rows = [replace(row, group=name) for row in rows]
                    values = ratios(rows)
                    assert not values.keys() & found.ratios.keys(), f"two ratios of one name in {values}"
                    found.ratios.update(values)
                    found.rows.extend(rows)
                    show(rows)
            except CheckFailedError as error:
                found.failures.append(f"{name}: {error}")
    return found
