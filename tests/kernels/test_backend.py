"""Which backend runs, and what an impossible request says."""

import importlib.util
from pathlib import Path

import pytest
import torch

from airbench_var.errors import DeviceError
from airbench_var.kernels import choose_backend, native

SOURCE = Path("kernel.c")
CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def test_auto_takes_torch_on_the_cpu_and_triton_on_cuda_and_says_why() -> None:
    pytest.importorskip("triton")
    assert choose_backend(CPU) == ("torch", "the tensors are on cpu")
    assert choose_backend(CUDA) == ("triton", "the tensors are on cuda:0")


def test_auto_takes_c_on_the_cpu_where_it_can_be_built_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "compiler", lambda: (("cc",), "the C compiler is cc"))
    monkeypatch.setattr(native, "obstacle", lambda source: "")
    assert choose_backend(CPU, in_c=SOURCE) == ("native", "the tensors are on cpu, and the C compiler is cc")
    assert choose_backend(CPU, "torch", in_c=SOURCE) == ("torch", "asked for")
    monkeypatch.setattr(native, "obstacle", lambda source: "no C compiler is here")
    assert choose_backend(CPU, in_c=SOURCE) == ("torch", "the tensors are on cpu, and no C compiler is here")
    with pytest.raises(DeviceError, match="backend='native': no C compiler is here"):
        choose_backend(CPU, "native", in_c=SOURCE)
    with pytest.raises(ValueError, match="backend='native' is unknown"):
        choose_backend(CPU, "native")


@pytest.mark.parametrize("name", ["reference", "torch"])
def test_what_is_asked_for_is_what_runs(name: str) -> None:
    assert choose_backend(CPU, name) == (name, "asked for")


@pytest.mark.parametrize("name", ["reference", "torch"])
def test_host_backends_refuse_cuda_tensors(name: str) -> None:
    with pytest.raises(DeviceError, match=rf"backend='{name}' runs on CPU tensors and these are on cuda:0"):
        choose_backend(CUDA, name)


def test_triton_refuses_the_cpu_unless_it_interprets(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(DeviceError, match="needs a CUDA device and the tensors are on the CPU"):
        choose_backend(CPU, "triton")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert choose_backend(CPU, "triton") == ("triton", "asked for")


@pytest.mark.parametrize("name", ["auto", "triton"])
def test_missing_triton_is_an_error_and_not_a_fallback(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DeviceError, match="need Triton, which is not installed"):
        choose_backend(CUDA, name)


def test_other_devices_and_names_are_refused() -> None:
    with pytest.raises(DeviceError, match="No kernel runs on tensors on meta"):
        choose_backend(torch.device("meta"))
    with pytest.raises(ValueError, match="backend='cuda' is unknown; choose from auto, reference"):
        choose_backend(CPU, "cuda")
