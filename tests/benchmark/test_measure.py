"""The benchmark of a user: which networks count, and that a speed without sense is refused."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from airbench_var.benchmark import measure
from airbench_var.benchmark.measure import benchmark, cifar_sized, measure_ceilings, recipe_for
from airbench_var.benchmark.result import Benchmark, Ceilings
from airbench_var.data.dataset import Dataset
from airbench_var.errors import RunsFailedError
from airbench_var.execution import Placement
from airbench_var.recipes import find_recipe
from airbench_var.seeds import Seeds
from airbench_var.store.rows import Outcome, Predictions, RunResult, RunSpec
from airbench_var.training import Settings

TINY = find_recipe("tiny")


def outcome(worker: int, right: int, diverged: bool = False, failure: str = "") -> Outcome:
    """A network with so many of 16 examples right."""
    bits = np.packbits(np.arange(16) < right, bitorder="little")
    predictions = {"small": Predictions(correct=bits, predicted=None)}
    result = RunResult(predictions=predictions, loss=0.0, diverged=diverged, train_s=1.0)
    spec = RunSpec(run_id=7, seeds=Seeds(init=0, order=0, aug=0))
    return Outcome(spec=spec, worker=worker, result=None if failure else result, failure=failure)


class Fake:
    """A clock, and an executor whose outcomes come when they are to come."""

    def __init__(self, comes: Sequence[tuple[float, Outcome | None]]) -> None:
        self.now_s, self.comes, self.left_early = 0.0, comes, False

    def clock(self) -> float:
        return self.now_s

    def __call__(self, *_: Any) -> Iterator[Outcome | None]:
        try:
            for now_s, one in self.comes:
                self.now_s = now_s
                yield one
        except GeneratorExit:
            self.left_early = True
            raise


@pytest.fixture
def data(small_data: Dataset) -> Dataset:
    return replace(small_data, test=small_data.test.first(16))


def measured(fake: Fake, data: Dataset, monkeypatch: pytest.MonkeyPatch) -> Benchmark:
    best = Ceilings(gemm_tflops=1, gemm_side=2, copy_gb_s=3)
    monkeypatch.setattr(Placement, "execute", fake)
    monkeypatch.setattr(measure, "measure_ceilings", lambda *_: best)
    return benchmark(TINY, data, Settings(), placement=Placement(workers=2), limit_s=10, clock=fake.clock)


def test_the_first_network_of_a_worker_does_not_count(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    comes = [(4.0, outcome(0, 8)), (5.0, outcome(1, 16)), (6.0, outcome(0, 8)), (9.0, outcome(1, 8))]
    fake = Fake([*comes, (9.5, outcome(0, 8)), (10.5, None), (11.0, outcome(1, 8))])
    found = measured(fake, data, monkeypatch)
    assert found.seconds == {0: [2.0, 3.5], 1: [4.0]}
    assert found.first_s == 4.0
    assert found.accuracy == pytest.approx((4 * 0.5 + 1) / 5)
    assert found.networks_per_hour == pytest.approx(3600 / 2.75 + 3600 / 4)
    document = found.to_json()
    assert document["seconds_per_network"] == {"n": 3, "min": 2.0, "median": 3.5, "p95": pytest.approx(3.95)}
    assert document["hours_for_10000_runs"] == pytest.approx(10_000 / found.networks_per_hour)
    assert fake.left_early  # the workers were ended when the time was over


def test_it_waits_until_every_worker_has_trained_two(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    comes = [(20.0, outcome(0, 8)), (40.0, outcome(0, 8)), (50.0, None), (60.0, outcome(1, 8))]
    fake = Fake([*comes, (80.0, outcome(1, 8)), (90.0, outcome(0, 8))])
    assert measured(fake, data, monkeypatch).seconds == {0: [20.0], 1: [20.0]}


def test_it_tells_how_far_it_is(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        measure, "measure_ceilings", lambda *_: Ceilings(gemm_tflops=1, gemm_side=2, copy_gb_s=3)
    )
    told = list[tuple[int, float]]()
    fake = Fake([(3.0, outcome(0, 8)), (5.0, None), (11.0, outcome(0, 8))])
    monkeypatch.setattr(Placement, "execute", fake)
    benchmark(
        TINY,
        data,
        Settings(),
        placement=Placement(workers=1),
        limit_s=10,
        clock=fake.clock,
        told=lambda networks, seconds: told.append((networks, seconds)),
    )
    assert told == [(1, 3.0), (1, 5.0), (2, 11.0)]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (outcome(0, 8, diverged=True), r"run 7 .* not finite.* A speed would mean nothing"),
        (outcome(0, 8, failure="its worker died"), "its worker died"),
    ],
)
def test_a_network_that_fails_has_no_speed(
    bad: Outcome, why: str, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunsFailedError, match=why):
        measured(Fake([(1.0, outcome(0, 8)), (2.0, bad)]), data, monkeypatch)


def test_the_default_recipe_follows_the_device() -> None:
    assert recipe_for("cpu").name == "tiny"
    assert recipe_for("cuda:1").name == "airbench94"


def test_the_images_are_as_many_as_those_of_cifar_10_and_of_their_shape() -> None:
    data = cifar_sized()
    assert data.train.images_NHWC.shape == (50_000, 32, 32, 3)
    assert data.test.images_NHWC.shape == (10_000, 32, 32, 3)


@pytest.mark.parametrize(("seconds_of_1024", "side"), [(1e-6, 8192), (1e-2, 2048), (1.0, 1024)])
def test_a_larger_product_is_taken_where_it_is_fast(
    seconds_of_1024: float, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "COPIED_BYTES", 1 << 20)
    monkeypatch.setattr(measure, "_seconds_of_product", lambda n, *_: seconds_of_1024 * (n / 1024) ** 3)
    ceilings = measure_ceilings(TINY, Settings())
    assert ceilings.gemm_side == side
    assert ceilings.gemm_tflops == pytest.approx(2 * 1024**3 / seconds_of_1024 / 1e12)
    assert ceilings.copy_gb_s > 0
