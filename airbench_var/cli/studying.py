"""The command that repeats the paper's experiments: study."""

import argparse
from dataclasses import replace
from pathlib import Path

from airbench_var.cli.output import print_json, reader_may_leave
from airbench_var.cli.training import add_how, mode_of, prepare, tell
from airbench_var.errors import UsageError, nearest

#: Of all studies; here so that --help need not import torch.
NAMES = (
    "durations",
    "pairs",
    "binomial",
    "binary",
    "calibration",
    "linear",
    "finetune",
    "augmentation",
    "learning-rate",
    "shift",
    "seeds",
    "poke",
    "truth",
)


def _known(name: str) -> str:
    """Return a name that there is; raises UsageError before other options are asked for."""
    if name not in (*NAMES, "index"):
        raise UsageError(
            f"unknown study {name!r}{nearest(name, [*NAMES, 'index'])}. Known: {', '.join(NAMES)}; and "
            "`study index`, one page over those in --out."
        )
    return name


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add what `study` takes."""
    parser.add_argument(
        "name",
        type=_known,
        metavar="NAME",
        help=f"{', '.join(NAMES)}; or index: one page over the studies in DIR",
    )
    parser.add_argument(
        "--scale",
        default="quick",
        metavar="S",
        help="quick (a minute, only to see that it works; default), cpu or paper",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="numbers, figures and README")
    parser.add_argument(
        "--stores",
        type=Path,
        metavar="DIR",
        help="where the runs are kept, which studies share (default OUT/stores)",
    )
    parser.add_argument(
        "--data", metavar="D", help="cifar10, synthetic, mrpc or photos (default: what study and scale say)"
    )
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where CIFAR-10 or MRPC lies; otherwise it is looked up"
    )
    parser.add_argument(
        "--test-sets",
        type=lambda text: text.split(","),
        metavar="LIST",
        help="of shift, besides corruptions: cifar10.1-v6, cifar10.2, cinic10, cifar10-c-fog-3, ..., from "
        "files beside CIFAR-10",
    )
    parser.add_argument(
        "--skip-missing-test-sets",
        action="store_true",
        help="leave out those whose files are not there, and say which",
    )
    how = parser.add_argument_group("how")
    add_how(how)
    parser.add_argument("--quiet", action="store_true", help="only the verdicts")


def study(options: argparse.Namespace) -> int:
    """Repeat one of the paper's experiments: train what it needs, then write numbers, figures and a page.

    The same command again goes on where it stopped. Runs are found by what they are of, so that studies with
    the same --stores share them. Figures need matplotlib: pip install 'airbench_var[report]'.
    """
    if options.json and options.quiet:
        raise UsageError("argument --quiet: not allowed with argument --json")
    if options.name == "index":
        return _index(options)
    from airbench_var.store.create import names_in
    from airbench_var.studies import find_study, run_study  # seconds: torch
    from airbench_var.studies.arms import Workplace, with_published
    from airbench_var.studies.scales import find_scale

    chosen, scale = find_study(options.name), find_scale(options.scale)
    if options.test_sets is not None:
        if not chosen.published:
            raise UsageError(f"--test-sets is for the study shift; {chosen.name} has its own.")
        scale = replace(scale, published=tuple(options.test_sets))
    if options.data == "photos" and chosen.published:
        if options.test_sets is None:
            raise UsageError(
                f"study {chosen.name} on photographs needs --test-sets: names of other .beton files."
            )
        scale = replace(scale, on_photos=True)
    options.test_sets = []  # of every arm; the study has its own
    options.data = options.data or chosen.data or scale.data
    names_in(options.out)  # refused where there can be no folder
    if options.stores:
        names_in(options.stores, "--stores")
    arms = chosen.arms(scale)
    prepared = prepare(options, [arm.recipe for arm in arms])
    if chosen.published:
        scale = with_published(scale, prepared.data, skip_missing=options.skip_missing_test_sets)
        arms = chosen.arms(scale)
    told = {"study": f"{chosen.name} at scale {scale.name}: {scale.about}"}
    in_arms = f"in {len(arms)} arm{'' if len(arms) == 1 else 's'}"
    runs = {"runs": f"{sum(arm.runs for arm in arms):,} {in_arms}"}
    tell(options, told | prepared.reasons | runs)
    workplace = Workplace(
        data=prepared.data,
        settings=prepared.settings,
        placement=prepared.placement,
        engine=options.engine,
        stores=options.stores or options.out / "stores",
        mode=mode_of(options),
        say=lambda text: tell(options, {"arm": text}),
    )
    findings = run_study(chosen, scale, workplace, options.out)
    with reader_may_leave():
        if options.json:
            print_json({"scale": scale.name, "caveat": scale.caveat or None, **findings.to_json()})
        else:
            if scale.caveat:
                print(f"Note: {scale.caveat}")
            for claim in findings.claims:
                print(f"{claim.verdict:14}  {claim.text}: {claim.because}")
            print(f"{options.out / 'README.md'} has numbers and figures")
    return 0


def _index(options: argparse.Namespace) -> int:
    from airbench_var.studies import STUDIES
    from airbench_var.studies.index import counted, write_index

    verdicts = write_index(options.out, list(STUDIES))
    with reader_may_leave():
        if options.json:
            print_json({str(verdict): number for verdict, number in verdicts.items()})
        else:
            print(", ".join(counted(number, verdict) for verdict, number in verdicts.items()))
            print(f"{options.out / 'README.md'} has every claim")
    return 0
