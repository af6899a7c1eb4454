"""What only a cluster can do, and suffer; the contract is in `test_executors`."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from airbench_var import machine
from airbench_var.errors import DeviceError, UsageError
from airbench_var.execution import Notice, Report, choose_on_ray, on_ray
from airbench_var.execution.dispatch import Worker
from airbench_var.execution.on_ray import Share, connect
from airbench_var.seeds import seeds_of_run
from airbench_var.store import Outcome, RunSpec
from tests.execution.fake_runs import FakeRun
from tests.execution.ray_cluster import Held, held

HANGS_AFTER_S = 60.0


def specs(n: int) -> list[RunSpec]:
    return [RunSpec(run_id=i, seeds=seeds_of_run(0, i)) for i in range(n)]


def never() -> bool:
    return False


class Watched:
    """Takes the reports of an executor one by one, until something has happened."""

    def __init__(self, reports: Iterator[Report]) -> None:
        self.reports, self.seen = reports, list[Report]()

    def until(self, happened: Any) -> None:
        deadline_s = time.monotonic() + HANGS_AFTER_S
        while not happened():
            assert time.monotonic() < deadline_s
            self.seen.append(next(self.reports))

    def rest(self) -> dict[int, Outcome]:
        self.seen += self.reports
        outcomes = [report for report in self.seen if isinstance(report, Outcome)]
        assert len({outcome.spec.run_id for outcome in outcomes}) == len(outcomes)
        return {outcome.spec.run_id: outcome for outcome in outcomes}

    def notices(self, kind: str) -> list[Notice]:
        return [report for report in self.seen if isinstance(report, Notice) and report.kind == kind]


def test_an_actor_that_is_killed_costs_its_run_alone(ray_nodes: Any, tmp_path: Path) -> None:
    watched = Watched(on_ray([partial(Held, tmp_path)], specs(6), never, share=Share(), workers=2))
    watched.until(lambda: len(held(tmp_path)) == 2)
    os.kill(held(tmp_path)[0][1], signal.SIGKILL)
    watched.until(lambda: watched.notices("worker-died"))
    (tmp_path / "go").touch()
    done = watched.rest()
    assert sorted(done) == list(range(6))
    assert all(outcome.result is not None for outcome in done.values())
    assert sorted(outcome.spec.attempt for outcome in done.values()) == [1, 1, 1, 1, 1, 2]


def test_a_node_that_is_lost_gives_its_runs_to_others_and_a_new_one_gets_work(
    ray_nodes: Any, tmp_path: Path
) -> None:
    """Four actors; one node with two of them goes, and comes back."""
    watched = Watched(on_ray([partial(Held, tmp_path)], specs(20), never, share=Share()))
    watched.until(lambda: len(held(tmp_path)) == 4)
    ray_nodes.remove_node(max(ray_nodes.worker_nodes, key=id), allow_graceful=False)
    watched.until(lambda: len(watched.notices("worker-died")) == 2)
    assert all("its machine cannot be reached" in notice.text for notice in watched.notices("worker-died"))
    ray_nodes.add_node(num_cpus=2, num_gpus=1)
    watched.until(lambda: len(watched.notices("ready")) == 6)
    watched.until(lambda: len({pid for _, pid in held(tmp_path)}) == 6)
    (tmp_path / "go").touch()
    done = watched.rest()
    assert sorted(done) == list(range(20))
    assert sorted(outcome.spec.attempt for outcome in done.values()) == [1] * 18 + [2] * 2


def ends(pid: int) -> None:
    deadline_s = time.monotonic() + HANGS_AFTER_S
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline_s, f"process {pid} was left behind"
        time.sleep(0.05)


def test_whoever_leaves_early_leaves_no_actor_behind(ray_nodes: Any, tmp_path: Path) -> None:
    watched = Watched(on_ray([partial(Held, tmp_path)], specs(9), never, share=Share(), workers=2))
    watched.until(lambda: len(held(tmp_path)) == 2)
    watched.reports.close()  # type: ignore[attr-defined]
    for _, pid in held(tmp_path):
        ends(pid)


def test_two_actors_share_a_gpu_and_see_it(ray_nodes: Any, tmp_path: Path) -> None:
    watched = Watched(on_ray([partial(Held, tmp_path)], specs(9), never, share=Share(gpus=0.5)))
    watched.until(lambda: len(held(tmp_path)) == 4)
    (tmp_path / "go").touch()
    assert sorted(watched.rest()) == list(range(9))
    assert len(watched.notices("ready")) == 4


def test_two_lanes_of_one_actor_train_at_a_time(ray_nodes: Any, tmp_path: Path) -> None:
    watched = Watched(on_ray([partial(Held, tmp_path)], specs(9), never, share=Share(gpus=1), lanes=2))
    watched.until(lambda: len(held(tmp_path)) == 4)
    assert len({pid for _, pid in held(tmp_path)}) == 2
    (tmp_path / "go").touch()
    slots = {outcome.worker for outcome in watched.rest().values()}
    # Which numbers they have is open: Ray may still count the machine that another test took away.
    assert (len(slots), len({slot // 2 for slot in slots})) == (4, 2)


def test_actors_without_room_wait_for_it(ray_nodes: Any, tmp_path: Path) -> None:
    watched = Watched(on_ray([partial(Held, tmp_path)], specs(9), never, share=Share(cpus=2), workers=3))
    watched.until(lambda: len(held(tmp_path)) == 2)
    third = ray_nodes.add_node(num_cpus=2)
    watched.until(lambda: len(held(tmp_path)) == 3)
    (tmp_path / "go").touch()
    assert sorted(watched.rest()) == list(range(9))
    ray_nodes.remove_node(third)


def test_a_machine_with_other_versions_is_refused(ray_nodes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here this process is the one that differs; what is built in other ways for CPU and GPU does not."""
    installed = machine.version
    monkeypatch.setattr(machine, "version", lambda name: installed(name) + "+cu999")  # type: ignore[operator]
    assert len(Watched(on_ray([FakeRun], specs(1), never, share=Share())).rest()) == 1
    monkeypatch.setattr(machine, "version", lambda name: "1.2.3" if name == "torch" else installed(name))
    with pytest.raises(
        DeviceError, match=r"(?s)other bits:\n  torch: 2.* there, 1\.2\.3 here.*Install the same"
    ):
        Watched(on_ray([FakeRun], specs(1), never, share=Share())).rest()


