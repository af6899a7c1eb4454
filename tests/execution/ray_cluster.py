"""A real Ray cluster of several nodes on this machine, for tests and benchmarks; GPUs that are not there do."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@contextmanager
def cluster(nodes: int = 2, *, connect: bool = True, **resources: float) -> Iterator[Any]:
    """Yield a cluster with a head that has no room for workers, and nodes with these resources each."""
    import ray
    from ray.cluster_utils import Cluster

    here = {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}  # what daemons and workers inherit
    before = {name: os.environ.get(name) for name in here}
    os.environ |= here
    logging.getLogger("ray").setLevel("ERROR")
    there = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(nodes):
            there.add_node(**(resources or {"num_cpus": 1}))
        if connect:
            ray.init(address=there.address, log_to_driver=False, logging_level="ERROR")
        yield there
    finally:
        ray.shutdown()
        there.shutdown()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
