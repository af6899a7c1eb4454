"""Fixtures that many parts share: small data, and real CIFAR-10 when it is there."""

import os
import re
import signal
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

HERE = Path(__file__).parent

if TYPE_CHECKING:
    from airbench_var.data import PairData
    from airbench_var.data.dataset import Dataset, Split

with suppress(ImportError):  # the analysing half is also tested where there is no torch
    import torch

    torch.set_num_threads(1)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what it puts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


#: Files whose every test needs the Ray cluster.
ON_RAY = ("execution/test_on_ray.py", "end_to_end/test_on_a_cluster.py", "bench/scale/test_command.py")
#: Files of which those tests need it that have ray among the words of their parameters.
PARTLY_ON_RAY = (
    "bench/test_cases.py",
    "contracts/test_same_store.py",
    "execution/test_executors.py",
)
#: Files that take a minute or more: begun first, so that none of them is left for last.
LONG = (
    "bench/test_cases.py",
    "end_to_end/test_main_job.py",
    "studies/test_study.py",
    "contracts/test_same_store.py",
    "execution/test_executors.py",
    "faults/test_short.py",
    "docs/test_commands.py",
)


def is_on_ray(nodeid: str) -> bool:
    """Whether a test needs the cluster, by its name alone: what divides the tests has nothing else."""
    path, _, name = nodeid.removeprefix("tests/").partition("::")
    return path in ON_RAY or (path in PARTLY_ON_RAY and "ray" in re.split(r"[][ -]", name))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put those on Ray first, then long files."""
    place = {HERE / name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: -1 if is_on_ray(item.nodeid) else place.get(item.path, len(place)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give every file to one process, and all tests on Ray to one, so that there is a single cluster."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "ray" if is_on_ray(nodeid) else super()._split_scope(nodeid)

    return ByFile(config, log)


@pytest.fixture(scope="session")
def small_data() -> "Dataset":
    """1,200 training and 203 test images of ten colours in noise: learned in seconds, not perfectly."""
    from airbench_var.data.dataset import Dataset, Split

    generator = np.random.Generator(np.random.PCG64(0))
    colours_K3 = generator.integers(60, 196, (10, 3))

    def split(n: int) -> "Split":
        labels_N = generator.integers(0, 10, n).astype(np.uint8)
        noise_NHWC = generator.normal(0, 60, (n, 32, 32, 3))
        images_NHWC = np.clip(colours_K3[labels_N][:, None, None] + noise_NHWC, 0, 255).astype(np.uint8)
        return Split(images_NHWC=images_NHWC, labels_N=labels_N)

    return Dataset(
        name="small",
        title="Small",
        source="tests",
        classes=tuple("abcdefghij"),
        mean=(128.0, 128.0, 128.0),
        std=(70.0, 70.0, 70.0),
        train=split(1200),
        test=split(203),  # no multiple of 8: the last byte of bits is ragged
    )


@pytest.fixture(scope="session")
def cifar10_dir() -> Path:
    """The folder with CIFAR-10 named by $AIRBENCH_VAR_DATA."""
    folder = Path(os.environ.get("AIRBENCH_VAR_DATA") or "/nonexistent")
    if not (folder / "cifar-10-batches-py").is_dir():
        pytest.skip("needs CIFAR-10: set AIRBENCH_VAR_DATA to the folder that holds cifar-10-batches-py")
    return folder


#: The cluster while there is one, and what ends it.
CLUSTER: list[tuple[Any, ExitStack]] = []


@pytest.fixture
def ray_nodes() -> Any:
    """A Ray cluster of two nodes with two CPUs and a GPU each, for all tests; they leave as many behind."""
    from tests.execution.ray_cluster import cluster

    if not CLUSTER:
        opened = ExitStack()
        CLUSTER.append((opened.enter_context(cluster(2, num_cpus=2, num_gpus=1)), opened))
    return CLUSTER[0][0]


@pytest.fixture(autouse=True)
def _cluster_for_its_executor(request: pytest.FixtureRequest) -> None:
    """Start the cluster for the tests that need it, or join it."""
    if is_on_ray(request.node.nodeid):
        request.getfixturevalue("ray_nodes")


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the cluster after the last test that needs it: its processes are busy even when nobody asks."""
    if CLUSTER and (nextitem is None or not is_on_ray(nextitem.nodeid)):
        CLUSTER.pop()[1].close()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT in a folder, which nobody has trained."""
    pytest.importorskip("transformers")
    from tests.finetuning.small_bert import write_checkpoint

    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session")
def pairs() -> "PairData":
    """Pairs of sentences that it can learn, in the place of MRPC."""
    from tests.finetuning.small_bert import small_pairs

    return small_pairs()