def choose(**changes: Any) -> Any:
    given = {
        "address": None,
        "device": "auto",
        "workers": None,
        "runs_per_device": 1,
        "gpu_share": 1.0,
        "threads": 1,
    }
    return choose_on_ray(**(given | changes))


def test_where_to_train_follows_from_what_the_machines_have(ray_nodes: Any) -> None:
    placement, device, why = choose()
    assert (placement.executor, placement.workers, device) == ("ray", 0, "cuda")
    assert why.endswith("1 CPU and 1 GPU each, room for 2 now")
    assert choose(gpu_share=0.5)[2].endswith("1 CPU and 0.5 GPU each, room for 4 now")
    placement, device, why = choose(device="cpu", threads=2)
    assert (placement.share, device) == (Share(cpus=2), "cpu")
    assert why.endswith("2 CPUs each, room for 2 now")
    with pytest.raises(DeviceError, match="no machine of the Ray cluster has the 3 CPUs"):
        choose(device="cpu", threads=3)
    assert choose(device="cpu", threads=3, workers=5)[0].workers == 5
    with pytest.raises(UsageError, match="Ray chooses among the GPUs"):
        choose(device="cuda:1")
    with pytest.raises(UsageError, match="are for GPUs"):
        choose(device="cpu", gpu_share=0.5)


@pytest.mark.parametrize(
    ("share", "resources", "room"),
    [
        (Share(), {"CPU": 3.0}, 3),
        (Share(), {}, 0),
        (Share(cpus=2), {"CPU": 5.0}, 2),
        (Share(gpus=1), {"CPU": 8.0, "GPU": 4.0}, 4),
        (Share(gpus=1), {"CPU": 3.0, "GPU": 4.0}, 3),
        (Share(gpus=1), {"CPU": 8.0}, 0),
        (Share(gpus=0.5), {"CPU": 8.0, "GPU": 2.0}, 4),
        (Share(gpus=0.3), {"CPU": 8.0, "GPU": 2.0}, 6),
        (Share(gpus=0.1), {"CPU": 80.0, "GPU": 2.0}, 20),
        (Share(gpus=0.6), {"CPU": 8.0, "GPU": 2.0}, 2),
    ],
)
def test_room_on_a_machine(share: Share, resources: dict[str, float], room: int) -> None:
    assert share.fits_into(resources) == room


def test_an_address_where_nobody_answers_is_named_at_once() -> None:
    with pytest.raises(DeviceError, match=r"no Ray cluster at --address 127.0.0.1:1: .*Connection refused"):
        _refused("127.0.0.1:1")


def _refused(address: str) -> None:
    from airbench_var.execution.on_ray import _refuse_silence

    _refuse_silence(address)


def test_a_death_for_want_of_memory_is_no_loss_of_the_machine() -> None:
    """Otherwise workers for which there is not enough memory would be started for ever."""
    from ray.exceptions import ActorUnavailableError, OutOfMemoryError

    from airbench_var.execution.on_ray import _death

    text = "1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 10.0.0.2"
    death = _death(Worker(0), OutOfMemoryError(text))
    assert (death.how, death.with_its_machine) == (
        "Ray ended it because its machine ran out of memory",
        False,
    )
    assert _death(Worker(0), ActorUnavailableError("no answer", None)).with_its_machine


def test_a_second_cluster_is_refused(ray_nodes: Any) -> None:
    machines, where = connect(ray_nodes.address)
    assert len(machines) == 3
    assert where == f"3 machines of the Ray cluster at {ray_nodes.address}"
    with pytest.raises(UsageError, match=f"is part of the Ray cluster at {ray_nodes.address} already"):
        connect("127.0.0.1:1")


def test_ray_client_is_refused() -> None:
    with pytest.raises(UsageError, match="Ray Client is not supported"):
        connect("ray://head:10001")


def test_without_ray_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DeviceError, match=r"pip install 'airbench_var\[ray\]'"):
        connect(None)
