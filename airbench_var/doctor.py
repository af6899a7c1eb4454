"""What this machine has of what runs need: each thing is tried, and what is missing comes with its remedy."""

import platform
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from airbench_var import machine
from airbench_var.cache import user_cache
from airbench_var.errors import AirbenchVarError
from airbench_var.store import filesystem_of, network_warning

if TYPE_CHECKING:
    from airbench_var.data import Dataset

#: "cannot": this machine is not made for it, and needs it for nothing.
State = Literal["ok", "missing", "broken", "cannot"]

#: What the packages of an extra are for.
EXTRAS = {
    "ray": ("ray", "several machines: --executor ray"),
    "report": ("matplotlib", "figures: report, study"),
    "finetune": ("transformers", "finetuning pretrained networks: --recipe bert-mrpc"),
    "parquet": ("pyarrow", "tables of other tools: import, export"),
    "tensorboard": ("tensorboard", "track --to tensorboard"),
    "wandb": ("wandb", "track --to wandb"),
    "mlflow": ("mlflow", "track --to mlflow"),
    "completion": ("shtab", "commands completed by the shell: completion"),
}
#: Runs that show whether training works see so many, twice.
FEW_IMAGES = 128
INSTALL = "pip install 'airbench_var[{}]'"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that runs need, or may use."""

    name: str
    state: State
    what: str  #: what was found, or why not, for people
    remedy: str = ""  #: what mends it; empty when it is there
    needed: bool = False  #: whether the main job cannot do without it

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


class _MissingError(Exception):
    """Something is not there: what, and the remedy."""


def examine(data_dir: Path | None = None) -> Iterator[Finding]:
    """Yield what is found, one thing after another, for half a minute; nothing raises, what fails is said."""
    yield _tried("python", _python, needed=True)
    yield _tried("processor", lambda: f"{machine.cpu_name()}, {machine.cores()} cores", needed=True)
    pytorch = _tried("pytorch", _pytorch, needed=True)
    yield pytorch
    if pytorch.state == "ok":
        yield from _of_training()
    for extra, (package, what_for) in EXTRAS.items():
        yield _tried(extra, lambda p=package, e=extra, w=what_for: _extra(p, e, w))  # type: ignore[misc]
    yield _tried("data", lambda: _data(data_dir))
    yield _tried("disk", _disk)


def _tried(name: str, check: Callable[[], str], *, needed: bool = False) -> Finding:
    """Return what a check says, or raises."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Finding(name=name, state="ok", what=check(), needed=needed)
    except _MissingError as error:
        what, remedy = error.args
        return Finding(name=name, state="missing", what=what, remedy=remedy, needed=needed)
    except AirbenchVarError as error:  # which says itself what to do
        return Finding(name=name, state="missing", what=str(error), needed=needed)
    except Exception as error:
        what = f"{type(error).__name__}: {str(error).strip() or 'without a message'}"
        remedy = "a defect of this machine, or of ours: tell us, with this text"
        return Finding(name=name, state="broken", what=what, remedy=remedy, needed=needed)


def _python() -> str:
    version, commit = machine.version("airbench_var"), machine.commit()
    return f"Python {platform.python_version()}, airbench_var {version}" + (
        f" at commit {machine.shortened(commit)}" if commit else ""
    )


def _pytorch() -> str:
    try:
        import torch
    except ImportError as error:
        raise _MissingError(
            f"PyTorch cannot be imported: {error}", "pip install 'torch>=2.6,<2.14'"
        ) from error
    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for CPUs"
    return f"PyTorch {torch.__version__}, {built}"


def _of_training() -> Iterator[Finding]:
    """Yield the device, and whether each way to train on it does."""
    from airbench_var.data import synthetic
    from airbench_var.kernels import airbench
    from airbench_var.recipes import images_recipe
    from airbench_var.training import choose_devices, choose_engine
    from airbench_var.training.settings import IN_C

    yield _tried("device", _device, needed=True)
    try:
        device = choose_devices("auto")[0][0]
    except AirbenchVarError:  # GPUs of two kinds, as was just said
        device = "cuda:0"
    yield _tried("augmentation", lambda: _augmentation(device), needed=True)
    data, recipe = synthetic.load(FEW_IMAGES, FEW_IMAGES), images_recipe("tiny")
    chosen, why = choose_engine("auto", device, 1, [recipe], data)
    on_cpu = device == "cpu"
    for engine in (*IN_C, "eager") if on_cpu else ("compiled", "eager"):
        default = f", the default for {recipe.name}: {why}" if engine == chosen else ""
        found = _tried(
            f"engine {engine}",
            lambda e=engine, d=default: _trains(data, device, e) + d,  # type: ignore[misc]
            needed=engine == chosen,
        )
        unfit = engine in IN_C and found.state == "missing" and airbench.lacking(tiles=engine == "tiles")
        yield replace(found, state="cannot") if unfit else found
    if on_cpu:  # where no engine by default compiles, and a network takes a minute
        yield _tried("torch.compile", _compiles)
    yield _tried("ffcv", lambda: _trains(data, device, "eager", loader="ffcv"))


