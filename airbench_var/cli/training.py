"""What every command that trains takes and prepares; torch is loaded by `prepare` and not before."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airbench_var.cli.arguments import natural, portion, positive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airbench_var.many import Prepared
    from airbench_var.recipe import AnyRecipe
    from airbench_var.report.display import Mode


def add_training(parser: argparse.ArgumentParser, *, recipe: str | None, out: str) -> None:
    """Add what is trained and how, with a default recipe, and the help of --out."""
    what = parser.add_argument_group("what is trained")
    what.add_argument(
        "--recipe",
        default=recipe,
        metavar="R",
        help="airbench94, resnet9, tiny, linear, bert-mrpc, resnet18-imagenet, or a .toml file",
    )
    what.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one value of the recipe; repeatable",
    )
    what.add_argument(
        "--data",
        metavar="D",
        help="cifar10, synthetic, mrpc or photos (default: what the recipe is for)",
    )
    what.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where CIFAR-10 or MRPC lies (otherwise looked up), or train.beton and val.beton",
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
        metavar="E",
        help="where runs are trained: auto (default), in-process, pool or ray; auto is a pool if there is "
        "more than one worker, or a --run-timeout",
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
        metavar="E",
        help="part of the store: auto (default), tiles or native (C kernels with matrix tiles, AMX, or with "
        "vectors), compiled (torch.compile), or eager (PyTorch's operators)",
    )
    how.add_argument(
        "--loader",
        choices=("resident", "ffcv"),
        default="resident",
        metavar="L",
        help="resident (default) or ffcv: both give the same bits",
    )


def mode_of(options: argparse.Namespace) -> "Mode":
    """Return how progress is shown."""
    return "json" if options.json else "quiet" if options.quiet else "auto"


def prepare(options: argparse.Namespace, recipes: "Sequence[AnyRecipe]") -> "Prepared":
    """Load the data and choose device, engine and workers for these recipes; this takes seconds: torch.

    Raises: as `many.prepare`.
    """
    from airbench_var import many

    how: many.How = {key: getattr(options, key) for key in many.How.__annotations__}  # type: ignore[assignment]
    return many.prepare(
        recipes,
        options.data,
        data_dir=options.data_dir,
        test_sets=options.test_sets,
        skip_missing_test_sets=options.skip_missing_test_sets,
        say=_say_as_json if options.json else _say,
        **how,
    )


def tell(options: argparse.Namespace, chosen: dict[str, str]) -> None:
    """Say on stderr what will be trained and how, unless a machine reads or nobody wants to know."""
    if mode_of(options) == "auto":
        for name, choice in chosen.items():
            print(f"{name:8} {choice}", file=sys.stderr)


def _say(text: str) -> None:
    """Tell on stderr what data is used, also under --quiet: it is no matter of progress."""
    print(text, file=sys.stderr)


def _say_as_json(text: str) -> None:
    _say(json.dumps({"event": "message", "text": text}))
