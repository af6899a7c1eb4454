"""Where runs are trained follows from what is asked for and what is there, or is refused."""

from typing import Any

import pytest

from airbench_var.errors import DeviceError, UsageError
from airbench_var.execution import Placement, choose_on_ray, choose_placement
from airbench_var.execution import placement as placement_module
from airbench_var.seeds import seeds_of_run
from airbench_var.store import Outcome, RunSpec
from tests.execution.fake_runs import FakeRun


def choose(executor: Any = "auto", **changes: Any) -> Placement:
    given = {"workers": None, "runs_per_device": 1, "gpus": [], "cores": 8, "threads": 1}
    return choose_placement(executor, **(given | changes))[0]


@pytest.mark.parametrize(
    ("given", "executor", "workers", "gpus"),
    [
        ({}, "pool", 8, ()),
        ({"threads": 3}, "pool", 2, ()),
        ({"threads": 16}, "in-process", 1, ()),
        ({"threads": 64}, "in-process", 1, ()),
        ({"workers": 1}, "in-process", 1, ()),
        ({"workers": 1, "executor": "pool"}, "pool", 1, ()),
        ({"executor": "in-process"}, "in-process", 1, ()),
        ({"gpus": ["0"]}, "in-process", 1, ()),
        ({"gpus": ["0"], "run_limit_s": 60}, "pool", 1, ("0",)),
        ({"workers": 1, "run_limit_s": 60}, "pool", 1, ()),
        ({"gpus": ["0"], "workers": 2}, "pool", 2, ("0",)),
        ({"gpus": ["4", "7"]}, "pool", 2, ("4", "7")),
        ({"gpus": ["4", "7"], "runs_per_device": 2}, "pool", 2, ("4", "7")),
        ({"gpus": ["4", "7"], "workers": 4}, "pool", 4, ("4", "7")),
    ],
)
def test_choices(given: dict[str, Any], executor: str, workers: int, gpus: tuple[str, ...]) -> None:
    placement = choose(**given)
    assert (placement.executor, placement.workers, placement.gpus) == (executor, workers, gpus)
    assert placement.workers_see_one_gpu == bool(gpus)
    assert placement.slots == workers * given.get("runs_per_device", 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"runs_per_device": 2}, "On a CPU, train in several processes: --workers 2"),
        ({"gpus": ["0"], "workers": 2, "runs_per_device": 2}, "leave out one of them"),
        ({"gpus": ["0", "1"], "workers": 3}, "do not share 2 GPUs evenly"),
        ({"gpus": ["0", "1"], "workers": 1}, "do not share 2 GPUs evenly"),
        ({"executor": "in-process", "workers": 2}, "in one process, not in 2"),
        ({"executor": "in-process", "run_limit_s": 60}, "--run-timeout ends a worker that hangs"),
        ({"threads": 65}, "--threads 65 on 8 CPU cores"),
        ({"executor": "in-process", "gpus": ["0", "1"]}, "on one GPU, not on 2: name it, as --devices"),
    ],
)
def test_contradictions_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose(**given)


@pytest.mark.parametrize(
    "placement",
    [
        Placement(),
        Placement(runs_per_device=3),
        Placement(executor="pool", workers=2),
        Placement(executor="pool", workers=1, runs_per_device=3),
    ],
    ids=["in-process", "threads", "pool", "lanes"],
)
def test_a_placement_trains_in_as_many_slots_as_it_says(placement: Placement) -> None:
    specs = [RunSpec(run_id=i, seeds=seeds_of_run(0, i)) for i in range(40)]
    done = [
        report for report in placement.execute([FakeRun], specs, lambda: False) if isinstance(report, Outcome)
    ]
    assert {outcome.worker for outcome in done} <= set(range(placement.slots))
    assert len(done) == 40


def choose_in_a_cluster_of(*machines: dict[str, float], **changes: Any) -> tuple[Placement, str]:
    given = {"address": None, "device": "auto", "workers": 4, "runs_per_device": 1, "gpu_share": 1.0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placement_module, "connect", lambda address: (machines, "a cluster"))
        return choose_on_ray(**(given | changes), threads=1)[:2]  # type: ignore[arg-type]


def test_a_kind_of_device_is_not_guessed_from_machines_that_are_not_there_yet() -> None:
    head: dict[str, float] = {"memory": 1e9}
    assert choose_in_a_cluster_of(head, {"CPU": 4.0})[1] == "cpu"
    assert choose_in_a_cluster_of(head, {"CPU": 4.0, "GPU": 1.0})[1] == "cuda"
    with pytest.raises(DeviceError, match="say --devices cuda"):
        choose_in_a_cluster_of(head)
    assert choose_in_a_cluster_of(head, device="cuda")[0].workers == 4


def test_a_share_of_a_gpu_that_ray_cannot_give_is_refused() -> None:
    assert choose_in_a_cluster_of({"CPU": 4.0, "GPU": 1.0}, gpu_share=0.3333)[0].share.gpus == 0.3333
    with pytest.raises(UsageError, match="four decimals"):
        choose_in_a_cluster_of({"CPU": 4.0, "GPU": 1.0}, gpu_share=0.33333)
