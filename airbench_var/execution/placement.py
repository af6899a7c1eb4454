"""Where runs are trained, and how many at a time; no bit of a run depends on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from airbench_var.errors import DeviceError, UsageError
from airbench_var.execution.contract import Executor
from airbench_var.execution.in_process import in_process
from airbench_var.execution.in_threads import in_threads
from airbench_var.execution.on_ray import ONE_CPU, Share, connect, on_ray
from airbench_var.execution.pool import process_pool

ExecutorName = Literal["in-process", "pool", "ray"]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """An executor and what it needs to know: of the other kinds' fields it takes no notice."""

    executor: ExecutorName = "in-process"
    workers: int = 1  #: processes; 0: as many as the Ray cluster has room for
    runs_per_device: int = 1  #: at a time in a worker, which has one GPU
    gpus: tuple[str, ...] = ()  #: as CUDA_VISIBLE_DEVICES names them; the pool's workers take them in turn
    hides_gpus: bool = False  #: from the pool's workers: FFCV makes a context on each that it sees
    share: Share = ONE_CPU  #: of its machine, for a worker of a Ray cluster
    run_limit_s: float | None = None  #: a run that takes longer hangs; by default much longer than the others

    @property
    def slots(self) -> int:
        """Runs that are under way at a time, where that is known before."""
        return self.workers * self.runs_per_device

    @property
    def workers_see_one_gpu(self) -> bool:
        """Whether the GPU of a worker is the only one that it sees, so that it is `cuda` there."""
        return bool(self.gpus) or self.executor == "ray"

    @property
    def execute(self) -> Executor:
        """The executor."""
        if self.executor == "ray":
            return partial(
                on_ray,
                share=self.share,
                workers=self.workers or None,
                lanes=self.runs_per_device,
                run_limit_s=self.run_limit_s,
            )
        if self.executor == "pool":
            return partial(
                process_pool,
                workers=self.workers,
                lanes=self.runs_per_device,
                gpus=("",) if self.hides_gpus else self.gpus,
                run_limit_s=self.run_limit_s,
            )
        return in_process if self.runs_per_device == 1 else partial(in_threads, threads=self.runs_per_device)

    def to_json(self) -> dict[str, Any]:
        """Return what people should know of it later."""
        return {
            "executor": self.executor,
            "workers": self.workers or "as there is room",
            "runs_per_device": self.runs_per_device,
            **({"gpus": list(self.gpus)} if self.gpus else {}),
            **({"gpu_share": self.share.gpus} if self.share.gpus else {}),
        }


#: To continue on a small machine what a larger one began; more, and the machine stands still.
MOST_THREADS_A_CORE = 8

#: One run after another, in this process.
HERE = Placement()


def choose_placement(
    executor: Literal["auto", "in-process", "pool"],
    *,
    workers: int | None,
    runs_per_device: int,
    gpus: Sequence[str],
    cores: int,
    threads: int,
    run_limit_s: float | None = None,
) -> tuple[Placement, str]:
    """Return where to train on these GPUs, or without any on so many cores by so many threads a run, and why.

    Raises: UsageError for what contradicts itself, or is no gain.
    """
    if runs_per_device > 1 and not gpus:
        raise UsageError(
            f"--runs-per-device {runs_per_device} is for a GPU, which one run does not fill. "
            f"On a CPU, train in several processes: --workers {runs_per_device}."
        )
    if threads > MOST_THREADS_A_CORE * cores:
        raise UsageError(
            f"--threads {threads} on {cores} CPU cores: threads that wait for one another would hardly move. "
            f"A store of more threads than there are cores can be continued by up to {MOST_THREADS_A_CORE} "
            "for each core."
        )
    if workers is None:
        if executor == "in-process":
            workers, why = 1, "in this process"
        elif gpus:
            workers, why = len(gpus), "one process on each GPU"
        else:
            workers, why = max(1, cores // threads), f"{cores} CPU cores, {threads} for each run"
    else:
        why = "asked for"
    if executor == "in-process" and len(gpus) > 1:
        raise UsageError(
            f"--executor in-process trains on one GPU, not on {len(gpus)}: name it, as --devices cuda:0, or "
            "choose pool or auto."
        )
    if len(gpus) > 1 and workers % len(gpus):
        raise UsageError(
            f"--workers {workers} do not share {len(gpus)} GPUs evenly. Leave it out for one on each, or "
            "name fewer --devices."
        )
    if runs_per_device > 1 and workers > max(1, len(gpus)):
        raise UsageError(
            f"--workers {workers} puts several processes on a GPU, and --runs-per-device {runs_per_device} "
            "several runs into a process: leave out one of them."
        )
    if executor == "in-process" and workers > 1:
        raise UsageError(
            f"--executor in-process trains in one process, not in {workers}: choose pool or auto."
        )
    if executor == "in-process" and run_limit_s is not None:
        raise UsageError(
            "--run-timeout ends a worker that hangs, and --executor in-process has none but this process: "
            "choose pool or auto, or leave it out."
        )
    if executor == "auto":  # this process can wait for itself alone, not end itself
        executor = "in-process" if workers == 1 and run_limit_s is None else "pool"
    placement = Placement(
        executor=executor,
        workers=workers,
        runs_per_device=runs_per_device,
        gpus=tuple(gpus) if executor == "pool" else (),
        run_limit_s=run_limit_s,
    )
    return placement, why


def choose_on_ray(
    *,
    address: str | None,
    device: str,
    workers: int | None,
    runs_per_device: int,
    gpu_share: float,
    threads: int,
    run_limit_s: float | None = None,
) -> tuple[Placement, str, str]:
    """Join a Ray cluster; return where to train in it, on "cpu" or "cuda" (or either, for "auto"), and why.

    Raises: as `connect`; UsageError for a device by number, or what is no gain; DeviceError when no machine
    has room and no number of workers says that it is worth waiting for some.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(
            f"--devices {device}: Ray chooses among the GPUs of its machines. Choose auto, cpu or cuda."
        )
    if round(gpu_share, 4) != gpu_share:
        raise UsageError(f"--gpu-share {gpu_share}: Ray divides a GPU into 10,000 parts. Give four decimals.")
    machines, where = connect(address)
    if device == "auto":
        if not any(resources.get("CPU") for resources in machines):
            raise DeviceError(
                "--devices auto: the Ray cluster has no machine with room for a worker to choose by. Add one "
                "with `ray start --address`, or say --devices cuda (or cpu) and --workers K to wait for some."
            )
        device = "cuda" if any(resources.get("GPU") for resources in machines) else "cpu"
    if device == "cpu" and (runs_per_device > 1 or gpu_share < 1):
        raise UsageError(
            "--runs-per-device and --gpu-share are for GPUs, and this trains on CPUs: leave them out."
        )
    share = Share(cpus=1, gpus=gpu_share) if device == "cuda" else Share(cpus=threads)
    room = sum(map(share.fits_into, machines))
    needs = f"{share.cpus} CPU{'s' * (share.cpus > 1)}" + (f" and {share.gpus:g} GPU" if share.gpus else "")
    if workers is None and not room:
        raise DeviceError(
            f"no machine of the Ray cluster has the {needs} that a worker takes. Add machines with "
            "`ray start --address`, or give --workers K to wait for room for so many."
        )
    placement = Placement(
        executor="ray",
        workers=workers or 0,
        runs_per_device=runs_per_device,
        share=share,
        run_limit_s=run_limit_s,
    )
    each = f"{needs} each, room for {room} now"
    return placement, device, f"{where}; {each}"
