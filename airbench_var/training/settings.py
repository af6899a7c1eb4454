"""How runs are computed: device, threads, engine, loader; each choice with its reason."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from airbench_var.data.dataset import Dataset
from airbench_var.errors import DeviceError, UsageError
from airbench_var.kernels import airbench, choose_backend
from airbench_var.kernels.augment import native as augment_in_c
from airbench_var.machine import cpu_name, nvidia_driver
from airbench_var.recipe import AirbenchNet, Recipe

Engine = Literal["tiles", "native", "compiled", "eager"]
#: Engines in C, the faster first: products by matrix tiles (AMX), and by vectors (AVX512-BF16).
IN_C: tuple[Engine, ...] = ("tiles", "native")
LoaderName = Literal["resident", "ffcv"]

#: Shapes and phases for which a process compiles the step; torch refuses the ninth unless it is told.
MOST_COMPILED = 256


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a run is computed, as far as that is not the recipe's business."""

    device: str = "cpu"  #: "cpu", "cuda", "cuda:1"
    threads: int = 1  #: CPU threads of one run; the bits of a run on the CPU depend on them
    engine: Engine = "eager"  #: our C kernels, torch.compile of forward pass and loss, or PyTorch's operators
    loader: LoaderName = "resident"
    cache_dir: Path | None = None  #: where the ffcv loader keeps its .beton file

    def with_one_gpu_in_sight(self) -> "Settings":
        """Return the same for a process that sees no other GPU than its own."""
        return replace(self, device=torch.device(self.device).type)

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
            "engine": self.engine,
        }

    def compiled(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Return the function, compiled if the settings say so, anew for inputs of other shapes.

        Not for any shape, as torch does when it meets a second one: then the bits of a run would depend on
        what the process did before. Not "max-autotune", and "deterministic" where torch has it: kernels that
        are chosen by their time on the day have other bits on another day. Not with the CUDA graphs of
        torch.compile: those of `Lane` hold all of a step.
        """
        if self.engine != "compiled":
            return function
        from torch._inductor import list_options  # takes a second

        options: dict[str, Any] = {"deterministic": True} if "deterministic" in list_options() else {}
        return torch.compile(function, fullgraph=True, dynamic=False, options=options)

    def numerics_of_operators(self, precision: Literal["half", "single"]) -> dict[str, Any]:
        """Return what changes the bits where PyTorch's operators compute all, bfloat16 for half precision."""
        return {
            "device": torch.device(self.device).type,
            "activations": "bfloat16" if precision == "half" else "float32",
            "threads": self.threads if self.on_cpu else None,
            "engine": self.engine,
        }

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Within this context torch computes as the settings say; afterwards it is as it was."""
        # Without TF32, whose mantissa of 10 bits is no single precision: convolutions have it by default.
        cudnn = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
        with self.threads_in_force(), _products_in_full(), cudnn, self._compiling_for_many():
            yield

    @contextmanager
    def threads_in_force(self) -> Iterator[None]:
        """Within this context this thread has the settings' number of CPU threads."""
        threads = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)

    def _compiling_for_many(self) -> AbstractContextManager[Any]:
        if self.engine != "compiled":
            return nullcontext()
        import torch._dynamo  # takes a second

        return torch._dynamo.config.patch(cache_size_limit=MOST_COMPILED)  # its name in torch 2.6 too

    @property
    def on_cpu(self) -> bool:
        """Whether runs are computed on the CPU."""
        return torch.device(self.device).type == "cpu"

    def device_name(self) -> str:
        """Return the name of the device, for people."""
        if self.on_cpu:
            return cpu_name()
        if not torch.cuda.is_available():
            return "GPUs of other machines"  # of a cluster; its workers say which
        return torch.cuda.get_device_name(self.device)

    def gpu_libraries(self) -> dict[str, str | None]:
        """Return the versions of CUDA and cuDNN that torch was built with; empty on a CPU."""
        if self.on_cpu:
            return {}
        return {"cuda": torch.version.cuda, "cudnn": str(torch.backends.cudnn.version())}

    def driver(self) -> str | None:
        """Return the version of the GPU's driver, for people; None on a CPU."""
        return None if self.on_cpu else nvidia_driver()


