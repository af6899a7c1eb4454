import pytest
import torch

from airbench_var.data import Dataset
from airbench_var.errors import DeviceError, UsageError
from airbench_var.kernels import airbench, native
from airbench_var.recipes import find_recipe
from airbench_var.training import Settings, choose_device, choose_engine


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


@pytest.fixture
def capable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "processor_flags", lambda: frozenset(airbench.NEEDS))
    monkeypatch.setattr(native, "obstacle", lambda *_: "")


@pytest.mark.usefixtures("capable")
@pytest.mark.parametrize(
    ("asked", "device", "recipes", "engine"),
    [
        ("auto", "cpu", ["tiny"], "native"),
        ("auto", "cpu", ["airbench94"], "eager"),
        ("auto", "cpu", ["tiny", "airbench94"], "eager"),
        ("auto", "cuda:1", ["tiny"], "compiled"),
        ("native", "cpu", ["tiny"], "native"),
        ("eager", "cuda", ["tiny"], "eager"),
        ("compiled", "cpu", ["tiny"], "compiled"),
    ],
)
def test_engines(asked, device, recipes, engine, small_data: Dataset) -> None:
    assert choose_engine(asked, device, 1, [find_recipe(name) for name in recipes], small_data)[0] == engine


@pytest.mark.usefixtures("capable")
@pytest.mark.parametrize(
    ("changes", "threads", "why"),
    [
        ({"network.activation": "gelu"}, 1, "activation is gelu"),
        ({"network.whiten_stride": 1}, 1, "stride 1"),
        ({"network.widths": "24,30,48"}, 1, "multiples of 4"),
        ({"network.widths": "24,48,256"}, 1, "up to 128"),
        ({"network.widths": "24,48,48,48"}, 1, "multiple of 64 for 4 groups"),
        ({"precision": "single"}, 1, "single precision"),
        ({}, 2, "one thread"),
    ],
)
def test_what_c_cannot_compute_is_said(changes, threads, why, small_data: Dataset) -> None:
    recipe = find_recipe("tiny").with_values(changes)
    engine, reason = choose_engine("auto", "cpu", threads, [recipe], small_data)
    assert engine == "eager"
    assert why in reason
    with pytest.raises(DeviceError, match=why):
        choose_engine("native", "cpu", threads, [recipe], small_data)


@pytest.mark.parametrize(
    ("flags", "obstacle", "why"),
    [
        (["avx512f"], "", "lacks avx512bw"),
        (airbench.NEEDS, "`apt-get install gcc` installs one", "apt-get install gcc"),
    ],
)
def test_what_the_machine_lacks_is_said(
    flags, obstacle, why, small_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "processor_flags", lambda: frozenset(flags))
    monkeypatch.setattr(native, "obstacle", lambda *_: obstacle)
    engine, reason = choose_engine("auto", "cpu", 1, [find_recipe("tiny")], small_data)
    assert (engine, why in reason) == ("eager", True)


def test_with_matrix_tiles_c_is_used_only_when_asked_for(
    small_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "processor_flags", lambda: frozenset([*airbench.NEEDS, airbench.TILES]))
    monkeypatch.setattr(native, "obstacle", lambda *_: "")
    engine, reason = choose_engine("auto", "cpu", 1, [find_recipe("tiny")], small_data)
    assert (engine, "has amx_bf16" in reason) == ("eager", True)
    assert choose_engine("native", "cpu", 1, [find_recipe("tiny")], small_data) == ("native", "asked for")


def test_native_is_for_cpus(small_data: Dataset) -> None:
    with pytest.raises(DeviceError, match="for CPUs"):
        choose_engine("native", "cuda", 1, [find_recipe("tiny")], small_data)


def test_numerics_are_what_the_bits_depend_on() -> None:
    half, single = find_recipe("tiny"), find_recipe("linear")
    assert Settings(threads=2).numerics(half) == {
        "device": "cpu",
        "activations": "bfloat16",
        "threads": 2,
        "engine": "eager",
    }
    assert Settings(device="cuda:1", threads=2, engine="compiled").numerics(half) == {
        "device": "cuda",
        "activations": "float16",
        "threads": None,
        "engine": "compiled",
    }
    assert Settings().numerics(single)["activations"] == "float32"
    assert Settings(loader="ffcv").numerics(half) == Settings().numerics(half)
