"""A real Ray cluster of several nodes on this machine; a GPU of a node need not exist."""

import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airbench_var.execution.on_ray import connect
from airbench_var.seeds import Seeds
from airbench_var.store import RunResult
from tests.execution.fake_runs import FakeRun

ROOT = Path(__file__).parents[2]


@contextmanager
def cluster(nodes: int = 2, **resources: float) -> Iterator[Any]:
    """Yield a cluster that this process has joined: a head without room for workers, and nodes like these."""
    import ray
    from ray.cluster_utils import Cluster

    here = {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}  # what daemons and workers inherit
    before = {name: os.environ.get(name) for name in here}
    os.environ |= here
    logging.getLogger("ray").setLevel(logging.ERROR)

    class Quiet(Cluster):
        """Its nodes take no signals that are for the tests."""

        def add_node(self, *arguments: Any, **options: Any) -> Any:
            before = signal.getsignal(signal.SIGTERM)
            try:
                return super().add_node(*arguments, **options)
            finally:
                signal.signal(signal.SIGTERM, before)

    there = Quiet(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(nodes):
            there.add_node(**(resources or {"num_cpus": 1}))
        before_it = signal.getsignal(signal.SIGTERM)
        connect(there.address)
        signal.signal(signal.SIGTERM, before_it)
        yield there
    finally:
        ray.shutdown()
        there.shutdown()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


class Held(FakeRun):
    """Leaves a file with the init seed and its process id in a folder, and waits there for a file `go`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def __call__(self, seeds: Seeds) -> RunResult:
        (self.folder / f"{seeds.init}-{os.getpid()}").touch()
        while not (self.folder / "go").exists():
            time.sleep(0.01)
        return super().__call__(seeds)


def held(folder: Path) -> list[tuple[int, int]]:
    """Return the init seeds and process ids of the runs that were begun, in the order of their beginning."""
    files = [path for path in folder.iterdir() if "-" in path.name]
    return [
        (int(seed), int(pid))
        for seed, pid in (
            path.name.split("-") for path in sorted(files, key=lambda path: path.stat().st_mtime_ns)
        )
    ]


def is_joined() -> bool:
    """Whether this process is part of a cluster."""
    import ray

    return ray.is_initialized()


def joined() -> str:
    """Return the address of the cluster that this process is part of."""
    import ray

    return ray.get_runtime_context().gcs_address


def actors(address: str) -> list[int]:
    """Return the processes of a cluster's actors on this machine; those of others are nobody's to kill."""
    port = address.rpartition(":")[2]
    pids = [path.name for path in Path("/proc").glob("[0-9]*")]
    there = [pid for pid in pids if _read(pid, "cmdline").startswith("ray::Actor")]
    return [int(pid) for pid in there if f":{port}\0" in _read(_parent(pid), "cmdline")]


def _parent(pid: str) -> str:
    return _read(pid, "stat").rpartition(")")[2].split()[1]


def _read(pid: str, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ") ? 0" if name == "stat" else ""  # it has just ended