def _device() -> str:
    import torch

    from airbench_var.training import choose_devices

    devices, why = choose_devices("auto")
    if devices != ["cpu"]:
        gpu = torch.cuda.get_device_properties(0)
        return (
            f"{', '.join(devices)}: {gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, "
            f"sm_{gpu.major}{gpu.minor}, driver {machine.nvidia_driver()}"
        )
    if driver := machine.nvidia_driver():
        raise _MissingError(
            f"cpu, though driver {driver} of a GPU is there, which PyTorch {torch.__version__} does not see",
            "install a CUDA build of PyTorch: https://pytorch.org/get-started/locally",
        )
    return f"cpu: {why}"


def _augmentation(device: str) -> str:
    """Augment a batch, and compare it bit by bit with the reference."""
    import torch

    from airbench_var.kernels.augment import augment
    from airbench_var.training import choose_augmentation

    backend, why = choose_augmentation(device)
    pixels = torch.arange(2 * 32 * 32 * 3).remainder(251).to(torch.uint8)

    def batch(place: str, by: str) -> torch.Tensor:
        return augment(
            pixels.reshape(2, 32, 32, 3).to(place),
            torch.tensor([1, 0, 1], device=place),
            torch.tensor([5, 6, 7], device=place),
            torch.tensor([3, 1], device=place),
            flip="random",
            translate=2,
            cutout=4,
            mean=(120, 121, 122),
            std=(60, 61, 62),
            dtype=torch.float16,
            backend=by,
        ).cpu()

    if not torch.equal(batch(device, backend), batch("cpu", "reference")):
        raise ArithmeticError(f"what {backend} gives is not what its reference gives")
    return f"{backend}, the same bits as its reference: {why}"


def _trains(data: "Dataset", device: str, engine: Any, loader: Any = "resident") -> str:
    """Train a network for a few steps."""
    from airbench_var.errors import DeviceError
    from airbench_var.recipes import images_recipe
    from airbench_var.seeds import seeds_of_run
    from airbench_var.training import RecipeOnData, Settings, choose_engine

    recipe = images_recipe("tiny").with_values({"batch_size": 64, "epochs": 2})
    choose_engine(engine, device, 1, [recipe], data)  # says why not
    if loader == "ffcv":
        import airbench_var.data.ffcv_loader  # noqa: F401 (says what is missing)
    settings = Settings(device=device, engine=engine, loader=loader)
    start_s = time.perf_counter()
    train = RecipeOnData(recipe=recipe, data=data, settings=settings).make_train(workers_see_one_gpu=False)()
    if train(seeds_of_run(0, 0)).diverged:
        raise DeviceError("a loss is not finite after a few steps")
    return f"trains; ready and trained in {time.perf_counter() - start_s:.1f} s"


def _compiles() -> str:
    """Compile something small."""
    import torch

    def halved(x: torch.Tensor) -> torch.Tensor:
        return x / 2 + 1

    start_s, x = time.perf_counter(), torch.arange(8.0)
    if not torch.equal(torch.compile(halved)(x), halved(x)):
        raise ArithmeticError("a compiled function gives other values")
    return f"compiles for --engine compiled; a small function in {time.perf_counter() - start_s:.1f} s"


def _extra(package: str, extra: str, what_for: str) -> str:
    if find_spec(package) is None:
        raise _MissingError(f"no {package}, which is for {what_for}", INSTALL.format(extra))
    return f"{package} {machine.version(package)}, for {what_for}"


def _data(data_dir: Path | None) -> str:
    from airbench_var.data import cifar10

    if (found := cifar10.find(data_dir)) is None:
        raise _MissingError(
            f"no CIFAR-10 in ${cifar10.ENVIRONMENT} or {user_cache()}",
            "it is downloaded when it is first needed; or --data-dir DIR, or --data synthetic",
        )
    data = cifar10.read(*found)
    return f"{data.title}, {data.source}"


def _disk() -> str:
    folder = Path.cwd()
    if warning := network_warning(folder):
        raise _MissingError(warning, "give a folder on a local disk: --out")
    free = shutil.disk_usage(folder).free / 2**30
    return f"{folder}: {free:,.1f} GiB free on {filesystem_of(folder) or 'an unknown filesystem'}"
