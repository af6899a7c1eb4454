"""Fixtures that many parts share: small data, and real CIFAR-10 when it is there."""

import os
from collections.abc import Iterator
from contextlib import suppress
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


#: Files that take a minute or more, and the tests on Ray: begun first, so that none of them is left for last.
LONG = (
    "ray",
    "end_to_end/test_main_job.py",
    "studies/test_study.py",
    "bench/test_cases.py",
    "docs/test_commands.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, and those on Ray in one, which starts a single cluster."""

    def group(item: pytest.Item) -> str:
        on_ray = item.get_closest_marker("ray") or "ray_nodes" in getattr(item, "fixturenames", ())
        return "ray" if on_ray else item.path.relative_to(HERE).as_posix()

    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    items.sort(key=lambda item: LONG.index(name) if (name := group(item)) in LONG else len(LONG))


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


@pytest.fixture(scope="session")
def ray_nodes() -> Iterator[Any]:
    """A Ray cluster of two nodes with two CPUs and a GPU each, for all tests; they leave as many behind."""
    from tests.execution.ray_cluster import cluster

    with cluster(2, num_cpus=2, num_gpus=1) as nodes:
        yield nodes


@pytest.fixture(autouse=True)
def _cluster_for_its_executor(request: pytest.FixtureRequest) -> None:
    """Start the cluster for the tests that say so: a parameter cannot ask for a fixture by itself."""
    if request.node.get_closest_marker("ray"):
        request.getfixturevalue("ray_nodes")


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