@contextmanager
def _products_in_full() -> Iterator[None]:
    """Within this context products of float32 are of float32, whatever the calling script has asked for.

    Raises: UsageError where it has asked in the newer of two ways, after which torch refuses the older one.
    """
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError as error:
        raise UsageError(
            "this process has set an fp32_precision of torch.backends, after which torch tells nobody what "
            "precision products have. Leave it out: runs are computed in the precision of their recipe."
        ) from error
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def choose_devices(asked: str) -> tuple[list[str], str]:
    """Return the devices for "auto", "cpu", "cuda" (all there are) or "cuda:0,cuda:2", and the reason.

    Raises: UsageError for another name, or GPUs of two kinds, whose runs have different bits; DeviceError
    when a GPU is not there.
    """
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "auto" and not found:
        return ["cpu"], "no CUDA GPU was found"
    if asked == "cpu":
        return ["cpu"], "asked for"
    if asked in ("auto", "cuda") and found:
        indices, why = list(range(found)), f"{found} GPU{' was' if found == 1 else 's were'} found"
    else:
        indices, why = _gpu_indices(asked), "asked for"
    if max(indices) >= found:
        sees = f"PyTorch {torch.__version__} sees {found} CUDA GPU{'' if found == 1 else 's'} on this machine"
        raise DeviceError(
            f"--devices {asked}: {sees}. Use --devices cpu, or install a CUDA build of PyTorch and a driver."
        )
    kinds = {torch.cuda.get_device_name(index): index for index in reversed(indices)}
    if len(kinds) > 1:
        one_of_each = ", ".join(f"cuda:{index} is a {name}" for name, index in sorted(kinds.items()))
        raise UsageError(
            f"--devices {asked}: {one_of_each}. Runs on different GPUs have different bits: name --devices "
            "of one kind."
        )
    return [f"cuda:{index}" for index in indices], why


def _gpu_indices(asked: str) -> list[int]:
    names = [name.strip() for name in asked.split(",")]
    matches = [re.fullmatch(r"cuda(?::(\d+))?", name) for name in names]
    indices = [int(match[1] or 0) for match in matches if match]
    if len(indices) < len(names) or len(set(indices)) < len(indices) or (len(names) > 1 and "cuda" in names):
        raise UsageError(
            f"--devices {asked}: choose auto, cpu, cuda (all GPUs), or different ones as cuda:0,cuda:1."
        )
    return indices


def visible_gpus(devices: Sequence[str]) -> list[str]:
    """Return the GPUs among these devices as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    indices = [int(device.partition(":")[2]) for device in devices if device != "cpu"]
    return [visible.split(",")[index] if visible else str(index) for index in indices]


def choose_engine(
    asked: Literal["auto"] | Engine, device: str, threads: int, recipes: Sequence[Recipe], data: Dataset
) -> tuple[Engine, str]:
    """Return what computes the step of all these recipes, and the reason.

    Raises: DeviceError when "tiles" or "native" is asked for and cannot compute one of them here.
    """
    on_cpu = torch.device(device).type == "cpu"
    if asked in ("compiled", "eager"):
        return asked, "asked for"

    def why_not(engine: Engine) -> str | None:
        if not on_cpu:
            return "it is for CPUs"
        return next(filter(None, (obstacle_to(engine, recipe, data, threads) for recipe in recipes)), None)

    if asked != "auto":
        if why := why_not(asked):
            raise DeviceError(f"--engine {asked}: {why}. Use --engine eager or auto.")
        return asked, "asked for"
    if not on_cpu:
        return "compiled", "fewer kernel launches on a GPU"
    if not why_not("tiles"):
        return "tiles", "C kernels for small networks, with matrix tiles (AMX), see results/throughput-amx"
    if why := why_not("native"):
        return "eager", f"not native: {why}"
    return "native", "C kernels for small networks, see results/throughput-cpu"


def choose_augmentation(device: str) -> tuple[str, str]:
    """Return the backend of `kernels.augment` on a device, and the reason; what is in C is built here."""
    return choose_backend(device, in_c=augment_in_c.SOURCE)


def obstacle_to(engine: Engine, recipe: Recipe, data: Dataset, threads: int) -> str | None:
    """Return why the C code of this engine cannot compute a recipe here, for people; None when it can."""
    if not isinstance(recipe.network, AirbenchNet):
        return f"recipe {recipe.name!r} has no Airbench network"
    if recipe.precision == "single":
        return f"recipe {recipe.name!r} asks for single precision"
    height, width = data.train.images_NHWC.shape[1:3]
    network = recipe.network
    why = airbench.obstacle(
        network.widths,
        height=height,
        width=width,
        stride=network.whiten_stride,
        activation=network.activation,
        threads=threads,
        tiles=engine == "tiles",
    )
    return f"recipe {recipe.name!r}: {why}" if why else None
