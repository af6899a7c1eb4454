"""Train a recipe many times: choose how, each choice with its reason, run the campaign, return the store."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from airbench_var import machine, subjects
from airbench_var.campaign import Campaign, run_campaign
from airbench_var.data.test_sets import on_stderr
from airbench_var.errors import UsageError, nearest
from airbench_var.execution import Placement, choose_on_ray, choose_placement
from airbench_var.recipe import AnyRecipe
from airbench_var.recipes import find_recipe
from airbench_var.report.display import Mode, refuse_unknown_mode
from airbench_var.seeds import STREAMS
from airbench_var.store import Store
from airbench_var.subjects import AnySubject, Data
from airbench_var.training import Settings, choose_devices, visible_gpus
from airbench_var.training.settings import Engine


class How(TypedDict, total=False):
    """How runs are computed, as far as the recipe does not say it: the options of the command line."""

    devices: str  #: "auto" (default), "cpu", "cuda" (all GPUs), or "cuda:0,cuda:2"
    executor: Literal["auto", "in-process", "pool", "ray"]  #: by default a pool if there are several workers
    workers: int | None  #: processes; by default one a GPU, or as many as fit the cores
    runs_per_device: int  #: runs at a time on a GPU, the same bits; by default 1
    address: str | None  #: of the Ray cluster
    gpu_share: float  #: of a GPU, for each worker in a Ray cluster; by default 1
    run_timeout: float | None  #: seconds after which a run hangs, and is tried again
    threads: int  #: of the CPU for one run, by default 1; part of what a store is of
    engine: Literal["auto"] | Engine  #: part of what a store is of
    loader: Literal["resident", "ffcv"]  #: both give the same bits


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Data and settings of the training that is asked for."""

    data: Data
    settings: Settings
    placement: Placement
    reasons: dict[str, str]  #: of what was chosen, for people

    def subject(self, recipe: AnyRecipe) -> AnySubject:
        """Return a recipe on this data, computed this way."""
        return subjects.subject_of(recipe, self.data, self.settings)


def prepare(
    recipes: Sequence[AnyRecipe],
    data: str | None = None,
    *,
    data_dir: Path | None = None,
    test_sets: Sequence[str] = (),
    skip_missing_test_sets: bool = False,
    say: Callable[[str], None] = on_stderr,
    **how: Unpack[How],
) -> Prepared:
    """Load the data and choose device, engine and workers for these recipes; this takes seconds.

    data: by default that which the recipes are for.

    Raises: UsageError, DataError, DeviceError for what is not there.
    """
    for name in how:
        if name not in How.__annotations__:
            known = ", ".join(How.__annotations__)
            raise UsageError(
                f"unknown option {name!r}{nearest(name, [*How.__annotations__])}. Known: {known}."
            )
    devices, placement, why_devices, why_placement = _places(how)
    device, threads, loader = devices[0], how.get("threads", 1), how.get("loader", "resident")
    if loader == "ffcv":
        import airbench_var.data.ffcv_loader  # noqa: F401 (a missing package is named before a store is made)
    loaded = subjects.with_test_sets(
        subjects.load_data(recipes, data, data_dir), test_sets, skip_missing=skip_missing_test_sets, say=say
    )
    subjects.refuse_together(loaded, placement.runs_per_device)
    engine, why_engine = subjects.engine_for(
        how.get("engine", "auto"), recipes, loaded, device=device, threads=threads
    )
    settings = Settings(device=device, threads=threads, loader=loader, engine=engine)
    further = subjects.further_choices(loaded, settings)
    return Prepared(
        data=loaded,
        settings=settings,
        placement=placement,
        reasons={
            "data": f"{loaded.title}, {loaded.source}",
            "device": f"{', '.join(devices)}: {why_devices}",
            "engine": f"{engine}: {why_engine}",
            **further,
            "workers": f"{placement.workers or 'as there is room'} ({placement.executor}): {why_placement}",
        },
    )


def _places(how: How) -> tuple[list[str], Placement, str, str]:
    """Return the devices and where workers are, and why those and why there."""
    executor, devices = how.get("executor", "auto"), how.get("devices", "auto")
    workers, runs_per_device = how.get("workers"), how.get("runs_per_device", 1)
    threads, limit_s = how.get("threads", 1), how.get("run_timeout")
    if executor == "ray":
        placement, device, why_placement = choose_on_ray(
            address=how.get("address"),
            device=devices,
            workers=workers,
            runs_per_device=runs_per_device,
            gpu_share=how.get("gpu_share", 1.0),
            threads=threads,
            run_limit_s=limit_s,
        )
        return [device], placement, "of the machines of the cluster", why_placement
    for name, value, default in (
        ("--address", how.get("address"), None),
        ("--gpu-share", how.get("gpu_share", 1.0), 1.0),
    ):
        if value != default:
            raise UsageError(f"{name} is for --executor ray: add it, or leave {name} out.")
    chosen, why_devices = choose_devices(devices)
    placement, why_placement = choose_placement(
        executor,
        workers=workers,
        runs_per_device=runs_per_device,
        gpus=visible_gpus(chosen),
        cores=machine.cores(),
        threads=threads,
        run_limit_s=limit_s,
    )
    return chosen, replace(placement, hides_gpus=chosen == ["cpu"]), why_devices, why_placement


def train_many(
    recipe: AnyRecipe | str,
    *,
    runs: int,
    out: str | os.PathLike[str],
    data: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    test_sets: Sequence[str] = (),
    seed: int = 0,
    vary: tuple[str, ...] = STREAMS,
    show: Mode = "auto",
    **how: Unpack[How],
) -> Store:
    """Train a recipe, or that of a name or TOML file, until the store at `out` has `runs` committed runs.

    data, data_dir: as `--data` and `--data-dir`, by default what the recipe is for. test_sets: further ones,
    as `["train:5000", "noise-3"]`. seed: of the campaign, from which every run has its three. vary: which of
    "init", "order", "aug" differ between runs. show: "auto", "plain", "json" or "quiet". how: see `How`.

    The same as `python -m airbench_var --runs N`: the same call again goes on where it was stopped, or does
    nothing. Where there is more than one worker, each is a process that imports the calling script once
    more: call it under `if __name__ == "__main__":`.

    Raises: UsageError, DataError, DeviceError for what is not there, and as `run_campaign`.
    """
    refuse_unknown_mode(show)
    chosen = find_recipe(recipe) if isinstance(recipe, str) else recipe
    folder = None if data_dir is None else Path(data_dir)
    prepared = prepare([chosen], data, data_dir=folder, test_sets=test_sets, **how)
    campaign = Campaign(
        subject=prepared.subject(chosen),
        out=Path(out),
        runs=runs,
        seed=seed,
        vary=vary,
        placement=prepared.placement,
    )
    run_campaign(campaign, show)
    return Store.open(campaign.out)
