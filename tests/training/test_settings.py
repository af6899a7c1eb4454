import pytest
import torch

from airbench_var.errors import DeviceError, UsageError
from airbench_var.recipes import find_recipe
from airbench_var.training import Settings, choose_compile, choose_device


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: request.param)


@pytest.mark.parametrize("gpus", [0], indirect=True)
@pytest.mark.usefixtures("gpus")
def test_without_a_gpu() -> None:
    assert choose_device("auto") == ("cpu", "no CUDA GPU was found")
    assert choose_device("cpu") == ("cpu", "asked for")
    with pytest.raises(DeviceError, match="sees 0 CUDA GPUs"):
        choose_device("cuda")


@pytest.mark.parametrize("gpus", [2], indirect=True)
@pytest.mark.usefixtures("gpus")
def test_with_two_gpus() -> None:
    assert choose_device("auto") == ("cuda", "a GPU was found")
    assert choose_device("cuda:1") == ("cuda:1", "asked for")
    with pytest.raises(DeviceError, match="sees 2 CUDA GPUs"):
        choose_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "mps", ""])
def test_other_devices_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="Choose auto, cpu, cuda"):
        choose_device(name)


def test_compile() -> None:
    assert choose_compile("on", "cpu") == (True, "asked for")
    assert choose_compile("off", "cuda") == (False, "asked for")
    assert not choose_compile("auto", "cpu")[0]
    assert choose_compile("auto", "cuda:1")[0]


def test_numerics_are_what_the_bits_depend_on() -> None:
    half, single = find_recipe("tiny"), find_recipe("linear")
    assert Settings(threads=2).numerics(half) == {
        "device": "cpu",
        "activations": "bfloat16",
        "threads": 2,
        "compile": False,
    }
    assert Settings(device="cuda:1", threads=2, compile=True).numerics(half) == {
        "device": "cuda",
        "activations": "float16",
        "threads": None,
        "compile": True,
    }
    assert Settings().numerics(single)["activations"] == "float32"
    assert Settings(loader="ffcv").numerics(half) == Settings().numerics(half)
