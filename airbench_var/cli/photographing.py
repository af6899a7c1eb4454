"""The command that prepares photographs for training: photos."""

import argparse
import sys
from pathlib import Path

from airbench_var.cli.arguments import positive
from airbench_var.cli.output import print_json, reader_may_leave

ENDING = ".beton"


def add_photos(parser: argparse.ArgumentParser) -> None:
    """Add what `photos` takes."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with a folder a class, as torchvision's")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="the .beton; to train, train.beton and val.beton",
    )
    parser.add_argument(
        "--max-resolution",
        type=int,
        default=500,
        metavar="P",
        help="longer sides are reduced to so many pixels; 0 keeps all (default 500)",
    )
    parser.add_argument(
        "--compress-probability",
        type=float,
        default=0.5,
        metavar="F",
        help="share of the images kept as JPEG, smaller and slower to read than raw pixels (default 0.5)",
    )
    parser.add_argument("--jpeg-quality", type=int, default=90, metavar="Q", help="of those (default 90)")
    parser.add_argument(
        "--border",
        type=int,
        default=0,
        metavar="P",
        help="cut so many pixels from every side first: 2 for the red frame of ObjectNet (default 0)",
    )
    parser.add_argument(
        "--skip-corrupt", action="store_true", help="leave out files that are no whole images, and list them"
    )
    parser.add_argument(
        "--threads", type=positive, metavar="T", help="that read and encode (default: as many as cores)"
    )


def photos(options: argparse.Namespace) -> int:
    """Write the images of a folder as one file that FFCV reads; the same command again goes on.

    Nothing of torch or FFCV is needed for it. With --json, what the file is of.
    """
    from airbench_var import machine
    from airbench_var.data.image_folder import scan
    from airbench_var.data.photo_encoder import PhotoSettings
    from airbench_var.data.photo_writer import write_photos
    from airbench_var.errors import UsageError
    from airbench_var.report.percent import size_text

    if options.out.suffix != ENDING:
        raise UsageError(f"--out {options.out}: the name of such a file ends in {ENDING}.")
    settings = PhotoSettings(
        max_resolution=options.max_resolution,
        compress_probability=options.compress_probability,
        jpeg_quality=options.jpeg_quality,
        border=options.border,
    )
    folder = scan(options.folder)
    about = write_photos(
        folder,
        options.out,
        settings,
        threads=options.threads or machine.cores(),
        skip_corrupt=options.skip_corrupt,
        told=(lambda done, of, skipped: None) if options.json else _Told(),
    )
    with reader_may_leave():
        if options.json:
            print_json(about)
        else:
            left_out = len(about["skipped"])
            skipped = f", {left_out:,} file{'s' if left_out > 1 else ''} left out" if left_out else ""
            what = f"{about['n']:,} images in {len(about['classes']):,} classes"
            print(f"{options.out}: {what}, {size_text(options.out.stat().st_size)}{skipped}")
    return 0


class _Told:
    """Shows on stderr how far it is: a line that is written over on a terminal, else one every tenth."""

    def __init__(self) -> None:
        self._tenths = -1

    def __call__(self, done: int, of: int, skipped: int) -> None:
        first = self._tenths < 0
        if first and done:
            print(f"going on after {done:,} of {of:,} images", file=sys.stderr)
        tenths, self._tenths = self._tenths, 10 * done // of
        broken = f", of which {skipped:,} cannot be read" if skipped else ""
        line = f"{done:,} of {of:,} images{broken}"
        if sys.stderr.isatty():
            print(f"\r{line}", end="\n" if done == of else "", file=sys.stderr, flush=True)
        elif not first and self._tenths > tenths:
            print(line, file=sys.stderr)
