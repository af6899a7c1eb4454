import subprocess
import sys

import pytest
import torch

from airbench_var.data import Dataset
from airbench_var.errors import DeviceError, UsageError
from airbench_var.kernels import airbench, native
from airbench_var.recipes import find_recipe
from airbench_var.training import Settings, choose_devices, choose_engine, visible_gpus


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    names: list[str] = request.param
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(names))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: names[index])


@pytest.mark.parametrize("gpus", [[]], indirect=True)
@pytest.mark.usefixtures("gpus")
def test_without_a_gpu() -> None:
    assert choose_devices("auto") == (["cpu"], "no CUDA GPU was found")
    assert choose_devices("cpu") == (["cpu"], "asked for")
    with pytest.raises(DeviceError, match="sees 0 CUDA GPUs"):
        choose_devices("cuda")


@pytest.mark.parametrize("gpus", [["H100", "H100", "A100"]], indirect=True)
@pytest.mark.usefixtures("gpus")
def test_with_gpus() -> None:
    assert choose_devices("cuda:1") == (["cuda:1"], "asked for")
    assert choose_devices("cuda:1, cuda:0") == (["cuda:1", "cuda:0"], "asked for")
    assert choose_devices("cpu") == (["cpu"], "asked for")
    with pytest.raises(DeviceError, match="sees 3 CUDA GPUs"):
        choose_devices("cuda:0,cuda:3")
    with pytest.raises(UsageError, match="cuda:2 is a A100, cuda:0 is a H100"):
        choose_devices("auto")


@pytest.mark.parametrize("gpus", [["H100"], ["H100", "H100"]], indirect=True)
@pytest.mark.usefixtures("gpus")
def test_all_gpus_of_one_kind_are_taken() -> None:
    devices, why = choose_devices("auto")
    assert devices == [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    assert why == ("1 GPU was found", "2 GPUs were found")[len(devices) - 1]
    assert choose_devices("cuda")[0] == devices


@pytest.mark.parametrize("gpus", [["H100", "H100"]], indirect=True)
@pytest.mark.usefixtures("gpus")
@pytest.mark.parametrize(
    "name", ["gpu", "cuda:x", "mps", "", "cpu,cuda:0", "cuda:1,cuda:1", "cuda,cuda:1", "cuda:-1"]
)
def test_other_devices_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="choose auto, cpu, cuda"):
        choose_devices(name)


def test_a_worker_sees_the_gpu_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the user hides GPUs, cuda:0 is the first of those that are left."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus(["cpu"]) == []
    assert visible_gpus(["cuda:1", "cuda:0"]) == ["1", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,GPU-0a1b")
    assert visible_gpus(["cuda:1", "cuda:0"]) == ["GPU-0a1b", "6"]
    assert Settings(device="cuda:1").with_one_gpu_in_sight().device == "cuda"
    assert Settings(device="cpu").with_one_gpu_in_sight().device == "cpu"


@pytest.fixture
def capable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "processor_flags", lambda: frozenset(airbench.NEEDS))
    monkeypatch.setattr(native, "obstacle", lambda *_: "")
    monkeypatch.setattr(airbench, "_is_granted", lambda _: True)


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


def test_matrix_tiles_are_used_where_processor_and_system_have_them(
    small_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen(asked: str = "auto") -> tuple[str, str]:
        return choose_engine(asked, "cpu", 1, [find_recipe("tiny")], small_data)

    monkeypatch.setattr(native, "processor_flags", lambda: frozenset(airbench.NEEDS_FOR_TILES))
    monkeypatch.setattr(native, "obstacle", lambda *_: "")
    monkeypatch.setattr(airbench, "_is_granted", lambda tiles: True)
    assert chosen()[0] == "tiles"
    assert chosen("native") == ("native", "asked for")
    monkeypatch.setattr(airbench, "_is_granted", lambda tiles: not tiles)
    assert chosen()[0] == "native"
    with pytest.raises(DeviceError, match=r"--engine tiles: .* the system refuses this process the tiles"):
        chosen("tiles")
    monkeypatch.setattr(native, "processor_flags", lambda: frozenset(airbench.NEEDS))
    with pytest.raises(DeviceError, match=r"--engine tiles: .* lacks amx_tile"):
        chosen("tiles")


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


def test_single_precision_is_single_whatever_the_script_asked_for() -> None:
    """TF32, cuDNN's default for convolutions, has a mantissa of 10 bits."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("medium")
    try:
        with Settings().in_force():
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.cudnn.allow_tf32 == before[1]
    finally:
        torch.set_float32_matmul_precision(before[0])


@pytest.mark.skipif(not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="torch before 2.9")
def test_a_precision_that_torch_does_not_tell_is_refused() -> None:
    """In a process of its own, which cannot go back."""
    code = (
        "import torch\n"
        "from airbench_var.errors import UsageError\n"
        "from airbench_var.training import Settings\n"
        "torch.backends.cuda.matmul.fp32_precision = 'tf32'\n"
        "try:\n"
        "    with Settings().in_force(): pass\n"
        "except UsageError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("this process has set an fp32_precision of torch.backends")
