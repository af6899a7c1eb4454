"""How runs are computed: device, threads, compiling, loader; each choice with its reason."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from airbench_var.errors import DeviceError, UsageError
from airbench_var.machine import cpu_name, nvidia_driver
from airbench_var.recipe import Recipe

CompileMode = Literal["auto", "on", "off"]
LoaderName = Literal["resident", "ffcv"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a run is computed, as far as that is not the recipe's business."""

    device: str = "cpu"  #: "cpu", "cuda", "cuda:1"
    threads: int = 1  #: CPU threads of one run; the bits of a run on the CPU depend on them
    compile: bool = False  #: torch.compile of forward pass and loss
    loader: LoaderName = "resident"
    cache_dir: Path | None = None  #: where the ffcv loader keeps its .beton file

    def activation_dtype(self, recipe: Recipe) -> torch.dtype:
        """Return the number format of activations: for "half", bfloat16 on CPU and float16 on CUDA."""
        if recipe.precision == "single":
            return torch.float32
        return torch.bfloat16 if self.on_cpu else torch.float16

    def numerics(self, recipe: Recipe) -> dict[str, Any]:
        """Return what the bits of a run depend on, besides recipe, seeds and data, as JSON values."""
        return {
            "device": torch.device(self.device).type,
            "activations": str(self.activation_dtype(recipe)).removeprefix("torch."),
            "threads": self.threads if self.on_cpu else None,
            "compile": self.compile,
        }

    def compiled(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Return the function, compiled if the settings say so, anew for inputs of other shapes.

        Not for any shape, as torch does when it meets a second one: then the bits of a run would depend on
        what the process did before. Not "max-autotune", and "deterministic" where torch has it: kernels that
        are chosen by their time on the day have other bits on another day. Not with the CUDA graphs of
        torch.compile: those of `Lane` hold all of a step.
        """
        if not self.compile:
            return function
        from torch._inductor import list_options  # takes a second

        options: dict[str, Any] = {"deterministic": True} if "deterministic" in list_options() else {}
        return torch.compile(function, fullgraph=True, dynamic=False, options=options)

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Within this context torch computes as the settings say; afterwards it is as it was."""
        threads = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
                yield
        finally:
            torch.set_num_threads(threads)

    @property
    def on_cpu(self) -> bool:
        """Whether runs are computed on the CPU."""
        return torch.device(self.device).type == "cpu"

    def device_name(self) -> str:
        """Return the name of the device, for people."""
        return cpu_name() if self.on_cpu else torch.cuda.get_device_name(self.device)

    def gpu_libraries(self) -> dict[str, str | None]:
        """Return the versions of CUDA and cuDNN that torch was built with; empty on a CPU."""
        if self.on_cpu:
            return {}
        return {"cuda": torch.version.cuda, "cudnn": str(torch.backends.cudnn.version())}

    def driver(self) -> str | None:
        """Return the version of the GPU's driver, for people; None on a CPU."""
        return None if self.on_cpu else nvidia_driver()


def choose_device(asked: str) -> tuple[str, str]:
    """Return the device for "auto", "cpu", "cuda" or "cuda:I", and the reason.

    Raises: UsageError for another name, DeviceError when that GPU is not there.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "auto":
        return ("cuda", "a GPU was found") if found else ("cpu", "no CUDA GPU was found")
    try:
        device = torch.device(asked)
    except RuntimeError as error:
        raise UsageError(
            f"--device {asked}: no such kind of device. Choose auto, cpu, cuda or cuda:INDEX."
        ) from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(
            f"--device {asked}: only cpu and cuda are supported. Choose auto, cpu, cuda or cuda:INDEX."
        )
    if device.type == "cuda" and (device.index or 0) >= found:
        why = f"PyTorch {torch.__version__} sees {found} CUDA GPU{'' if found == 1 else 's'} on this machine"
        raise DeviceError(
            f"--device {asked}: {why}. Use --device cpu, or install a CUDA build of PyTorch and a driver."
        )
    return asked, "asked for"


def choose_compile(asked: CompileMode, device: str) -> tuple[bool, str]:
    """Return whether to compile the step with torch.compile, and the reason."""
    if asked != "auto":
        return asked == "on", "asked for"
    if torch.device(device).type == "cuda":
        return True, "fewer kernel launches on a GPU"
    return False, "eager is faster on a CPU, see `python -m bench step`"
