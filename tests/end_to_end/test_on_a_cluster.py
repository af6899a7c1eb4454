"""The command on a real Ray cluster of two nodes: real networks, killed actors, a killed driver."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from airbench_var.errors import DeviceError
from airbench_var.store import Store
from tests.end_to_end.test_main_job import command, is_running, matrices
from tests.execution.ray_cluster import actors

RUNS = 6
ON_RAY = ["--executor", "ray", "--workers", "2", "--devices", "cpu", "--json"]


@pytest.fixture
def environment(ray_nodes: Any) -> dict[str, str]:
    """What a shell on a machine of the cluster has; Ray itself goes by the number of this name."""
    return os.environ | {"RAY_ADDRESS": f"localhost:{ray_nodes.address.rpartition(':')[2]}"}


def events(store: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (store / "events.jsonl").read_text().splitlines()]


def test_actors_and_driver_killed_and_run_again_give_the_same_matrices(
    environment: dict[str, str], whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "store"
    with subprocess.Popen(
        command(out, *ON_RAY),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as campaign:
        assert campaign.stderr is not None
        for line in campaign.stderr:  # the first progress line comes after the first commit
            if "networks_per_hour" in line:
                break
        left = actors(environment["RAY_ADDRESS"])
        assert left
        campaign.kill()
    deadline_s = time.monotonic() + 60
    while any(is_running(str(pid)) for pid in left):  # a killed driver leaves no one training on
        assert time.monotonic() < deadline_s, f"orphans: {left}"
        time.sleep(0.1)
    before = Store.open(out).committed_ids().tolist()
    assert 1 <= len(before) < RUNS

    port = environment["RAY_ADDRESS"].rpartition(":")[2]
    with subprocess.Popen(
        # By name, and not as Ray writes it; of two workers, one could do all before a death is known.
        command(out, *ON_RAY, "--workers", "1", "--address", f"localhost:{port}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as campaign:
        while not (there := actors(environment["RAY_ADDRESS"])) and campaign.poll() is None:
            time.sleep(0.01)
        os.kill(there[0], signal.SIGKILL)
        printed, messages = campaign.communicate(timeout=120)
    assert campaign.returncode == 0, messages
    assert json.loads(printed)  # and nothing of what Ray says of its dead worker
    assert [event["worker"] for event in events(out) if event["kind"] == "worker-died"]
    assert Store.open(out).committed_ids().tolist() == list(range(RUNS))
    assert matrices(out) == matrices(whole)


def test_without_a_cluster_it_is_said_what_to_start(tmp_path: Path) -> None:
    alone = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [*command(tmp_path / "store", *ON_RAY), "--address", "127.0.0.1:1"],
        env=alone,
        capture_output=True,
        text=True,
    )
    assert done.returncode == DeviceError.exit_code
    assert "no Ray cluster at --address 127.0.0.1:1" in done.stderr
    assert not (tmp_path / "store").exists()
