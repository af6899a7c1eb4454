"""What every command that trains takes and prepares; torch is loaded by `prepare` and not before."""

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from airbench_var.cli.arguments import natural, portion, positive
from airbench_var.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airbench_var.data import Dataset
    from airbench_var.execution import Placement
    from airbench_var.recipe import Recipe
    from airbench_var.report.display import Mode
    from airbench_var.training import RecipeOnData, Settings


def add_training(parser: argparse.ArgumentParser, *, recipe: str | None, out: str) -> None:
    """Add what is trained and how, with a default recipe, and the help of --out."""
    what = parser.add_argument_group("what is trained")
    what.add_argument(
        "--recipe", default=recipe, metavar="R", help="airbench94, resnet9, tiny, linear, or a .toml file"
    )
    what.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one value of the recipe; repeatable",
    )
    what.add_argument("--data", default="cifar10", metavar="D", help="cifar10 (default) or synthetic")
    what.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where CIFAR-10 lies; otherwise it is looked up"
    )
    what.add_argument(
        "--test-sets",
        type=lambda text: text.split(","),
        default=[],
        metavar="LIST",
        help="further test sets of every run: train:5000, noise-3, fresh-2:100000 (synthetic), ...; from "
        "files beside CIFAR-10 cifar10.1-v4, cifar10.1-v6, cifar10.2, cinic10, cifar10-c-fog-3, ...",
    )
    what.add_argument(
        "--skip-missing-test-sets",
        action="store_true",
        help="leave out those whose files are not there, and say which",
    )
    what.add_argument("--seed", type=natural, default=0, metavar="S", help="campaign seed (default 0)")
    what.add_argument(
        "--vary",
        default="init,order,aug",
        metavar="LIST",
        help="what differs between runs (default init,order,aug)",
    )
    how = parser.add_argument_group("how")
    how.add_argument("--out", type=Path, metavar="DIR", help=out)
    add_how(how)


def add_how(how: "argparse._ArgumentGroup") -> None:
    """Add how runs are computed, as far as the recipe does not say it: what `prepare` chooses from."""
    how.add_argument(
        "--devices",
        "--device",
        default="auto",
        metavar="D",
        help="auto (default), cpu, cuda (all GPUs), or cuda:0,cuda:2",
    )
    how.add_argument(
        "--executor",
        choices=("auto", "in-process", "pool", "ray"),
        default="auto",
        help="where runs are trained; auto is a pool if there is more than one worker, or a --run-timeout",
    )
    how.add_argument(
        "--workers",
        type=positive,
        metavar="K",
        help="processes (default: one a GPU, or as many as fit the cores; with Ray, as there is room)",
    )
    how.add_argument(
        "--runs-per-device",
        type=positive,
        default=1,
        metavar="K",
        help="runs at a time on a GPU, the same bits (default 1)",
    )
    how.add_argument("--address", metavar="A", help="of the Ray cluster (default: that of this machine)")
    how.add_argument(
        "--gpu-share",
        type=portion,
        default=1.0,
        metavar="F",
        help="of a GPU, for each worker in a Ray cluster (default 1)",
    )
    how.add_argument(
        "--run-timeout",
        type=positive,
        metavar="S",
        help="longer than this a run hangs, and is tried again (default 10 times the longest, or 60)",
    )
    how.add_argument(
        "--threads",
        type=positive,
        default=1,
        metavar="T",
        help="CPU threads of one run; part of the store (default 1)",
    )
    how.add_argument(
        "--engine",
        choices=("auto", "tiles", "native", "compiled", "eager"),
        default="auto",
        help="C kernels with matrix tiles (AMX) or vectors, torch.compile, or PyTorch's operators; "
        "part of the store",
    )
    how.add_argument(
        "--loader", choices=("resident", "ffcv"), default="resident", help="both give the same bits"
    )


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Data and settings of the training that the options ask for, and how its progress is shown."""

    data: "Dataset"
    settings: "Settings"
    placement: "Placement"
    reasons: dict[str, str]  #: of what was chosen, for people
    mode: "Mode"

    def subject(self, recipe: "Recipe") -> "RecipeOnData":
        """Return a recipe on this data, computed this way."""
        from airbench_var.training import RecipeOnData

        return RecipeOnData(recipe=recipe, data=self.data, settings=self.settings)

    def tell(self, recipes: "dict[str, Recipe]", out: Path) -> None:
        """Say on stderr what will be trained and how, unless a machine reads or nobody wants to know."""
        if self.mode == "auto":
            shown = {name: f"{recipe.name} ({recipe.sha256[:8]})" for name, recipe in recipes.items()}
            for name, choice in (shown | self.reasons | {"store": str(out)}).items():
                print(f"{name:8} {choice}", file=sys.stderr)


def prepare(options: argparse.Namespace, recipes: "Sequence[Recipe]") -> Prepared:
    """Load the data and choose device, engine and workers for these recipes; this takes seconds.

    Raises: UsageError, DataError, DeviceError for what is not there.
    """
    from airbench_var import data, machine
    from airbench_var.data.test_sets import named
    from airbench_var.execution import choose_on_ray, choose_placement
    from airbench_var.training import (
        Settings,
        choose_augmentation,
        choose_devices,
        choose_engine,
        visible_gpus,
    )

    limit_s = options.run_timeout
    if options.executor == "ray":
        placement, device, why_placement = choose_on_ray(
            address=options.address,
            device=options.devices,
            workers=options.workers,
            runs_per_device=options.runs_per_device,
            gpu_share=options.gpu_share,
            threads=options.threads,
            run_limit_s=limit_s,
        )
        devices, why_devices = [device], "of the machines of the cluster"
    else:
        _refuse_options_of_ray(options)
        devices, why_devices = choose_devices(options.devices)
        placement, why_placement = choose_placement(
            options.executor,
            workers=options.workers,
            runs_per_device=options.runs_per_device,
            gpus=visible_gpus(devices),
            cores=machine.cores(),
            threads=options.threads,
            run_limit_s=limit_s,
        )
    device = devices[0]
    if options.loader == "ffcv":
        import airbench_var.data.ffcv_loader  # noqa: F401 (a missing package is named before a store is made)
    settings = Settings(device=device, threads=options.threads, loader=options.loader)
    dataset = data.load(options.data, options.data_dir)
    more = named(
        dataset,
        options.test_sets,
        skip_missing=options.skip_missing_test_sets,
        say=_say_as_json if options.json else _say,
    )
    dataset = replace(dataset, more=more)
    engine, why_engine = choose_engine(options.engine, device, options.threads, recipes, dataset)
    settings = replace(settings, engine=engine)
    augmentation, why_augmentation = choose_augmentation(device)
    return Prepared(
        data=dataset,
        settings=settings,
        placement=placement,
        reasons={
            "data": f"{dataset.title}, {dataset.source}",
            "device": f"{', '.join(devices)}: {why_devices}",
            "engine": f"{engine}: {why_engine}",
            "augment": f"{augmentation}: {why_augmentation}",
            "workers": f"{placement.workers or 'as there is room'} ({placement.executor}): {why_placement}",
        },
        mode="json" if options.json else "quiet" if options.quiet else "auto",
    )


def _say(text: str) -> None:
    """Tell on stderr what data is used, also under --quiet: it is no matter of progress."""
    print(text, file=sys.stderr)


def _say_as_json(text: str) -> None:
    _say(json.dumps({"event": "message", "text": text}))


def _refuse_options_of_ray(options: argparse.Namespace) -> None:
    for name, value, default in (
        ("--address", options.address, None),
        ("--gpu-share", options.gpu_share, 1.0),
    ):
        if value != default:
            raise UsageError(f"{name} is for --executor ray: add it, or leave {name} out.")
